"""Pods of one tier, each on a host of its own, behind a headless name: replaced as Kubernetes does.

A pod that ends is taken out of its name, and one that is ready put into it, a second later than a
kubelet would see it: until the cluster's DNS has heard of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from lookalike_cli.processes import Running
from lookalike_cli.scrape import scrape

from proofs.hosts import Host, Network

NEWS_SECONDS = 1.0
# terminationGracePeriodSeconds, after which a kubelet would kill.
GRACE_PERIOD_SECONDS = 30.0

# On a host, for the pod of this number: a StatefulSet's keep their numbers, and with them a cache.
Start = Callable[[Host, int], Running]


@dataclass
class Pod:
    number: int
    host: Host
    running: Running

    def calls(self) -> float:
        """How many it has answered."""
        samples = scrape(self.running.metrics_address)
        return sum(n for (name, _), n in samples.items() if name == "grpc_server_handled_total")


class Tier:
    """surges: whether a new pod is ready before an old one ends (a Deployment's), or only after."""

    def __init__(
        self,
        name: str,
        network: Network,
        start: Start,
        tell: Callable[[], None],
        *,
        surges: bool,
    ) -> None:
        self.name = name
        self.pods: list[Pod] = []
        self.replaced = 0
        self.exit_codes: set[int] = set()
        self._network = network
        self._start = start
        self._tell = tell
        self._surges = surges
        self._started = 0

    def addresses(self) -> list[str]:
        """What the name resolves to."""
        return [pod.host.address for pod in self.pods]

    def grow(self) -> Pod:
        """One pod more; returns when its name has it."""
        pod = self._new(len(self.pods))
        self._put(pod)
        return pod

    def roll(self, settle_seconds: float) -> None:
        """Every pod once, one after the other, when the one before has been ready for so long."""
        for old in list(self.pods):
            if self._surges:
                self._put(self._new(old.number))
                time.sleep(settle_seconds)
                self._end(old)
            else:
                self._end(old)
                self._put(self._new(old.number))
                time.sleep(settle_seconds)
            self.replaced += 1

    def _new(self, number: int) -> Pod:
        self._started += 1
        host = self._network.host(f"{self.name}-{self._started}")
        return Pod(number, host, self._start(host, number))

    def _put(self, pod: Pod) -> None:
        time.sleep(NEWS_SECONDS)
        self.pods.append(pod)
        self._tell()

    def _end(self, pod: Pod) -> None:
        pod.running.process.terminate()
        time.sleep(NEWS_SECONDS)
        self.pods.remove(pod)
        self._tell()
        code = pod.running.process.wait(GRACE_PERIOD_SECONDS)
        if code:
            log = pod.running.log.read_text()
            print(f"{self.name}-{pod.number} ended with {code}:", log[-9000:])
        self.exit_codes.add(code)
        pod.host.remove()
