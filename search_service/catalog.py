"""What is served: one immutable mapping, rebound as a whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lookalike_kit.errors import InvalidField
from search_service.errors import IndexNotLoaded, SpaceNotServed, UnknownIndex
from search_service.generation import Generation
from search_service.manifest import NAME


@dataclass(frozen=True)
class Serving:
    """One moment's truth: generations by index, the first answering queries by item id."""

    generations: Mapping[str, tuple[Generation, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    published: frozenset[str] = field(default_factory=frozenset)  # names known in the store


class Catalog:
    """The generations that answer. Readers take one reference; the loader rebinds it."""

    def __init__(self) -> None:
        self._serving = Serving()

    @property
    def serving(self) -> Serving:
        return self._serving

    def current(self, index: str, space_id: str | None) -> Generation:
        """The generation of an index in a space; None: the index's first space."""
        for generation in self.generations(index):
            if space_id in (None, generation.manifest.space_id):
                return generation
        served = ", ".join(each.manifest.space_id for each in self.generations(index))
        raise SpaceNotServed(
            f"embedding.space_id: expected a space that {index} serves ({served}), got {space_id}",
            index=index,
            space_id=space_id or "",
            served=served,
        )

    def generations(self, index: str) -> tuple[Generation, ...]:
        """What an index serves; at least one."""
        serving = self._serving  # one read: the whole answer comes from it
        if found := serving.generations.get(index):
            return found
        if index in serving.published:
            raise IndexNotLoaded(
                f"index: {index} is published, but not loaded here yet",
                index=index,
                retry_after_seconds=0.5,
            )
        if not NAME.fullmatch(index):
            raise InvalidField("index", "a name like [a-z0-9][a-z0-9-]{0,62}", repr(index[:80]))
        raise UnknownIndex(
            f"index: expected one of {', '.join(sorted(serving.published)) or 'none'}, got {index}",
            index=index,
        )

    def publish(self, published: Iterable[str]) -> None:
        """These names exist in the store. Only the loader calls this."""
        self._serving = Serving(self._serving.generations, frozenset(published))

    def promote(self, index: str, generations: tuple[Generation, ...]) -> None:
        """From here on the index answers from these. Only the loader calls this."""
        serving = dict(self._serving.generations)
        if generations:
            serving[index] = generations
        else:
            serving.pop(index, None)
        self._serving = Serving(MappingProxyType(serving), self._serving.published)
