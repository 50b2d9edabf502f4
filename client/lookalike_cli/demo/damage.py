"""What goes wrong, done on purpose: who says what, who keeps serving, how long it takes."""

import shutil
import struct
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
from lookalike.search.v1 import admin_pb2
from lookalike.search.v1.admin_pb2_grpc import IndexAdminServiceStub
from lookalike_client import Client, Embedding, ImageFailed, LookalikeError

from lookalike_cli.demo.calls import CountingClient
from lookalike_cli.demo.serve import INDEX, Found, read_vectors, start_search
from lookalike_cli.demo.story import Story
from lookalike_cli.processes import Running
from search_service.build import BuildOptions, build, hold, publish, release, roll_back
from search_service.manifest import blob_key
from search_service.store import Store

PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Mishap:
    """What was done, the words it was refused with, and who served meanwhile."""

    what: str
    words: str
    serving: str
    refused_generation: bool = False


def break_things(
    story: Story,
    client: CountingClient,
    found: Found,
    foreign: Embedding,
    search: Running,
    stack: ExitStack,
) -> tuple[list[Mishap], float]:
    """Everything in turn, and the seconds to recover. The stack ends the process started anew."""
    with story.act("breaks things") as act:
        # Refusals are wanted here: they do not go into the tally of failed calls.
        outside = client.uncounted()
        query = found.embeddings[0]

        def served() -> int:
            return client.search(INDEX, query).generation

        def answers(running: Running) -> bool:
            with Client(search=running.address, deadline_seconds=1.0) as fresh:
                try:
                    return bool(fresh.search(INDEX, query).hits)
                except LookalikeError:
                    return False

        with outside:
            mishaps = [
                flip_a_byte(story.out, INDEX, story.out / "vectors", search, served),
                ask_with_another_models_vector(outside, INDEX, foreign),
                send_a_bomb(outside, found.queries[0].path.read_bytes()),
            ]
        words, seconds = kill_the_search(search, story.out, query, answers, stack)
        mishaps.append(
            Mishap("kill -9 of the search process", words, f"answers again {seconds:.1f} s later")
        )
        for mishap in mishaps:
            story.say(f"{mishap.what}: {mishap.words}; {mishap.serving}")
        act.result = f"{len(mishaps)} mishaps; answers {seconds:.1f} s after kill -9"
    return mishaps, seconds


def flip_a_byte(
    store: Path, index: str, vectors: Path, search: Running, served: Callable[[], int]
) -> Mishap:
    """Publishes a generation, damages one of its blobs in the store, and lets CURRENT name it."""
    opened = Store(store)
    before = served()
    built = vectors.parent / "damaged"
    shutil.rmtree(built, ignore_errors=True)
    source = read_vectors(vectors)
    shorter = replace(source, vectors=source.vectors[:-1], photos=source.photos[:-1])
    build(shorter, built, BuildOptions(engine="annoy"))
    hold(opened, index, "the demo damages a blob first")
    manifest = publish(opened, index, built).manifest
    damaged = store / blob_key(manifest.base.blobs["vectors"].sha256)
    _flip(damaged)
    release(opened, index)
    roll_back(opened, index, to=manifest.number)
    refused = _wait_for_refusal(search, manifest.number)
    after = served()
    roll_back(opened, index, to=before)
    _flip(damaged)  # nobody who looks around afterwards shall step on it
    shutil.rmtree(built)
    return Mishap(
        f"a byte flipped in the vectors of generation {manifest.number}",
        f"{refused.reason}: {refused.message}",
        f"generation {after} {'went on serving' if after == before else 'serves'}",
        refused_generation=True,
    )


def ask_with_another_models_vector(client: Client, index: str, embedding: Embedding) -> Mishap:
    try:
        client.search(index, embedding)
    except LookalikeError as error:
        return Mishap(
            "a vector of another model", f"{error.status.name}: {error}", "no answer is given"
        )
    raise AssertionError("a vector of another space was answered")


def send_a_bomb(client: Client, photo: bytes) -> Mishap:
    """A PNG of a few bytes that claims 3,600 megapixels, beside a good photo."""
    bomb = _bomb()
    refused, good = client.embed([bomb, photo])
    if not isinstance(refused, ImageFailed) or isinstance(good, ImageFailed):
        raise TypeError("a bomb was embedded, or its neighbour was not")
    return Mishap(
        f"an image of 3,600 megapixels in {len(bomb)} bytes",
        f"{refused.reason}: {refused}",
        "the photo beside it was embedded",
    )


def kill_the_search(
    search: Running,
    store: Path,
    query: Embedding,
    answers: Callable[[Running], bool],
    stack: ExitStack,
) -> tuple[str, float]:
    """kill -9, then a new process over the same cache.

    What a caller hears in between, and the seconds until it is answered again.
    """
    search.kill()
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as meanwhile:
        words = meanwhile.submit(_words_of_the_dead, search, query)
        running = stack.enter_context(start_search(store))
        until = time.monotonic() + PATIENCE_SECONDS
        while not answers(running):
            if time.monotonic() > until:
                raise TimeoutError("search: expected an answer after the restart")
            time.sleep(0.02)
        seconds = time.monotonic() - begun
        return words.result(), seconds


def _words_of_the_dead(search: Running, query: Embedding) -> str:
    with Client(search=search.address, deadline_seconds=1.0) as client:
        try:
            client.search(INDEX, query)
        except LookalikeError as error:
            return f"{error.status.name}: {error}"
    raise AssertionError("a process that was killed has answered")


def _wait_for_refusal(search: Running, number: int) -> admin_pb2.RefusedGeneration:
    until = time.monotonic() + PATIENCE_SECONDS
    with grpc.insecure_channel(search.admin_address) as channel:
        stub = IndexAdminServiceStub(channel)
        while time.monotonic() < until:
            status = stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=10)
            for refused in status.refused:
                if refused.generation == number:
                    return refused
            time.sleep(0.05)
    raise TimeoutError(f"expected generation {number} to be refused")


def _flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0x01]))


def _bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
