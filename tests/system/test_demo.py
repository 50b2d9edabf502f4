"""The demo's quick form: the same acts on a small catalogue."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, _played(out, "--items", "30", "--rows", "3000")


def _played(out, *options):
    small = ("--epochs", "1", "--side", "48")
    done = subprocess.run(
        [sys.executable, "-m", "lookalike_cli", "demo", "--out", str(out), *small, *options],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_last_line_holds_every_figure(demo):
    _, printed = demo

    facts = json.loads(printed.strip().splitlines()[-1])

    assert facts["images"] == 240
    assert facts["items"] == 30
    assert facts["dimension"] == 512
    assert facts["failed_calls"] == 0
    assert facts["calls_during_swap"] >= 2_000
    assert facts["generations_served"] == [1, 2]
    assert facts["recall_vs_exact"] >= 0.9
    assert facts["vectors_at_scale"] == 3_000
    assert facts["refused_generations"] == 1
    named = {
        "calls", "precision_at_10", "recall_at_1_item", "chance_recall_at_1",
        "colour_histogram_recall_at_1", "untrained_recall_at_1", "query_p50_ms", "query_p99_ms",
        "recovery_seconds", "seconds",
    }  # fmt: skip
    assert named <= facts.keys()


def test_each_act_prints_its_line_and_each_mishap_its_words(demo):
    _, printed = demo

    for number in range(1, 9):
        assert f"\n{number}  " in "\n" + printed
    for words in ("hash_mismatch", "FAILED_PRECONDITION", "IMAGE_TOO_LARGE", "after kill -9"):
        assert words in printed


def test_the_pictures_and_the_report_are_there(demo):
    out, _ = demo

    assert (out / "neighbours.png").stat().st_size > 100_000
    page = (out / "report.html").read_text()
    assert "What looks like this?" in page
    assert page.count("data:image/") == 2
    assert 'src="http' not in page


def test_what_it_made_can_be_served_again(demo):
    out, _ = demo

    assert list(out.glob("models/*/model.json"))
    assert (out / "indexes" / "catalogue" / "CURRENT").exists()
    assert not (out / "scale").exists()
    assert (out / "logs" / "scale.log").exists()


def test_lone_photos_without_folders_go_all_the_way_and_it_says_what_nobody_can_judge(tmp_path):
    photos = tmp_path / "my [old] photos"
    photos.mkdir()
    for number in range(14):
        _picture(number).save(photos / f"it's {number}.png")
    (photos / "broken[x].jpg").write_text("not an image")

    printed = _played(tmp_path / "out", "--images", str(photos), "--rows", "1000")
    page = (tmp_path / "out" / "report.html").read_text()

    facts = json.loads(printed.strip().splitlines()[-1])
    assert (facts["images"], facts["items"], facts["damaged_images"]) == (14, 14, 1)
    assert facts["recall_at_1_item"] is None
    assert facts["colour_histogram_recall_at_1"] is None
    assert facts["failed_calls"] == 0
    assert facts["recall_vs_exact"] >= 0.9
    assert "left out: broken[x].jpg" in printed
    for text in (printed, page):
        assert "nobody can say whether a photo finds its own item" in text
    searching = next(line for line in printed.splitlines() if "lookalike search" in line)
    assert Path(shlex.split(searching)[2]).parent == photos


def _picture(number):
    """Transparent around a mark, as cut-outs are."""
    return Image.effect_mandelbrot((80, 60), (-2, -1, 1, 1 + number / 9), 40).convert("RGBA")
