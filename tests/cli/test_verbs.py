import subprocess
import sys

import pytest
from lookalike_cli import verbs
from lookalike_cli.verbs import VERBS, Verb

OURS = ("embed", "search", "status", "up")


def test_help_lists_every_verb_in_a_sentence(lookalike_command):
    shown = lookalike_command("--help").output

    for name, verb in VERBS.items():
        assert f"  {name} " in shown
        assert verb.summary.split()[0] in shown


def test_help_imports_no_verb():
    code = (
        "import sys\n"
        "from lookalike_cli.verbs import lookalike\n"
        "lookalike(['--help'], standalone_mode=False)\n"
        "assert not any(name.startswith('lookalike_cli.embed') for name in sys.modules)\n"
        "assert 'numpy' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_help_of_the_demo_does_without_torch():
    code = (
        "import sys\n"
        "from lookalike_cli.verbs import lookalike\n"
        "lookalike(['demo', '--help'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("name", OURS)
def test_every_verb_shows_an_example_and_speaks_json(lookalike_command, name):
    shown = lookalike_command(name, "--help").output

    assert f"lookalike {name}" in shown
    assert "--json" in shown


def test_a_verb_whose_extra_is_missing_says_what_to_install(
    lookalike_command, tmp_path, monkeypatch
):
    (tmp_path / "verb_of_another_extra.py").write_text("import not_installed_anywhere.deep")
    monkeypatch.syspath_prepend(tmp_path)
    verb = Verb("verb_of_another_extra", "graph", "Draws.")
    monkeypatch.setitem(verbs.VERBS, "draw", verb)

    result = lookalike_command("draw")

    assert result.exit_code == 1
    assert "needs not_installed_anywhere: pip install '.[graph]' in a checkout" in result.output


def test_the_command_itself_says_what_to_install_without_click():
    code = "import sys; sys.modules['click'] = None; import lookalike_cli.__main__ as m; m.main()"

    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)

    assert result.returncode == 1
    assert b"pip install '.[cli]' in a checkout" in result.stderr


def test_an_unknown_verb_is_refused(lookalike_command):
    assert lookalike_command("serach").exit_code == 2


def test_a_services_refusal_is_one_line_with_its_reason(lookalike_command, reachable):
    result = lookalike_command("search", "--item", "gone", *reachable)

    assert result.exit_code == 1
    assert "UNKNOWN_ITEM: item_id: expected an item of dresses, got 'gone'" in result.output
    assert "Traceback" not in result.output
