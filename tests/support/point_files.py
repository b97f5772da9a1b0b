"""Published checkpoints of PointGPT and Point-FEMAE: names and shapes as the authors' modules have them.

PointGPT: models/PointGPT.py and models/GPT.py at 8cfbbda and c4ccbde; Point-FEMAE: models/Point_MAE.py at e739e9f.
"""

import torch

POINTS_PER_GROUP = 32


def linear(name, outputs, inputs, *kernel, bias=True):
    return {f"{name}.weight": (outputs, inputs, *kernel)} | ({f"{name}.bias": (outputs,)} if bias else {})


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def batch_norm(name, width):
    statistics = {f"{name}.running_mean": (width,), f"{name}.running_var": (width,), f"{name}.num_batches_tracked": ()}
    return norm(name, width) | statistics


def tokenizer(widths, out):
    *first, hidden = widths
    shapes, inputs = {}, 3
    for place, width in enumerate(first):
        shapes |= linear(f"encoder.first_conv.{3 * place}", width, inputs, 1)
        if place + 1 < len(first):
            shapes |= batch_norm(f"encoder.first_conv.{3 * place + 1}", width)
        inputs = width
    shapes |= linear("encoder.second_conv.0", hidden, 2 * inputs, 1) | batch_norm("encoder.second_conv.1", hidden)
    return shapes | linear("encoder.second_conv.3", out, hidden, 1)


def head(name, inputs, classes):
    shapes = linear(f"{name}.0", 256, inputs) | batch_norm(f"{name}.1", 256)
    shapes |= linear(f"{name}.4", 256, 256) | batch_norm(f"{name}.5", 256)
    return shapes | linear(f"{name}.8", classes, 256)


def gpt_blocks(name, width, depth):
    """The extractor or the generator: a start token, blocks, a norm, and the way back to points."""
    shapes = {f"{name}.sos": (width,)}
    for layer in (f"{name}.layers.{number}" for number in range(depth)):
        shapes |= norm(f"{layer}.ln_1", width) | norm(f"{layer}.ln_2", width)
        shapes |= {f"{layer}.attn.in_proj_weight": (3 * width, width), f"{layer}.attn.in_proj_bias": (3 * width,)}
        shapes |= linear(f"{layer}.attn.out_proj", width, width)
        shapes |= linear(f"{layer}.mlp.0", 4 * width, width) | linear(f"{layer}.mlp.2", width, 4 * width)
    return shapes | norm(f"{name}.ln_f", width) | linear(f"{name}.increase_dim.0", 3 * POINTS_PER_GROUP, width, 1)


def gpt(width, depth, widths, classes=None):
    """A file of pretraining; with ``classes`` one of fine-tuning or of post-pretraining, which has 87."""
    shapes = tokenizer(widths, width) | gpt_blocks("blocks", width, depth) | gpt_blocks("generator_blocks", width, 4)
    shapes |= {"sos_pos": (1, 1, width)} | norm("norm", width)
    if classes is None:
        return {f"GPT_Transformer.{name}": shape for name, shape in shapes.items()}
    tokens = {"cls_token": (1, 1, width), "cls_pos": (1, 1, width)}
    return shapes | tokens | norm("blocks.cls_norm", width) | head("blocks.cls_head_finetune", 2 * width, classes)


def mae_block(name, width):
    shapes = norm(f"{name}.norm1", width) | norm(f"{name}.norm2", width)
    shapes |= linear(f"{name}.mlp.fc1", 4 * width, width) | linear(f"{name}.mlp.fc2", width, 4 * width)
    return shapes | linear(f"{name}.attn.qkv", 3 * width, width, bias=False) | linear(f"{name}.attn.proj", width, width)


def femae_block(name, width):
    shapes = mae_block(name, width) | norm(f"{name}.cls_norm", width)
    shapes |= linear(f"{name}.cls.conv1.0", width, 2 * width, 1, 1, bias=False)
    shapes |= linear(f"{name}.cls.conv2.0", width, width, 1, bias=False)
    for number in (1, 2):  # one module under two names
        shapes |= batch_norm(f"{name}.cls.bn{number}", width) | batch_norm(f"{name}.cls.conv{number}.1", width)
    return shapes


def mlp_positions(name, width, hidden=128):
    return linear(f"{name}.0", hidden, 3) | linear(f"{name}.2", width, hidden)


def femae(width, depth, widths, classes=None, hidden=128):
    """A file of pretraining; with ``classes`` one of fine-tuning."""
    shapes = tokenizer(widths, width) | mlp_positions("pos_embed", width, hidden) | norm("norm", width)
    for number in range(depth):
        shapes |= femae_block(f"blocks.blocks.{number}", width)
    if classes is not None:
        return shapes | head("cls_head_finetune", 2 * width, classes)
    shapes = {f"MAE_encoder.{name}": shape for name, shape in shapes.items()}
    for branch in ("block", "rand"):
        shapes |= {f"mask_token_{branch}": (1, 1, width)} | mlp_positions(f"decoder_pos_embed_{branch}", width)
        shapes |= linear(f"increase_dim_{branch}.0", 3 * POINTS_PER_GROUP, width, 1)
        shapes |= norm(f"MAE_decoder_{branch}.norm", width)
        for number in range(4):
            shapes |= mae_block(f"MAE_decoder_{branch}.blocks.{number}", width)
    return shapes


def count(shapes):
    """The number of parameters: without statistics, and a module under two names counts once."""
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    names = [n for n in shapes if not n.endswith(buffers) and ".cls.bn" not in n]
    return sum(torch.Size(shapes[name]).numel() for name in names)


def drawn(shapes):
    """Random tensors; statistics are possible ones, and the two names of a module hold the same."""
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.randn(shape, generator=generator) * 0.4 for name, shape in shapes.items()}
    for name, tensor in state.items():
        if name.endswith("running_var"):
            state[name] = tensor.abs() + 0.5
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
    for name in state:
        if ".cls.bn" in name:
            state[name] = state[_other(name)]
    return state


def _other(name):
    """The second name of a BatchNorm's tensor: cls.bn1.X is cls.conv1.1.X."""
    start, _, rest = name.partition(".cls.bn")
    number, _, field = rest.partition(".")
    return f"{start}.cls.conv{number}.1.{field}"
