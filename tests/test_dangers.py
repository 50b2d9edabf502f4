"""What no code of ours does: run what a file says, or hand a line to a shell."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = (
    *("benchmarks", "client", "embedder_service", "lookalike_kit", "proofs", "search_service"),
    "tools",
)

# Formats whose reading can run code.
MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
CALLS = {
    "eval",
    "exec",
    "os.popen",
    "os.system",
    "tempfile.mktemp",
    "torch.hub.load",
    "torch.jit.load",
    "torch.load",
    "torch.save",  # writes a pickle
    # YAML may name what to call, for all readers but the safe ones.
    "yaml.full_load",
    "yaml.full_load_all",
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
    "yaml.unsafe_load_all",
}
# Arguments that make a harmless call one of those.
ARGUMENTS = {"allow_pickle", "shell"}


def test_no_code_of_ours_does_any_of_it():
    files = [file for folder in OURS for file in (ROOT / folder).rglob("*.py")]

    found = [
        f"{file.relative_to(ROOT)}:{line}: {what}"
        for file in files
        for line, what in dangers(file.read_text())
    ]
    assert len(files) > 100
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import os, pickle as p",
        "from marshal import loads",
        "import yaml\nyaml.load(text, yaml.Loader)",
        "from yaml import unsafe_load as read\nread(text)",
        "__import__('pickle')",
        "importlib.import_module('dill')",
        "import torch\ntorch.load(path)",
        "import torch as t\nt.load(path)",
        "from torch import load as read\nread(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import numpy as np\nnp.load(path, **{'allow_pickle': True})",
        "eval(text)",
        "builtins.exec(text)",
        "subprocess.run(line, shell=True)",
        "import os\nos.system(line)",
        "from tempfile import mktemp\nmktemp()",
    ],
)
def test_each_of_them_is_seen(code):
    assert list(dangers(code))


@pytest.mark.parametrize(
    "code",
    [
        "model.eval()",
        "np.load(path, allow_pickle=False)",
        "subprocess.run(words, shell=False)",
        "from safetensors.torch import load\nload(content)",
        "re.compile(pattern)",
        "import yaml\nyaml.safe_dump(value)",
        "import yaml\nyaml.safe_load(text)",
    ],
)
def test_what_only_looks_like_it_is_not(code):
    assert not list(dangers(code))


def dangers(code: str) -> Iterator[tuple[int, str]]:
    tree = ast.parse(code)
    names = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from _modules(node.lineno, [alias.name for alias in node.names])
        elif isinstance(node, ast.ImportFrom):
            yield from _modules(node.lineno, [node.module or ""])
        elif isinstance(node, ast.Call):
            yield from _call(node, names)


def _call(node: ast.Call, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    name = _full_name(node.func, names)
    if name.removeprefix("builtins.") in CALLS:
        yield node.lineno, name
    if name in ("__import__", "importlib.import_module") and node.args:
        yield from _modules(node.lineno, [str(getattr(node.args[0], "value", ""))])
    for keyword in node.keywords:
        if keyword.arg in ARGUMENTS and not _is_false(keyword.value):
            yield node.lineno, f"{name}({keyword.arg}=...)"
        if keyword.arg is None and isinstance(keyword.value, ast.Dict):
            given = {getattr(key, "value", None) for key in keyword.value.keys}
            yield from ((node.lineno, f"{name}(**{each})") for each in given & ARGUMENTS)


def _modules(line: int, names: list[str]) -> Iterator[tuple[int, str]]:
    yield from ((line, name) for name in names if name.split(".")[0] in MODULES)


def _imported(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for: np is numpy, mktemp is tempfile.mktemp."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _full_name(node: ast.AST, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, names)}.{node.attr}"
    return ""


def _is_false(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and not node.value
