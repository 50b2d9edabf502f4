"""Every alert has its page, and what the pages say to type prints what they say it does."""

import json
import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml
from lookalike.search.v1 import admin_pb2

from tests.runbooks import fleet as troubles
from tests.runbooks.fleet import as_before, running_fleet
from tests.runbooks.pages import FOLDER, Command, Page, matches, pages
from tests.runbooks.shell import Shell
from tools.monitoring.alert import kebab
from tools.monitoring.alerts import alerts
from tools.monitoring.clock import Clock

ROOT = Path(__file__).parents[2]
PAGES = {page.name: page for page in pages()}
ALERTS = {kebab(alert.name): alert.name for alert in alerts(Clock())}
# What the fleet has while a page is tried. The one that leaves a refusal behind is the last.
SITUATIONS = {
    "hold-too-long": troubles.held,
    "pin-too-long": troubles.pinned,
    "publish-failed": troubles.unserved,
    "fleet-split": troubles.split,
    "store-unread": troubles.without_store,
    "spaces-mismatched": troubles.other_space,
    "nothing-served": troubles.nothing_served,
    "generation-refused": troubles.damaged,
}
IN_ORDER = sorted(PAGES, key=lambda name: (name == "generation-refused", name))
# A server that nobody runs: kubectl reads the whole line before it finds out.
NOBODY = ("--kubeconfig=/dev/null", "--server=http://127.0.0.1:1")
_INLINE = re.compile(r"`(kubectl [^`]+)`")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    with running_fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not installed: its lines are not parsed")
    return found


@pytest.fixture(scope="session")
def production(kubectl) -> list[dict]:
    overlay = ROOT / "deploy" / "kubernetes" / "overlays" / "production"
    ran = subprocess.run(
        [kubectl, "kustomize", str(overlay)], capture_output=True, text=True, check=True
    )
    return list(yaml.load_all(ran.stdout, yaml.CSafeLoader))


def test_every_alert_has_a_page_and_every_page_an_alert():
    assert PAGES.keys() == ALERTS.keys()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_all_its_parts(name):
    page = PAGES[name]

    assert page.title == ALERTS[name]
    assert re.search(r"^(Page|Ticket)\b", page.text, re.MULTILINE)
    assert "\n**Users see** " in page.text
    assert len(page.commands("Look")) == 3
    assert page.part("Undo").strip()
    assert page.part("Whom to wake").strip()


@pytest.mark.parametrize("name", PAGES)
def test_a_pages_panels_are_on_the_dashboard_that_it_names(name):
    said = PAGES[name].text.replace("\n", " ")
    [(panel, dashboard)] = re.findall(r"\*\*First panel:\*\* \*([^*]+)\* \((Look[^)]+)\)", said)

    assert panel in titles(dashboard)
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", said))
    known = titles("Lookalike: service") | titles("Lookalike: operations") | headings()
    assert named <= known


@cache
def titles(dashboard: str) -> set[str]:
    for path in (ROOT / "deploy/monitoring/dashboards").glob("*.json"):
        found = json.loads(path.read_text())
        if found["title"] == dashboard:
            return set(re.findall(r'"title": "([^"]+)"', path.read_text()))
    raise AssertionError(f"there is no dashboard {dashboard}")


@cache
def headings() -> set[str]:
    """Of the other pages of docs/, which a page may send one to."""
    found = [path.read_text() for path in (ROOT / "docs").glob("*.md")]
    return {line for text in found for line in re.findall(r"^## (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("name", IN_ORDER)
def test_what_is_typed_prints_what_the_page_says(fleet, name):
    SITUATIONS.get(name, troubles.calm)(fleet)
    shell = Shell(fleet)
    try:
        typed = [
            each
            for heading in ("Look", "Undo")
            for each in PAGES[name].commands(heading)
            if each.stages[-1].startswith("lookalike ") or len(each.stages) > 1
        ]
        assert typed
        for command in typed:
            printed = shell.run(command.stages)
            assert matches(command.printed, printed), f"$ {command.line}\n{printed}"
    finally:
        if name in SITUATIONS or PAGES[name].commands("Undo"):
            fleet.admin(0).Unpin(admin_pb2.UnpinRequest(index="dresses"), timeout=60)
            as_before(fleet)


@pytest.mark.parametrize("name", PAGES)
def test_kubectl_understands_every_line_of_its_own(kubectl, production, name):
    for line in kubectl_lines(PAGES[name]):
        said = tried(kubectl, line)
        assert "127.0.0.1:1 was refused" in said, f"{line}\n{said}"
        assert_known(line, production)


def test_a_line_that_kubectl_does_not_know_is_found(kubectl):
    for line in (
        "kubectl -n lookalike rollout undoo deployment/embedder",
        "kubectl -n lookalike get pods --bogus",
    ):
        assert "was refused" not in tried(kubectl, line)


def test_another_line_is_put_into_a_job_as_the_readme_says(kubectl, production, tmp_path):
    cron_job = next(each for each in production if each["metadata"]["name"] == "index-status")
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "look-1"},
        "spec": cron_job["spec"]["jobTemplate"]["spec"],
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    readme = Page("README", (FOLDER / "README.md").read_text())
    [_, patch, _] = readme.commands("Where to type")

    ran = subprocess.run(
        [kubectl, *shlex.split(patch.line.partition(" > ")[0])[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    [container] = yaml.safe_load(ran.stdout)["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["index", "rollback", "dresses", "--store=/store", "--to=12"]


@pytest.mark.parametrize("path", [*FOLDER.glob("*.md")], ids=lambda path: path.stem)
def test_a_page_links_to_what_is_there(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_printed_lines_are_compared_by_what_does_not_change():
    said = ("a  1  3f2a91c4  9 h", "...", "b took 1.5 ms ... more")

    assert matches(said, "a 1 55555555 23 s\nb took 20.25 ms and more\n")
    assert matches(said, "a 1 55555555 23 s\nx\ny\nb took 0.1 ms  more\n")
    assert not matches(said, "a 2 55555555 23 s\nb took 1.5 ms and more\n")
    assert not matches(said, "a 1 55555555 23 s\n")


@cache
def tried(kubectl: str, line: str) -> str:
    """What kubectl has to say of it: that nobody is there, if it could be sent."""
    words = [kubectl, *NOBODY, *shlex.split(line)[1:]]
    return subprocess.run(words, capture_output=True, text=True, check=False).stderr


def kubectl_lines(page: Page) -> list[str]:
    """What it has in blocks, before the first pipe, and in its sentences."""
    commands: list[Command] = [
        each for heading in ("Look", "Undo") for each in page.commands(heading)
    ]
    blocks = [each.stages[0] for each in commands if each.stages[0].startswith("kubectl ")]
    return list(dict.fromkeys([*blocks, *_INLINE.findall(page.text.replace("\n", " "))]))


def assert_known(line: str, production: list[dict]) -> None:
    """Kinds with names, labels and containers are those of the manifests."""
    names = {(each["kind"].lower(), each["metadata"]["name"]) for each in production}
    for kind, name in re.findall(r"\b(deployment|statefulset|cronjob)/([a-z-]+)", line):
        assert (kind, name) in names, line
    text = json.dumps(production)
    for key, value in re.findall(r"-l (app\.[^=]+)=(\S+)", line):
        assert f'"{key}": "{value}"' in text, line
    for container in re.findall(r" -c ([a-z]+)", line):
        assert f'"name": "{container}"' in text, line
