"""Writes the stubs of every .proto below protos/ into a folder: `python tools/protos.py protos`.

Runs in an environment of its own (requirements/protoc.txt): the committed stubs must import with
protobuf 5.29, so their generator is old and wants an old protobuf.
"""

import sys
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent.parent / "protos"


def main(out: str) -> int:
    Path(out).mkdir(parents=True, exist_ok=True)
    well_known = str(resources.files("grpc_tools") / "_proto")
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    return int(
        protoc.main(
            [
                "protoc",
                f"--proto_path={PROTOS}",
                f"--proto_path={well_known}",
                f"--python_out={out}",
                f"--mypy_out=quiet,relax_strict_optional_primitives:{out}",
                f"--grpc_python_out={out}",
                f"--mypy_grpc_out=quiet:{out}",
                *sources,
            ]
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
