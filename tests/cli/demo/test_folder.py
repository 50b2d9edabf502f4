"""The demo empties parts of its folder: it takes none that is somebody else's."""

import json
import os

import click
import pytest
from click.testing import CliRunner
from lookalike_cli.demo import command
from lookalike_cli.demo.folder import MARK, claimed

pytestmark = pytest.mark.torch


def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "wedding.jpg").write_bytes(b"")

    result = CliRunner().invoke(command, ["--out", str(tmp_path)])

    assert result.exit_code == 1
    assert "out: expected a new or empty folder, or one that a demo made, got" in result.output
    assert [path.name for path in tmp_path.rglob("*")] == ["photos", "wedding.jpg"]


def test_a_folder_of_an_earlier_demo_is_taken_again_but_not_by_two_at_once(tmp_path):
    out = tmp_path / "new" / "demo"
    with claimed(out):
        (out / "photos").mkdir()
        with pytest.raises(click.ClickException, match="expected no other demo in"), claimed(out):
            pass
    with claimed(out):
        assert {path.name for path in out.iterdir()} == {MARK, "photos"}


def test_a_folder_over_which_services_run_is_refused(tmp_path):
    replica = dict.fromkeys(("address", "admin_address", "metrics_address"), "127.0.0.1:1")
    with claimed(tmp_path):
        pass
    up = {"pid": os.getpid(), "embedder": replica, "search": replica}
    (tmp_path / "up.json").write_text(json.dumps(up))

    with pytest.raises(click.ClickException, match="expected no `lookalike up` over"):
        claimed(tmp_path).__enter__()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "epochs: expected at least 1, got 0"),
        (["--side", "20"], "side: expected 32 to 896, got 20"),
        (["--rows", "10"], "10 is not in the range x>=1000"),
        (["--items", "1"], "1 is not in the range x>=2"),
    ],
)
def test_options_out_of_range_are_named_before_anything_is_written(tmp_path, arguments, message):
    result = CliRunner().invoke(command, ["--out", str(tmp_path / "out"), *arguments])

    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()
