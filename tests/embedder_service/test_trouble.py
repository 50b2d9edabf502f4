import pytest

from embedder_service.trouble import is_lost, is_out_of_memory


class OutOfMemoryError(RuntimeError):
    """As torch's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total ..."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously ..."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_a_lack_of_memory_is_told_from_a_lost_device(error):
    assert is_out_of_memory(error)
    assert not is_lost(error)


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA` ...",
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: uncorrectable ECC error encountered",
        "CUDA error: unspecified launch failure",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    ],
)
def test_an_error_that_outlives_its_batch_is_a_lost_device(words):
    assert is_lost(RuntimeError(words))
    assert not is_out_of_memory(RuntimeError(words))


def test_any_other_error_is_neither():
    for error in (ValueError("CUDA error: quoted"), RuntimeError("expected 3 channels, got 4")):
        assert not is_lost(error)
        assert not is_out_of_memory(error)


@pytest.mark.torch
def test_what_torch_itself_raises_without_memory_is_told():
    import torch

    with pytest.raises(RuntimeError) as error:
        torch.empty(10**15)

    assert is_out_of_memory(error.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
