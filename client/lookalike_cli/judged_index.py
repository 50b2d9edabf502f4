"""The search service that a model is judged through: one that runs, or one started for it."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lookalike_client import (
    Accuracy,
    Client,
    Embedding,
    LookalikeError,
    NotFound,
    Unavailable,
    WrongSpace,
)

from embedder_service.judging.contestants import Contestant
from embedder_service.judging.judge import Ask, Asked, Judged
from embedder_service.judging.served import Hit
from embedder_service.judging.trial import Trial
from lookalike_cli import processes
from search_service.build import BuildOptions, Source, SourceError, build, publish
from search_service.store import Store

Vectors = npt.NDArray[np.float32]

_INDEX = "judged"
_PATIENCE_SECONDS = 120.0  # the machine may be busy; nobody waits for one of these answers


class IndexProblem(Exception):
    """The index that was named cannot be asked. The message says why, and what to do."""


def over_an_address(address: str, index: str, model: Judged, stack: ExitStack) -> Ask:
    """A service that runs. Raises IndexProblem, at once rather than after the embedding."""
    client = _client(address, stack)
    _try(client, address, index, model)
    return lambda _trial, _judged: _asked(client, index, model, f"The index {index} at {address}")


def over_a_store(store: Path, index: str, model: Judged, stack: ExitStack) -> Ask:
    """One started over a store. Raises IndexProblem, NotServing."""
    running = stack.enter_context(processes.search(store, _temporary(stack), drain_seconds=0))
    client = _client(running.address, stack)
    _try(client, str(store), index, model)
    return lambda _trial, _judged: _asked(client, index, model, f"The index {index} of {store}")


def over_its_own(model: Judged, stack: ExitStack, say: Callable[[str], None]) -> Ask:
    """An index of the gallery, built, served and gone with the stack. None where none can be."""

    def ask(trial: Trial, judged: Contestant) -> Asked | None:
        store, photos = _temporary(stack), [trial.photos[row] for row in trial.gallery]
        table = pa.table(
            {
                "photo_id": pa.array([photo.photo_id for photo in photos]),
                "item_id": pa.array([photo.item_id for photo in photos]),
            }
        )
        say(f"indexing {len(photos):,} photos ...")
        try:
            source = Source(judged.vectors[trial.gallery], table, model.space_id)
            build(source, store / "built", BuildOptions(engine="annoy"))
        except (SourceError, pa.ArrowException) as error:
            say(f"no index to go through: {error}")
            return None
        publish(Store(store), _INDEX, store / "built")
        running = stack.enter_context(processes.search(store, store / "cache", drain_seconds=0))
        client = _client(running.address, stack)
        return _asked(client, _INDEX, model, "An index built from these photos, asked over gRPC,")

    return ask


def _client(address: str, stack: ExitStack) -> Client:
    return stack.enter_context(Client(search=address, deadline_seconds=_PATIENCE_SECONDS))


def _asked(client: Client, index: str, model: Judged, described: str) -> Asked:
    def search(vector: Vectors, count: int, exact: bool) -> Sequence[Hit]:
        answer = client.search(
            index,
            _embedding(vector, model.space_id),
            k=count,
            photos_per_item=2,
            accuracy=Accuracy.EXACT if exact else None,
        )
        return [
            Hit(hit.item_id, tuple((photo.photo_id, photo.similarity) for photo in hit.photos))
            for hit in answer.hits
        ]

    return Asked(search, described)


def _try(client: Client, where: str, index: str, model: Judged) -> None:
    vector = np.eye(1, model.model.spec.dimension, dtype=np.float32)[0]
    try:
        client.search(index, _embedding(vector, model.space_id), k=1)
    except WrongSpace as error:
        raise IndexProblem(
            f"index: expected {index} to hold vectors of {model.folder}, got those of another "
            f"model ({error}). Name the model that it was built with, or leave --index out: then "
            "an index is built from the catalogue"
        ) from error
    except NotFound as error:
        raise IndexProblem(
            f"index: expected one that {where} serves, got {index}: {error}"
        ) from error
    except Unavailable as error:
        raise IndexProblem(f"search: expected a service at {where}, got none: {error}") from error
    except LookalikeError as error:
        raise IndexProblem(f"search: expected an answer from {where}, got: {error}") from error


def _embedding(vector: Vectors, space_id: str) -> Embedding:
    return Embedding(values=vector.astype("<f4").tobytes(), space_id=space_id)


def _temporary(stack: ExitStack) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="lookalike-judged-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder
