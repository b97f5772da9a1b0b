"""The type of the matrix products: which one is faster on a device, and how a model computes in it."""

from contextlib import AbstractContextManager

import torch
from torch import nn

from benchmarks.backbones import EMBEDDED
from benchmarks.backbones.names import parse


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Compute matrix products in ``dtype`` inside the ``with`` block; float32 changes nothing."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def suit_attention(model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Let timm's attention make its products one by one where torch's fused function is slow.

    This is so in bfloat16 on a CPU, in the backward pass (benchmarks/timing/README.md).
    """
    if device.type == "cpu" and dtype == torch.bfloat16:
        for part in model.modules():
            if hasattr(part, "fused_attn"):
                part.fused_attn = False  # type: ignore[assignment]


def auto_dtype(device: torch.device, backbone: str) -> torch.dtype:
    """bfloat16 where the device supports it in hardware and the backbone gets faster, else float32.

    The embedded backbones get slower on a CPU, because their products are small (benchmarks/timing/README.md).
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if parse(backbone).model in EMBEDDED:
        return torch.float32
    units = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if units and torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
