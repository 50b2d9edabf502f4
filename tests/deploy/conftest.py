"""What `kubectl kustomize` makes of deploy/kubernetes, as Python values."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
# Components of kustomize came with it; Debian 12's own package is older.
OLDEST_KUBECTL = (1, 21)

ALL = "all components"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod's template and whose it is."""

    owner: Resource
    template: Resource

    @property
    def spec(self) -> Resource:
        return self.template["spec"]

    @property
    def labels(self) -> dict[str, str]:
        return self.template["metadata"]["labels"]

    @property
    def containers(self) -> list[Resource]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def volume(self, name: str) -> Resource:
        [found] = [each for each in self.spec["volumes"] if each["name"] == name]
        return found


@dataclass(frozen=True)
class Rendered:
    """One overlay's resources."""

    name: str
    resources: tuple[Resource, ...]

    def of(self, kind: str) -> list[Resource]:
        return [each for each in self.resources if each["kind"] == kind]

    def named(self, kind: str, name: str) -> Resource:
        [found] = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        return found

    def pods(self) -> Iterator[Pod]:
        for each in (*self.of("Deployment"), *self.of("StatefulSet")):
            yield Pod(each, each["spec"]["template"])
        for each in self.of("CronJob"):
            yield Pod(each, each["spec"]["jobTemplate"]["spec"]["template"])

    def services(self) -> list[Pod]:
        return [pod for pod in self.pods() if pod.owner["kind"] != "CronJob"]

    def jobs(self) -> list[Pod]:
        return [pod for pod in self.pods() if pod.owner["kind"] == "CronJob"]

    def environment(self, container: Resource) -> dict[str, str]:
        """What the container sees; a share of its resources stands as "1"."""
        seen: dict[str, str] = {}
        for source in container.get("envFrom", []):
            seen |= self.named("ConfigMap", source["configMapRef"]["name"])["data"]
        return seen | {one["name"]: one.get("value", "1") for one in container.get("env", [])}


Overlay = Callable[[str], Rendered]


def overlays() -> list[str]:
    return sorted(path.name for path in (KUBERNETES / "overlays").iterdir())


@pytest.fixture(scope="session")
def kubectl() -> str:
    """The command, new enough to know components."""
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not installed: deploy/kubernetes is not checked")
    said = json.loads(_run(found, "version", "--client", "--output=json"))["clientVersion"]
    version = (int(said["major"]), int(said["minor"].rstrip("+")))
    if version < OLDEST_KUBECTL:
        pytest.skip(f"kubectl {version} is older than {OLDEST_KUBECTL}: nothing is checked")
    return found


@pytest.fixture(params=[*overlays(), ALL])
def rendered(request: pytest.FixtureRequest, overlay: Overlay) -> Rendered:
    """Every overlay, and every component at once."""
    return overlay(request.param)


@pytest.fixture
def production(overlay: Overlay) -> Rendered:
    return overlay("production")


@pytest.fixture(scope="session")
def overlay(kubectl: str, tmp_path_factory: pytest.TempPathFactory) -> Overlay:
    """overlay(name): what it renders to."""

    @cache
    def rendered(name: str) -> Rendered:
        folder = KUBERNETES / "overlays" / name
        if name == ALL:
            folder = _all_components(tmp_path_factory.mktemp("all"))
        documents = yaml.load_all(_run(kubectl, "kustomize", str(folder)), yaml.CSafeLoader)
        return Rendered(name, tuple(documents))

    return rendered


def _all_components(folder: Path) -> Path:
    of = os.path.relpath(KUBERNETES, folder)
    # A pod has a GPU or does without: overlays/gpu has that one.
    names = [path.name for path in (KUBERNETES / "components").iterdir() if path.name != "gpu"]
    parts = [f"{of}/site", *(f"{of}/components/{name}" for name in sorted(names))]
    kustomization = {
        "namespace": "lookalike",
        "resources": [f"{of}/base"],
        "components": parts,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
