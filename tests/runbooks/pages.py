"""The runbooks as data: their parts, their commands, and what each command is said to print."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """line: as one would type it, its continuations joined. printed: lines; ... stands for any."""

    line: str
    printed: tuple[str, ...]

    @property
    def stages(self) -> list[str]:
        return [stage.strip() for stage in self.line.split(" | ")]


@dataclass(frozen=True)
class Page:
    name: str
    text: str

    @property
    def title(self) -> str:
        return self.text.partition("\n")[0].removeprefix("# ")

    def part(self, heading: str) -> str:
        """What stands below "## HEADING"."""
        return self.text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]

    def commands(self, heading: str) -> list[Command]:
        return [
            command for block in _BLOCK.findall(self.part(heading)) for command in _commands(block)
        ]


def pages() -> list[Page]:
    """README.md tells of all of them, and is none."""
    found = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
    return [Page(path.stem, path.read_text()) for path in found]


def matches(said: tuple[str, ...], printed: str) -> bool:
    """Whether that was printed; how wide a column is does not matter."""
    pattern = "".join(
        "(?:.*\n)*"
        if line == "..."
        else ".*".join(map(re.escape, re.split(r" ?\.\.\. ?", line))) + "\n"
        for line in map(_narrow, said)
    )
    text = "".join(f"{_narrow(line)}\n" for line in printed.splitlines())
    return re.fullmatch(pattern, text) is not None


def _commands(block: str) -> list[Command]:
    typed = re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]
    return [
        Command(re.sub(r"\s+", " ", line).strip(), tuple(printed.splitlines()))
        for line, _, printed in (each.partition("\n") for each in typed)
    ]


# What is another at each look is compared by its form alone.
_FORMS = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ][0-9:.]+(?:Z|\+00:00)"), "MOMENT"),
    (re.compile(r"\d\d:\d\d:\d\d\.\d{3}Z"), "MOMENT"),
    (re.compile(r"\b\d+ (?:s|min|h|d)\b"), "AGE"),
    (re.compile(r"\b\d+\.\d+\b"), "NUMBER"),
    (re.compile(r"\b[0-9a-f]{8,64}\b"), "HEX"),
)


def _narrow(line: str) -> str:
    for form, name in _FORMS:
        line = form.sub(name, line)
    return re.sub(r"\s+", " ", line).strip()
