import os
import platform

from lookalike_kit import cpu


def test_an_x86_processor_says_what_it_can_do(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\nbugs\t\t: bf16\n")

    assert cpu.features(cpuinfo) == (platform.machine(), "avx2", "avx512f", "avx512_bf16")
    assert cpu.has_bfloat16(cpu.features(cpuinfo))


def test_an_older_one_has_no_bfloat16(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags\t\t: fpu avx2\n")

    assert not cpu.has_bfloat16(cpu.features(cpuinfo))


def test_an_arm_processor_calls_them_features(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("Features\t: fp asimd bf16\n")

    assert cpu.features(cpuinfo)[1:] == ("asimd", "bf16")


def test_where_nothing_can_be_read_only_the_architecture_is_known(tmp_path):
    assert cpu.features(tmp_path / "none") == (platform.machine(),)


def test_a_container_s_limit_bounds_the_cores(tmp_path):
    limit = tmp_path / "cpu.max"
    limit.write_text("50000 100000\n")

    assert cpu.cores(limit) == 1


def test_without_a_limit_the_affinity_bounds_the_cores(tmp_path):
    limit = tmp_path / "cpu.max"
    limit.write_text("max 100000\n")

    assert cpu.cores(limit) == cpu.cores(tmp_path / "none") == len(os.sched_getaffinity(0))
