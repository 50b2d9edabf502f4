"""What an exception from the model says of the device: short of memory, or lost for good.

Told by the words, because this file's users know no torch, and because torch says most of it by
RuntimeError: its CPU allocator, cuBLAS and cuDNN have no class of their own.
"""

from __future__ import annotations

import grpc
from lookalike.v1.error_reason_pb2 import ErrorReason

from lookalike_kit.errors import ServiceError

_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
)
# After these every further call fails until the process ends: the CUDA context is gone.
_LOST = ("cuda error", "cudnn_status_execution_failed", "cudnn_status_internal_error")


class DeviceFailed(ServiceError):
    """The device cannot do it, now or ever; another replica's may."""

    status = grpc.StatusCode.UNAVAILABLE
    reason = ErrorReason.ERROR_REASON_DEVICE_FAILED


def is_out_of_memory(error: Exception) -> bool:
    """Whether fewer images might fit."""
    return isinstance(error, MemoryError) or _says(error, _NO_MEMORY)


def is_lost(error: Exception) -> bool:
    """Whether the device is of no more use to this process."""
    return not is_out_of_memory(error) and _says(error, _LOST)


def _says(error: Exception, words: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
