"""What the Dockerfile says, where a build would not tell."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text()
TIERS = ("embedder", "search")


def stage(name: str) -> str:
    of_this_name = rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)"
    [found] = re.findall(of_this_name, DOCKERFILE, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_runs_as_a_number_that_is_not_root(tier):
    assert "USER 65532:65532\n" in stage(tier)
    assert f'ENTRYPOINT ["python", "-m", "{tier}_service"]\n' in stage(tier)


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_installs_its_lock_by_hash(tier):
    lock = (ROOT / f"requirements/{tier}.txt").read_text()

    assert "--require-hashes" in stage(f"{tier}-environment")
    assert f"requirements/{tier}.txt" in stage(f"{tier}-environment")
    for requirement in re.split(r"\n(?=[a-z])", lock)[1:]:
        assert "--hash=sha256:" in requirement
    assert "://" not in lock


def test_no_processor_of_the_machine_that_builds_gets_into_annoy():
    [flags] = re.findall(r"ANNOY_COMPILER_ARGS=(\S+)", stage("search-environment"))

    assert "-march=${MARCH}" in flags.split(",")
    assert "ARG MARCH=x86-64-v3\n" in stage("search-environment")
    assert "native" not in flags
    # Without it a build takes one core, whatever it is told.
    assert "-DANNOYLIB_MULTITHREADED_BUILD" in flags.split(",")


def test_the_search_image_has_no_torch_and_no_image_sends_telemetry():
    locks = {tier: (ROOT / f"requirements/{tier}.txt").read_text() for tier in TIERS}

    assert not re.search(r"^(torch|pillow)", locks["search"], re.MULTILINE)
    for lock in locks.values():
        for found in re.findall(r"^openvino-telemetry.*", lock, re.MULTILINE):
            assert "sys_platform == 'none'" in found


def test_what_is_copied_is_not_left_out():
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }

    assert all((ROOT / each).exists() for each in kept)
    assert set(re.findall(r"^COPY (requirements/\S+)", DOCKERFILE, re.MULTILINE)) <= kept
