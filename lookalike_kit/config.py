"""Configuration as a frozen dataclass, read once from environment variables.

A mistake stops the process before it does anything: every problem is listed, each with the
variable, what was expected and what came.
"""

import dataclasses
import difflib
import ipaddress
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")
MISSING = dataclasses.MISSING


class ConfigError(Exception):
    """The process cannot start as configured; the text holds one problem a line."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclasses.dataclass(frozen=True)
class Setting:
    """One variable, in words: what docs/configuration.md shows of it."""

    name: str
    type: str
    default: str
    doc: str
    required: bool


def setting(
    default: Any = MISSING,
    *,
    doc: str,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] | None = None,
) -> Any:
    """A field of a configuration: required without a default; bounds are inclusive."""
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def read(
    kind: type[T], prefix: str, environment: Mapping[str, str], siblings: Sequence[str] = ()
) -> T:
    """A `kind` from the variables that start with `prefix`.

    Field `poll_seconds` is read from PREFIX + POLL_SECONDS. `siblings` are the prefixes of other
    programs of the same family (the word before the first underscore): their variables are theirs
    to judge. Any other unknown name of the family is refused.
    Raises ConfigError with every problem found.
    """
    fields = _fields(kind, prefix)
    problems = list(_unknown(fields, prefix, environment, siblings))
    values = {}
    for name, field in fields.items():
        try:
            if name in environment:
                values[field.name] = field.parse(environment[name])
            elif field.required:
                raise ValueError("nothing")
        except ValueError as got:
            problems.append(f"{name}: expected {field.words}, got {got}")
    if problems:
        raise ConfigError(*problems)
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(
            *(_by_variable(each, fields, prefix) for each in error.problems)
        ) from None


def describe(kind: type[Any], prefix: str) -> list[Setting]:
    """Every variable of `kind`, in the order of its fields."""
    return [
        Setting(name, field.words, _shown(field.default), field.doc, field.required)
        for name, field in _fields(kind, prefix).items()
    ]


def host_and_port(address: str) -> tuple[str, int]:
    """("127.0.0.1", 50051) of "127.0.0.1:50051"; an IPv6 host stands in brackets.

    Raises ValueError if it is neither.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(repr(address))
    return host, int(port)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches HOST:PORT."""
    host, _ = host_and_port(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclasses.dataclass(frozen=True)
class _Field:
    name: str
    type: Any
    optional: bool
    default: Any
    doc: str
    minimum: float | None
    maximum: float | None
    choices: Sequence[str] | None

    @property
    def required(self) -> bool:
        return self.default is MISSING

    @property
    def is_address(self) -> bool:
        return self.type is str and (self.name == "address" or self.name.endswith("_address"))

    @property
    def words(self) -> str:
        return self._plain_words() + (", or empty" if self.optional else "")

    def _plain_words(self) -> str:
        if self.choices is not None:
            return f"one of {', '.join(self.choices)}"
        if self.type in (int, float):
            return ("a whole number" if self.type is int else "a number") + self._range()
        if self.is_address:
            return "HOST:PORT"
        return {bool: "true or false", Path: "a path", str: "text"}.get(
            self.type, "names, comma separated"
        )

    def _range(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f" from {self.minimum:.15g} to {self.maximum:.15g}"
        if self.minimum is not None:
            return f" of at least {self.minimum:.15g}"
        return f" of at most {self.maximum:.15g}" if self.maximum is not None else ""

    def parse(self, text: str) -> Any:
        """The value; a ValueError's text is what came instead."""
        if self.optional and not text:
            return None
        try:
            value = self._converted(text)
        except (ValueError, KeyError):
            raise ValueError(repr(text)) from None
        if not self._allows(value):
            raise ValueError(repr(text))
        return value

    def _converted(self, text: str) -> Any:
        if self.type is bool:
            return {"true": True, "false": False}[text.lower()]
        if self.type in (int, float, str):
            return self.type(text)
        if self.type is Path:
            return Path(text) if text else None
        return tuple(name for part in text.split(",") if (name := part.strip()))

    def _allows(self, value: Any) -> bool:
        if self.choices is not None:
            return value in self.choices
        if self.type in (int, float):
            low, high = self.minimum, self.maximum
            within = (low is None or value >= low) and (high is None or value <= high)
            return math.isfinite(value) and within
        if self.is_address:
            host_and_port(value)
        return value is not None


def _fields(kind: type[Any], prefix: str) -> dict[str, _Field]:
    hints = typing.get_type_hints(kind)
    return {
        prefix + field.name.upper(): _field(field, hints[field.name], _metadata(kind, field.name))
        for field in dataclasses.fields(kind)
    }


def _by_variable(problem: str, fields: Mapping[str, _Field], prefix: str) -> str:
    """A configuration says "address: ..." of itself; whoever set the variable knows that name."""
    field, _, rest = problem.partition(":")
    name = prefix + field.upper()
    return f"{name}:{rest}" if name in fields else problem


def _metadata(kind: type[Any], name: str) -> Mapping[str, Any]:
    """Another default in a subclass keeps the words and bounds of the field it replaces."""
    for owner in kind.__mro__:
        field = vars(owner).get("__dataclass_fields__", {}).get(name)
        if field is not None and field.metadata:
            return cast(Mapping[str, Any], field.metadata)
    raise TypeError(f"{kind.__name__}.{name}: expected a field made by setting()")


def _field(field: "dataclasses.Field[Any]", hint: Any, metadata: Mapping[str, Any]) -> _Field:
    plain, optional = hint, False
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        plain, optional = next(a for a in typing.get_args(hint) if a is not types.NoneType), True
    return _Field(field.name, plain, optional, field.default, **metadata)


def _unknown(
    known: Mapping[str, _Field],
    prefix: str,
    environment: Mapping[str, str],
    siblings: Sequence[str],
) -> Iterator[str]:
    family = prefix.split("_")[0] + "_"
    for name in sorted(environment):
        if name in known or not name.startswith(family) or name.startswith(tuple(siblings)):
            continue
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        yield f"{name}: unknown setting, did you mean {nearest[0]}?"


def _shown(default: Any) -> str:
    if default is MISSING or default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    return str(default).lower() if isinstance(default, bool) else str(default)
