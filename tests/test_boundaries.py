"""Who may import whom. The packages' names are the rooms of the house; so are these rules."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TIERS = ("embedder_service", "search_service")
HEAVY = ("torch", "torchvision", "PIL")
ALL = (*TIERS, "lookalike_kit", "lookalike_client", "lookalike_cli")

# What a folder, less its exceptions, must not import.
FORBIDDEN = [
    ("lookalike_kit", (), [n for n in ALL if n != "lookalike_kit"] + ["numpy", *HEAVY]),
    ("client/lookalike_client", (), [n for n in ALL if n != "lookalike_client"] + list(HEAVY)),
    ("embedder_service", (), ["search_service", "lookalike_client", "lookalike_cli"]),
    (
        "embedder_service",
        ("training", "judging", "bulk"),
        ["embedder_service.training", "embedder_service.judging", "embedder_service.bulk"],
    ),
    ("search_service", (), ["embedder_service", "lookalike_client", "lookalike_cli", *HEAVY]),
    ("search_service", ("build",), ["search_service.build"]),
]


@pytest.mark.parametrize(("folder", "exceptions", "forbidden"), FORBIDDEN)
def test_nobody_imports_what_is_not_theirs_to_know(folder, exceptions, forbidden):
    rooms = tuple(f"{ROOT / folder / room}/" for room in exceptions)
    files = [f for f in (ROOT / folder).rglob("*.py") if not str(f).startswith(rooms)]

    offences = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in imports(file)
        if any(name == other or name.startswith(other + ".") for other in forbidden)
    ]
    assert files
    assert offences == []


def test_the_client_needs_only_what_the_base_install_has():
    allowed = {"grpc", "google", "lookalike", "lookalike_client", *sys.stdlib_module_names}
    # What traces need is the extra otel's; the client loads this file for those who have it.
    files = set((ROOT / "client/lookalike_client").rglob("*.py"))
    files.remove(ROOT / "client/lookalike_client/_traces.py")

    assert {n.split(".")[0] for file in files for n in imports(file)} <= allowed


def imports(file: Path) -> Iterator[str]:
    """The full name of everything the file imports, wherever in it."""
    package = ".".join(file.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            home = ".".join(package.split(".")[: -(node.level - 1) or None])
            full = f"{home}.{module}".rstrip(".") if node.level else module
            yield full
            yield from (f"{full}.{alias.name}" for alias in node.names)
