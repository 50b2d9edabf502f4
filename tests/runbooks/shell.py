"""Types a page's command at the local fleet, with its addresses in place of the page's names."""

import re
import shlex
import subprocess

from click.testing import CliRunner
from lookalike_cli.processes import Running
from lookalike_cli.verbs import lookalike

from tests.runbooks.fleet import Fleet

_NOBODY = "127.0.0.1:1"


class Shell:
    """A page names search-0:50061, search-replicas:50061, embedder:50051, store/ and ids."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        replicas = [_where(each) for each in fleet.shown]
        self._words = {
            "--embedder embedder:50051": f"--embedder {_where(fleet.embedder)} --seconds 0",
            "--search search-replicas:50061": _each("--search", replicas),
            "--replicas search-replicas:50061": _each("--replica", replicas),
            "--search search-0:50061": f"--search {replicas[0]} --seconds 0",
            "search-2:50061": ",".join([_NOBODY] * 3),
            "--replica search-0:50061": f"--replica {replicas[0]}",
            "store/": f"{fleet.store.root}",
            **fleet.ids,
        }
        self._names = {
            fleet.embedder.address: "embedder-0:50051",
            fleet.embedder.admin_address: "embedder-0:50052",
            **{
                address: f"search-{number}:{port}"
                for number, each in enumerate(fleet.shown)
                for address, port in ((each.address, 50061), (each.admin_address, 50062))
            },
            _NOBODY: "search-2:50061",
            str(fleet.store.root): "store",
            **{actual: named for named, actual in fleet.ids.items()},
        }

    def run(self, stages: list[str]) -> str:
        """What a pipeline prints. `kubectl logs` gives the fleet's logs; other kubectl nothing."""
        text = ""
        for stage in stages:
            words = shlex.split(self._local(stage))
            if words[:1] == ["kubectl"]:
                text = self._fleet.logs(*re.findall(r"/component=(\w+)", stage))
            elif words[:1] == ["lookalike"]:
                text = CliRunner().invoke(lookalike, words[1:], input=text).output
            else:
                ran = subprocess.run(words, input=text, capture_output=True, text=True, check=True)
                text = ran.stdout
        return self._named(text)

    def _local(self, line: str) -> str:
        for named, actual in self._words.items():
            line = line.replace(named, actual)
        return line

    def _named(self, text: str) -> str:
        for actual, named in sorted(self._names.items(), key=lambda each: -len(each[0])):
            text = text.replace(actual, named)
        return text


def _where(running: Running) -> str:
    return ",".join((running.address, running.admin_address, running.metrics_address))


def _each(option: str, values: list[str]) -> str:
    return " ".join(f"{option} {value}" for value in values)
