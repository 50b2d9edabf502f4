"""The demo's quick form: the same acts on a small catalogue."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "out"
    small = ("--items", "30", "--epochs", "1", "--side", "48", "--rows", "3000")
    done = subprocess.run(
        [sys.executable, "-m", "lookalike_cli", "demo", "--out", str(out), *small],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


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
