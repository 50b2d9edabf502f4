"""Debian's Prometheus as a child process: it scrapes who is on a list, and is asked over HTTP."""

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.monitoring.clock import Clock
from tools.monitoring.rules import groups

SCRAPE_SECONDS = 1.0
READY_SECONDS = 60.0
Series = tuple[Mapping[str, str], list[tuple[float, float]]]  # labels; times and values


class NoPrometheus(Exception):
    """It is not installed, or did not become ready."""


@dataclass(frozen=True)
class Prometheus:
    """address: HOST:PORT of its API. targets: the file that lists whom it scrapes."""

    address: str
    targets: Path

    def scrape(self, replicas: Mapping[str, tuple[str, str]]) -> None:
        """By replica's name the job and the address of /metrics; it notices within a second."""
        listed = [
            {"targets": [address], "labels": {"job": job, "instance": name}}
            for name, (job, address) in replicas.items()
        ]
        whole = self.targets.with_suffix(".new")
        whole.write_text(json.dumps(listed))
        whole.rename(self.targets)

    def firing(self) -> set[tuple[str, str]]:
        """Name and severity of the alerts that fire now."""
        found = self.ask("rules", type="alert")["groups"]
        return {
            (rule["name"], rule["labels"]["severity"])
            for group in found
            for rule in group["rules"]
            if any(alert["state"] == "firing" for alert in rule["alerts"])
        }

    def troubles(self) -> list[str]:
        """Rules that could not be evaluated."""
        return [
            f"{rule['name']}: {rule['lastError']}"
            for group in self.ask("rules")["groups"]
            for rule in group["rules"]
            if rule.get("lastError")
        ]

    def query(self, expr: str) -> list[Mapping[str, str]]:
        """The labels of what it is now."""
        return [each["metric"] for each in self.ask("query", query=expr)["result"]]

    def between(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """What it was from time.time() to time.time()."""
        found = self.ask("query_range", query=expr, start=start, end=end, step=step)["result"]
        return [
            (each["metric"], [(at, float(value)) for at, value in each["values"]]) for each in found
        ]

    def ask(self, what: str, **parameters: object) -> Any:
        """The data of an answer of the API; HTTPError for what is no PromQL."""
        url = f"http://{self.address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]


@contextmanager
def prometheus(folder: Path, clock: Clock) -> Iterator[Prometheus]:
    """Runs with Lookalike's rules by this clock until the `with` ends. NoPrometheus."""
    found = shutil.which("prometheus")
    if found is None:
        raise NoPrometheus("prometheus is not installed (Debian's package prometheus)")
    folder.mkdir()
    (folder / "rules.yaml").write_text(yaml.safe_dump(groups(clock)))
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(_configuration()))
    (folder / "targets.json").write_text("[]")
    address = _free_address()
    command = [
        found,
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            _wait_until_ready(address, process, folder / "log")
            yield Prometheus(address, folder / "targets.json")
        finally:
            process.kill()


def _configuration() -> dict[str, Any]:
    every = f"{SCRAPE_SECONDS:.0f}s"
    found_by = [{"files": ["targets.json"], "refresh_interval": "1s"}]
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "lookalike", "file_sd_configs": found_by}],
    }


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise NoPrometheus(f"expected to be ready, got: {log.read_text()[-2000:]}")


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
