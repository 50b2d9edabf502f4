"""Certificates, authorities and tokens that change under load: no call may fail of it.

python -m proofs.rotation [--rounds N]

Both tiers with TLS, certificates asked of clients, and tokens. Callers go through the client with
files of their own; one makes a new client, so new connections, for every call. A round brings, one
after the other: services' certificates, the callers', a token beside the old one, the callers'
token, the end of the old one; then another authority, which both sides first trust beside the old
one. Files change as Kubernetes changes those of a Secret.
"""

from __future__ import annotations

import argparse
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from lookalike_cli.processes import Running
from lookalike_cli.scrape import scrape
from lookalike_client import Client, LookalikeError

from benchmarks.record import record, table
from proofs import tiers
from proofs.authority import Authority, Secret
from proofs.backend import photos
from proofs.replica import workplace
from search_service.store import Store

ROUNDS = 20
CALLERS = 4
PAUSE_SECONDS = 0.5  # from one change to the next, at least
_CALLER = "shop"
_DEADLINE_SECONDS, _STUCK_SECONDS = 10.0, 60.0


class Mounted:
    """The files of the services and of their callers, as they are now."""

    def __init__(self, folder: Path) -> None:
        self._numbers = itertools.count()
        self._authority = Authority("authority 0")
        self._trusted = [self._authority]
        self._token = self._new_token()
        self._known = [self._token]
        self._pairs = {side: self._new_pair(side) for side in ("services", "callers")}
        self.services = Secret(folder / "services", **self._of_services())
        self.callers = Secret(folder / "callers", **self._of_callers())

    def changes(self) -> Iterator[str]:
        """Each is made before its name comes."""
        for side in ("services", "callers"):
            yield self._renew(side)
        yield from self._change_tokens()
        old, self._authority = self._authority, Authority(f"authority {next(self._numbers)}")
        self._trusted = [old, self._authority]
        yield self._written("both authorities trusted")
        for side in ("services", "callers"):
            yield self._renew(side)
        self._trusted = [self._authority]
        yield self._written("the new authority alone trusted")

    def _change_tokens(self) -> Iterator[str]:
        old, new = self._token, self._new_token()
        self._known = [old, new]
        yield self._written("both tokens known")
        self._token = new
        yield self._written("the new token used")
        self._known = [new]
        yield self._written("the new token alone known")

    def _renew(self, side: str) -> str:
        self._pairs[side] = self._new_pair(side)
        return self._written(f"certificate of the {side}")

    def _written(self, change: str) -> str:
        self.services.replace(**self._of_services())
        self.callers.replace(**self._of_callers())
        return change

    def _of_services(self) -> dict[str, bytes]:
        tokens = "".join(f"{_CALLER} {sha256(each).hexdigest()}\n" for each in self._known)
        return {**self._of("services"), "tokens": tokens.encode()}

    def _of_callers(self) -> dict[str, bytes]:
        return {**self._of("callers"), "token": self._token}

    def _of(self, side: str) -> dict[str, bytes]:
        certificate, key = self._pairs[side]
        authorities = b"".join(each.pem for each in self._trusted)
        return {"crt": certificate, "key": key, "ca": authorities}

    def _new_pair(self, side: str) -> tuple[bytes, bytes]:
        name = "localhost" if side == "services" else _CALLER
        return self._authority.sign(side, name)

    def _new_token(self) -> bytes:
        return f"token-{next(self._numbers)}".encode()


@dataclass
class Calls:
    """What became of the callers' calls, each an Embed and a Search; how many by caller."""

    ended: list[int] = field(default_factory=lambda: [0] * CALLERS)
    failed: Counter[str] = field(default_factory=Counter)

    def wait_for_whole_ones(self) -> None:
        """Until each caller has made a call from its begin to its end.

        As long as that an old token has to be known: a call keeps the one that it began with.
        """
        before, end = list(self.ended), time.monotonic() + _STUCK_SECONDS
        while any(now < then + 2 for now, then in zip(self.ended, before, strict=True)):
            if time.monotonic() > end:
                raise SystemExit("expected every caller to go on, got one that does not")
            time.sleep(0.002)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args(arguments).rounds
    figures = measure(rounds)
    table(
        f"{rounds} rounds of changed certificates, tokens and authorities",
        list(figures),
        [list(figures.values())],
    )
    record("proof_rotation", figures, is_full_size=rounds == ROUNDS)
    if figures["failed"] or figures["refused_by_services"] or figures["changes_refused"]:
        raise SystemExit("expected no failed call and no refused file, got some")


def measure(rounds: int, pause_seconds: float = PAUSE_SECONDS) -> dict[str, Any]:
    """What became of all calls and changes."""
    with workplace() as folder:
        store, mounted = Store(folder / "store"), Mounted(folder)
        tiers.write_index(store, folder / "build")
        settings = _settings(mounted.services)
        changes = 0
        with (
            tiers.embedder(folder / "log", **settings) as embedder,
            tiers.search(store, folder / "cache", folder / "log", **settings) as search,
        ):
            with _calling(mounted.callers, embedder, search) as calls:
                for _ in range(rounds):
                    for _ in mounted.changes():
                        changes += 1
                        time.sleep(pause_seconds)
                        calls.wait_for_whole_ones()
            counted = [_counted(each) for each in (embedder, search)]
    refused, loaded, not_loaded = (sum(each) for each in zip(*counted, strict=True))
    return {
        "changes": changes,
        "calls": sum(calls.ended),
        "failed": calls.failed.total(),
        "failures": dict(calls.failed.most_common(3)),
        # Also of the calls that the client would have tried again.
        "refused_by_services": refused,
        "changes_taken": loaded,
        "changes_refused": not_loaded,
    }


def _settings(services: Secret) -> dict[str, Any]:
    return {
        "tls_certificate": services["crt"],
        "tls_key": services["key"],
        "tls_client_ca": services["ca"],
        "tokens": services["tokens"],
    }


@contextmanager
def _calling(files: Secret, embedder: Running, search: Running) -> Iterator[Calls]:
    calls, stop = Calls(), threading.Event()
    looks = photos()

    def client() -> Client:
        return Client(
            embedder=_by_name(embedder),
            search=_by_name(search),
            deadline_seconds=_DEADLINE_SECONDS,
            tls_ca=files["ca"],
            tls_certificate=files["crt"],
            tls_key=files["key"],
            token_file=files["token"],
        )

    def keep_calling(caller: int) -> None:
        asking = client()
        for number in itertools.takewhile(lambda _: not stop.is_set(), itertools.count()):
            if caller == 0:
                asking.close()
                asking = client()
            if error := _error_of(asking, looks[number % len(looks)]):
                calls.failed[error] += 1
            calls.ended[caller] += 1
        asking.close()

    threads = [threading.Thread(target=keep_calling, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield calls
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _error_of(client: Client, photo: bytes) -> str:
    try:
        client.similar(tiers.INDEX, photo, k=5)
    except LookalikeError as error:
        return f"{type(error).__name__}: {str(error)[:160]}"
    return ""


def _by_name(running: Running) -> str:
    return running.address.replace("127.0.0.1", "localhost")


def _counted(running: Running) -> tuple[int, int, int]:
    """Calls that were not answered; files taken, files refused."""
    refused = loaded = not_loaded = 0
    if running.exit_code is not None:
        raise SystemExit(f"{running.name}: got exit {running.exit_code}: {running.last_words()}")
    for (name, labels), value in scrape(running.metrics_address).items():
        of = dict(labels)
        if name == "grpc_server_handled_total" and of["grpc_code"] != "OK":
            refused += round(value)
        if name == "lookalike_reloads_total":
            loaded += round(value) if of["result"] == "loaded" else 0
            not_loaded += round(value) if of["result"] == "refused" else 0
    return refused, loaded, not_loaded


if __name__ == "__main__":
    main()
