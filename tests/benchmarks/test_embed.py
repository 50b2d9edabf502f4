"""make bench-embed at its smallest: to its last line; what it measures here says nothing."""

import json

import pytest

pytestmark = pytest.mark.torch


@pytest.mark.timeout(600)  # two processes that import torch
def test_a_model_is_measured_at_a_small_size(capsys):
    from benchmarks import embed

    embed.main(["--quick", "--parts", "model"])

    figures = _figures(capsys)
    assert figures["throughput_vs_model_loop"] > 0
    assert figures["compiled_vs_eager"] > 0
    assert figures["failed_at_80"] == 0
    assert set(figures["by_batch"]) == {"1", "2"}


def test_a_run_in_several_turns_measures_each_part_once(tmp_path, monkeypatch, capsys):
    from benchmarks import embed, record

    asked = []

    def part(name):
        return lambda quick: asked.append(name) or {f"{name}_figure": 1}

    monkeypatch.setattr(embed, "PARTS", {name: part(name) for name in ("model", "host")})
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    kept = ["--keep", str(tmp_path / "kept")]
    embed.main(["--parts", "host", *kept])
    assert not (tmp_path / "results").exists()

    embed.main(["--parts", "model,host", *kept])

    figures = _figures(capsys)
    assert asked == ["host", "model"]
    assert (figures["model_figure"], figures["host_figure"]) == (1, 1)
    assert len([*(tmp_path / "results").iterdir()]) == 1


def test_a_part_of_another_machine_is_measured_here(tmp_path, monkeypatch):
    from benchmarks import embed

    asked = []
    part = {"host": lambda quick: asked.append("host") or {"host_figure": 1}, "model": None}
    monkeypatch.setattr(embed, "PARTS", part)
    for name in ("one", "another"):
        monkeypatch.setattr(embed, "machine", lambda name=name: name)
        embed.main(["--parts", "host", "--keep", str(tmp_path)])

    assert asked == ["host", "host"]


def test_the_host_is_measured_at_a_small_size(capsys):
    from benchmarks import embed

    embed.main(["--quick", "--parts", "host"])

    figures = _figures(capsys)
    assert figures["host_overhead"] > 0
    assert figures["host_path_vs_decode_loop"] > 0


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
def test_decoders_are_compared_at_a_small_size(capsys):
    from benchmarks import embed

    embed.main(["--quick", "--parts", "decoders"])

    rates = _figures(capsys)["decoders"]["images_a_second"]
    assert set(rates) >= {
        "served",
        "Pillow",
        "simplejpeg, any scale",
        "torchvision",
        "OpenCV, reduced",
    }


def test_starts_are_timed_with_files_that_are_not_in_memory(tmp_path):
    from lookalike_cli import processes

    from benchmarks import embed_starts

    kernels = tmp_path / "kernels"
    kernels.mkdir()
    (tmp_path / "weights").write_bytes(bytes(4096))
    embed_starts.forget([tmp_path], kernels)

    seconds = embed_starts.seconds_to_serving(
        lambda: processes.start(
            "benchmarks.embedder_stand_in",
            "LOOKALIKE_EMBEDDER_",
            {"model": 1, "drain_seconds": 0},
        )
    )

    assert seconds > 0
    assert not kernels.exists()
    assert (tmp_path / "weights").read_bytes() == bytes(4096)


def _figures(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])
