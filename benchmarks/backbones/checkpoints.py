"""Checkpoints of Point-MAE, Point-BERT, ACT and ReCon in the layouts that their authors publish.

ReCon's file holds more than this architecture. The branches for its class, image and text tokens are left out; what
remains is the patch encoder with 22.1 million parameters that PEFT studies tune. This is Point-MAE's architecture with
ReCon's weights. It is not ReCon's network, whose blocks add their outputs to normalised tokens.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from benchmarks.backbones import tensors
from benchmarks.backbones.wrappers import CONTAINERS, OUTER
from methods.errors import check

PREFIXES = ("MAE_encoder.", "ACT_encoder.", "transformer_q.", "base_model.", "")
TOKENS = frozenset({"cls_token", "cls_pos"})
DROPPED = (  # parts that are not in the encoder
    *("MAE_decoder.", "ACT_decoder.", "decoder_pos_embed.", "increase_dim.", "proj_head.", "transformer_k."),
    *("dvae.", "dvae_tokenizer.", "queue", "img_encoder.", "text_encoder.", "img_proj.", "text_proj.", "cls_proj."),
    *("mask_token", "lm_head.", "cls_head", "head.", "img_token", "text_token", "img_pos", "text_pos"),
)
BRANCHES = (".norm1_contrast.", ".norm2_contrast.", ".attn_contrast.", ".mlp_contrast.")  # of ReCon's blocks


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pth file under the names of the point transformer, in float32.

    Raises:
        UserError: the file is damaged, asks to run code, or holds no tensors.
    """
    found = {name: value for name, value in tensors.read(path).items() if isinstance(value, Tensor)}
    check(bool(found), f"{path} holds no tensors, neither at its top nor under {', '.join(CONTAINERS)}")
    return {name: t.float() if t.is_floating_point() else t for name, t in translated(found).items()}


def translated(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of the point transformer. Only known parts outside the encoder are dropped."""
    plain = {OUTER.sub("", name): tensor for name, tensor in published.items()}
    prefix = next(p for p in PREFIXES if any(name.startswith(p) for name in plain))
    # ACT has a cls_pos inside its encoder and another one outside
    inner = {name.removeprefix(prefix): tensor for name, tensor in plain.items() if name.startswith(prefix)}
    outer = {name: t for name, t in plain.items() if not name.startswith(prefix) and name not in TOKENS}
    named = {name.replace("blocks.blocks.", "blocks.", 1): t for name, t in (outer | inner).items()}
    encoder = {name: t for name, t in named.items() if not name.startswith(DROPPED)}
    return {name: t for name, t in encoder.items() if not any(branch in name for branch in BRANCHES)}
