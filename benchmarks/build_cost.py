"""From a .npy to a served, verified generation: seconds, and the builder's memory.

python -m benchmarks.build_cost [--rows N] [--engines annoy,graph,fastest]

The commands of the README as processes of their own over a running replica: `lookalike index
build`, `lookalike index publish`, and the time until the replica serves it. Memory is what the
builder held at most, over the bytes of the blobs it made.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
import numpy as np
from lookalike.search.v1 import admin_pb2 as pb
from lookalike.search.v1 import admin_pb2_grpc as rpc
from lookalike_cli import processes

from benchmarks import datasets
from benchmarks.catalogues import INDEX, SPACE
from benchmarks.record import record, table

ENGINES = ("annoy", "graph", "fastest")
# Says the most memory that the command held, in kilobytes, after its own last line.
_MEASURED = (
    "import resource, sys; from lookalike_cli.__main__ import main\n"
    "try: main()\n"
    "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=datasets.ROWS)
    parser.add_argument("--engines", default=",".join(ENGINES))
    options = parser.parse_args(arguments)
    vectors = datasets.easy(options.rows, queries=1).vectors
    figures: dict[str, object] = {"rows": options.rows}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(vectors, folder / "vectors")
        (folder / "store" / "indexes").mkdir(parents=True)
        with processes.search(folder / "store", folder / "cache") as search:
            for engine in options.engines.split(","):
                found = _built(engine, folder, search.admin_address)
                figures[engine] = found
                rows.append([engine, *found.values()])
    table(
        f"{len(vectors):,} x {vectors.shape[1]}",
        (
            "engine",
            "build s",
            "publish s",
            "until served s",
            "in all s",
            "blobs MB",
            "memory/blobs",
        ),
        rows,
    )
    full = (options.rows, options.engines) == (datasets.ROWS, ",".join(ENGINES))
    record("build_cost", figures, is_full_size=full)


def _write(vectors: np.ndarray, folder: Path) -> None:
    folder.mkdir()
    np.save(folder / "vectors.npy", vectors)
    ids = "\n".join(f"item-{row:07d}" for row in range(len(vectors)))
    (folder / "photos.csv").write_text(f"photo_id\n{ids}\n")
    (folder / "space.json").write_text(json.dumps({"space_id": SPACE}))


def _built(engine: str, folder: Path, admin_address: str) -> dict[str, float]:
    built = folder / f"built-{engine}"
    vectors, store = str(folder / "vectors"), str(folder / "store")
    build_seconds, kilobytes = _run("build", vectors, "-o", str(built), "--engine", engine)
    publish_seconds, _ = _run("publish", str(built), INDEX, "--store", store)
    served_seconds = _served(admin_address)
    blobs = sum(path.stat().st_size for path in built.iterdir())
    return {
        "build_seconds": round(build_seconds, 1),
        "publish_seconds": round(publish_seconds, 1),
        "served_seconds": round(served_seconds, 1),
        "seconds": round(build_seconds + publish_seconds + served_seconds, 1),
        "blob_megabytes": round(blobs / 1e6),
        "memory_over_blobs": round(kilobytes * 1024 / blobs, 2),
    }


def _run(*arguments: str) -> tuple[float, int]:
    """Seconds and the most kilobytes of one `lookalike index` command."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, "index", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return time.monotonic() - begun, int(done.stderr.split()[-1])


def _served(admin_address: str) -> float:
    """Seconds until the replica has promoted what CURRENT names."""
    begun = time.monotonic()
    with grpc.insecure_channel(admin_address) as channel:
        rpc.IndexAdminServiceStub(channel).Refresh(pb.RefreshRequest(), timeout=600)
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
