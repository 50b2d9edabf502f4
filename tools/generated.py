"""The pages that are made from code: `python -m tools.generated write|check`.

docs/errors.md from the enum ErrorReason, docs/configuration.md from the configuration classes,
docs/embedder-figures.md from the results of `make bench-embed`,
deploy/monitoring and docs/metrics.md from tools/monitoring. `check` also compares the committed
stubs with those that `make protos` writes.
"""

import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lookalike.v1 import error_reason_pb2 as reasons
from lookalike_client._environment import PREFIX as CLIENT_PREFIX
from lookalike_client._environment import Settings

from embedder_service.config import PREFIX as EMBEDDER_PREFIX
from embedder_service.config import EmbedderConfig
from lookalike_kit.config import describe
from lookalike_kit.errors import reason_name
from search_service.config import PREFIX as SEARCH_PREFIX
from search_service.config import SearchConfig
from tools.embedder_figures import figures_page
from tools.monitoring.pages import pages as monitoring_pages

ROOT = Path(__file__).resolve().parent.parent
STUBS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def errors_page() -> str:
    lines = [
        "# Errors",
        "",
        "Made from `protos/lookalike/v1/error_reason.proto` by `make docs`.",
        "",
        "A refused call carries a gRPC status and, in the trailer `grpc-status-details-bin`, a",
        "`google.rpc.Status` with `ErrorInfo` (domain `lookalike`, the reason below and its",
        "metadata), `RequestInfo` (the request id), `BadRequest` where a field is at fault, and",
        "`RetryInfo` where waiting helps. Clients that retry act on the trailer",
        "`grpc-retry-pushback-ms`, which comes with it. An image that fails alone in an Embed call",
        "has the same reason and metadata in its `ImageError`, and the call itself is OK.",
        "",
        "| reason | status | retry | metadata | when | next step |",
        "|---|---|---|---|---|---|",
    ]
    for reason in reasons.ErrorReason.values():
        value = reasons.ErrorReason.DESCRIPTOR.values_by_number[reason]
        advice = value.GetOptions().Extensions[reasons.advice]
        if advice.status:
            metadata = ", ".join(f"`{key}`" for key in advice.metadata)
            lines.append(
                f"| `{reason_name(reason)}` | {advice.status} | "
                f"{'yes' if advice.retry else 'no'} | {metadata} | {advice.cause} | "
                f"{advice.next_step} |"
            )
    return "\n".join(lines) + "\n"


def configuration_page() -> str:
    lines = [
        "# Configuration",
        "",
        "Made from the configuration classes by `make docs`.",
        "",
        "Both services are configured by environment variables, read once at the start. A mistyped",
        "name or a bad value stops the process with exit code 2 and says which, what was expected",
        "and what came.",
    ]
    for title, kind, prefix in (
        ("Embedder", EmbedderConfig, EMBEDDER_PREFIX),
        ("Search service", SearchConfig, SEARCH_PREFIX),
    ):
        lines += ["", f"## {title}", "", "| variable | type | default | |", "|---|---|---|---|"]
        for setting in describe(kind, prefix):
            default = "required" if setting.required else f"`{setting.default}`"
            lines.append(f"| `{setting.name}` | {setting.type} | {default} | {setting.doc} |")
    return "\n".join([*lines, *_client_settings()]) + "\n"


_CLIENT_KINDS: Mapping[Any, str] = {
    float: "a number above 0",
    bool: "true or false",
    str: "text",
}


def _client_settings() -> list[str]:
    """The client has no part of lookalike_kit, so its settings are fields of a plain dataclass."""
    lines = [
        *("", "## Client", ""),
        "Read by `Client.from_environment`; the command `lookalike` reads the addresses. A name or",
        "a value that cannot be meant is a ValueError.",
        *("", "| variable | type | default | |", "|---|---|---|---|"),
    ]
    for field in fields(Settings):
        name, words = CLIENT_PREFIX + field.name.upper(), field.metadata["doc"]
        kind = _CLIENT_KINDS[field.type]
        default = str(field.default).lower() if field.type is bool else field.default
        lines.append(f"| `{name}` | {kind} | `{default}` | {words} |")
    return lines


PAGES = {
    "docs/errors.md": errors_page,
    "docs/configuration.md": configuration_page,
    "docs/embedder-figures.md": figures_page,
    **monitoring_pages(),
}


def write() -> int:
    for name, page in PAGES.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(page(), encoding="utf-8")
    return 0


def check() -> int:
    stale = [
        f"{name}: differs from its source; run `make docs`"
        for name, page in PAGES.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != page()
    ]
    stale += [f"{path}: differs from its .proto; run `make protos`" for path in _stale_stubs()]
    for line in stale:
        sys.stderr.write(line + "\n")
    return 1 if stale else 0


def _stale_stubs() -> list[str]:
    made = ROOT / "build" / "protos-check"
    fresh = {path.relative_to(made): path for kind in STUBS for path in made.rglob(kind)}
    protos = ROOT / "protos"
    committed = {path.relative_to(protos) for kind in STUBS for path in protos.rglob(kind)}
    changed = {
        name
        for name, path in fresh.items()
        if name in committed and path.read_bytes() != (protos / name).read_bytes()
    }
    return sorted(str(name) for name in changed | (committed ^ fresh.keys()))


if __name__ == "__main__":
    sys.exit({"write": write, "check": check}[sys.argv[1]]())
