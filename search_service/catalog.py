"""What is served: one immutable mapping, rebound as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lookalike_kit.errors import InvalidField
from search_service.errors import IndexNotLoaded, SpaceNotServed, UnknownIndex
from search_service.generation import Generation
from search_service.manifest import NAME

_NAMES_SHOWN = 10


@dataclass(frozen=True)
class Serving:
    """One moment's truth: generations by index, the first answering queries by item id."""

    generations: Mapping[str, tuple[Generation, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    # The store's names, and the spaces that each CURRENT names, as far as it can be read.
    published: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))


class Catalog:
    """The generations that answer. Readers take one reference; the loader rebinds it."""

    def __init__(self) -> None:
        self._serving = Serving()

    @property
    def serving(self) -> Serving:
        return self._serving

    def current(self, index: str, space_id: str | None) -> Generation:
        """The generation of an index in a space; None: the index's first space."""
        serving = self._serving  # one read: the whole answer comes from it
        generations = _generations(serving, index)
        for generation in generations:
            if space_id in (None, generation.manifest.space_id):
                return generation
        if space_id in serving.published.get(index, ()):
            raise _not_loaded(index)
        served = ", ".join(each.manifest.space_id for each in generations)
        raise SpaceNotServed(
            f"embedding.space_id: expected a space that {index} serves ({served}), got {space_id}",
            index=index,
            space_id=space_id or "",
            served=served,
        )

    def generations(self, index: str) -> tuple[Generation, ...]:
        """What an index serves; at least one."""
        return _generations(self._serving, index)

    def publish(self, published: Mapping[str, frozenset[str]]) -> None:
        """These names exist in the store, with these spaces. Only the loader calls this."""
        self._serving = Serving(self._serving.generations, MappingProxyType(dict(published)))

    def promote(self, index: str, generations: tuple[Generation, ...]) -> None:
        """From here on the index answers from these. Only the loader calls this."""
        serving = MappingProxyType({**self._serving.generations, index: generations})
        self._serving = Serving(serving, self._serving.published)


def _generations(serving: Serving, index: str) -> tuple[Generation, ...]:
    if found := serving.generations.get(index):
        return found
    if index in serving.published:
        raise _not_loaded(index)
    if not NAME.fullmatch(index):
        raise InvalidField("index", "a name like [a-z0-9][a-z0-9-]{0,62}", repr(index[:80]))
    known = sorted(serving.published)
    # A message travels in the trailers, which clients take up to 8 KiB of.
    shown = [*known[:_NAMES_SHOWN], "..."] if len(known) > _NAMES_SHOWN else known
    raise UnknownIndex(
        f"index: expected one of {', '.join(shown) or 'none'}, got {index}", index=index
    )


def _not_loaded(index: str) -> IndexNotLoaded:
    return IndexNotLoaded(
        f"index: {index} is published, but not loaded here yet",
        index=index,
        retry_after_seconds=0.5,
    )
