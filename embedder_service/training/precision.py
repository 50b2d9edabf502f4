"""In what numbers the body computes while it learns."""

from __future__ import annotations

import torch

from lookalike_kit import cpu

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def device_of(name: str) -> torch.device:
    """ "auto" is the GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def precision_of(name: str, device: torch.device) -> torch.dtype:
    """ "auto" is bfloat16 where the device computes in it; else float16 on a GPU, float32 on a CPU.

    float16 needs its loss scaled.
    """
    if name != "auto":
        return _DTYPES[name]
    if device.type == "cuda":
        is_native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if is_native else torch.float16
    return torch.bfloat16 if cpu.has_bfloat16(cpu.features()) else torch.float32
