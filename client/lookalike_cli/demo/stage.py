"""Where the act at the article's size plays: a folder, the search service over it, and a client."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from lookalike_client import Answer, Embedding

from embedder_service.judging.methods import NEIGHBOURS, Vectors
from lookalike_cli.demo.calls import CountingClient
from search_service.build import BuildOptions, Source, build, publish, roll_back
from search_service.store import Store

INDEX = "article-size"
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Stage:
    """The store and who serves it."""

    folder: Path
    client: CountingClient
    space_id: str

    def build(self, vectors: Vectors, name: str, options: BuildOptions) -> Path:
        # As in the articles, each photo stands for itself.
        photos = pa.table({"photo_id": pa.array([photo_id(row) for row in range(len(vectors))])})
        build(Source(vectors, photos, self.space_id), self.folder / name, options)
        return self.folder / name

    def publish(self, built: Path) -> int:
        """Returns when the generation is served; its number."""
        number = publish(Store(self.folder), INDEX, built).manifest.number
        shutil.rmtree(built)
        self._wait_for(number)
        return number

    def move_to(self, number: int) -> None:
        """CURRENT to another generation; returns when that is served."""
        roll_back(Store(self.folder), INDEX, to=number)
        self._wait_for(number)

    def search(self, vector: Vectors) -> Answer:
        embedding = Embedding(values=vector.astype("<f4").tobytes(), space_id=self.space_id)
        return self.client.search(INDEX, embedding, k=NEIGHBOURS)

    def _wait_for(self, number: int) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while all(entry.generation != number for entry in self.client.indexes()):
            if time.monotonic() > until:
                raise TimeoutError(f"{INDEX}: expected generation {number} to be served")
            time.sleep(0.05)


def photo_id(row: int) -> str:
    return f"p{row:06d}"
