"""Checkpoints of Point-MAE, Point-BERT, ACT, ReCon, PointGPT and Point-FEMAE in the layouts that their authors publish.

ReCon's file holds more than this architecture. The branches for its class, image and text tokens are left out; what
remains is the patch encoder with 22.1 million parameters that PEFT studies tune. This is Point-MAE's architecture with
ReCon's weights. It is not ReCon's network, whose blocks add their outputs to normalised tokens.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from benchmarks.backbones import tensors
from benchmarks.backbones.origins import check_origin
from benchmarks.backbones.wrappers import CONTAINERS, OUTER
from methods.errors import check

PREFIXES = ("GPT_Transformer.", "MAE_encoder.", "ACT_encoder.", "transformer_q.", "base_model.", "")
TOKENS = frozenset({"cls_token", "cls_pos"})
DROPPED = (  # parts that are not in the encoder
    *("MAE_decoder", "ACT_decoder.", "decoder_pos_embed", "increase_dim", "proj_head.", "transformer_k."),
    *("dvae.", "dvae_tokenizer.", "queue", "img_encoder.", "text_encoder.", "img_proj.", "text_proj.", "cls_proj."),
    *("mask_token", "lm_head.", "cls_head", "head.", "img_token", "text_token", "img_pos", "text_pos"),
    *("generator_blocks.", "blocks.increase_dim.", "blocks.cls_head"),
)
BRANCHES = (".norm1_contrast.", ".norm2_contrast.", ".attn_contrast.", ".mlp_contrast.")  # of ReCon's blocks
RENAMED = {  # patterns in published names, in this order
    r"^blocks\.(blocks|layers)\.": "blocks.",
    # PointGPT: its blocks are those of GPT, and its extractor holds the start token and the two last norms
    r"\.ln_([12])\.": r".norm\1.",
    r"\.attn\.in_proj_": ".attn.qkv.",
    r"\.attn\.out_proj\.": ".attn.proj.",
    r"\.mlp\.0\.": ".mlp.fc1.",
    r"\.mlp\.2\.": ".mlp.fc2.",
    r"^blocks\.ln_f\.": "norm.",
    r"^blocks\.(?=sos$|cls_norm\.)": "",
    # Point-FEMAE: its files hold each BatchNorm of the LEM under two names
    r"\.cls\.conv([12])\.0\.": r".lem.conv\1.",
    r"\.cls\.(bn|conv)([12])\.(1\.)?": r".lem.bn\2.",
    r"\.cls_norm\.": ".norm3.",
}
GPT_UNUSED = ("norm.weight", "norm.bias")  # beside the extractor's own last norm


def read(path: Path, backbone: str) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pth file under the names of the point transformer, in float32.

    Raises:
        UserError: the file is damaged, asks to run code, holds no tensors, or is of another model than ``backbone``.
    """
    found = {name: value for name, value in tensors.read(path).items() if isinstance(value, Tensor)}
    check(bool(found), f"{path} holds no tensors, neither at its top nor under {', '.join(CONTAINERS)}")
    plain = {OUTER.sub("", name): tensor for name, tensor in found.items()}
    check_origin(plain, backbone)
    return {name: t.float() if t.is_floating_point() else t for name, t in translated(plain).items()}


def translated(plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of the point transformer. Only known parts outside the encoder are dropped."""
    prefix = next(p for p in PREFIXES if any(name.startswith(p) for name in plain))
    # ACT has a cls_pos inside its encoder and another one outside
    inner = {name.removeprefix(prefix): tensor for name, tensor in plain.items() if name.startswith(prefix)}
    outer = {name: t for name, t in plain.items() if not name.startswith(prefix) and name not in TOKENS}
    both = outer | inner
    unused = GPT_UNUSED if "blocks.sos" in both else ()
    named = {renamed(name): tensor for name, tensor in both.items() if name not in unused}
    if "sos" in named:
        named["sos"] = named["sos"].view(1, 1, -1)
    encoder = {name: t for name, t in named.items() if not name.startswith(DROPPED)}
    return {name: t for name, t in encoder.items() if not any(branch in name for branch in BRANCHES)}


def renamed(name: str) -> str:
    """The name that the point transformer has for a published one."""
    for pattern, new in RENAMED.items():
        name = re.sub(pattern, new, name)
    return name
