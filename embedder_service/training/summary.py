"""What a catalogue holds, in numbers."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from embedder_service.training.data import SPLITS, Catalogue, Photo


@dataclass(frozen=True)
class Part:
    """Photos of a split, and of how many items and classes they are."""

    photos: int
    items: int
    classes: int

    @classmethod
    def of(cls, photos: Sequence[Photo]) -> Part:
        categories = {photo.category for photo in photos if photo.category}
        return cls(len(photos), len({photo.item_id for photo in photos}), len(categories))


@dataclass(frozen=True)
class Summary:
    """Counts of a catalogue; each is found when it is asked for."""

    catalogue: Catalogue

    @cached_property
    def splits(self) -> Mapping[str, Part]:
        """Those that have photos."""
        parts = {split: Part.of(self.catalogue.of(split)) for split in SPLITS}
        return {split: part for split, part in parts.items() if part.photos}

    @cached_property
    def classes(self) -> Mapping[str, int]:
        """Photos of each class, the most first."""
        counts = Counter(photo.category for photo in self.catalogue.photos if photo.category)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    @cached_property
    def classes_not_trained(self) -> tuple[str, ...]:
        """Classes without a training photo, where others have some."""
        trained = {photo.category for photo in self.catalogue.of("train")}
        return tuple(name for name in self.catalogue.categories if name not in trained)

    @cached_property
    def photos_per_item(self) -> tuple[int, float, int]:
        """The fewest, the median, the most."""
        counts = Counter(photo.item_id for photo in self.catalogue.photos).values()
        return min(counts), statistics.median(counts), max(counts)

    @cached_property
    def boxes(self) -> int:
        """Photos that have one."""
        return sum(photo.box is not None for photo in self.catalogue.photos)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """What can be learnt: `class` where there are two, `item` where one has two photos."""
        known = {
            "class": len(self.catalogue.categories) > 1,
            "item": self.catalogue.has_pairs,
        }
        return tuple(name for name, is_known in known.items() if is_known)

    @cached_property
    def copies(self) -> Sequence[Sequence[Photo]]:
        """Groups of photos whose files are the same."""
        named = {name for group in self.catalogue.copies for name in group}
        photos = {p.photo_id: p for p in self.catalogue.photos if p.photo_id in named}
        return [[photos[name] for name in group] for group in self.catalogue.copies]

    @cached_property
    def copies_across_splits(self) -> int:
        """Groups of which two splits have one each."""
        return sum(len({photo.split for photo in group}) > 1 for group in self.copies)

    def as_dict(self) -> dict[str, object]:
        """All of it, for JSON."""
        catalogue = self.catalogue
        least, median, most = self.photos_per_item
        return {
            "folder": str(catalogue.folder),
            "format": catalogue.format_name,
            "photos": len(catalogue.photos),
            "items": len(catalogue.items),
            "new_items": len(catalogue.new_items),
            "photos_per_item": {"least": least, "median": median, "most": most},
            "labels": self.labels,
            "splits": {name: vars(part) for name, part in self.splits.items()},
            "has_splits": catalogue.has_splits,
            "queries": len(catalogue.queries),
            "gallery": len(catalogue.gallery),
            "boxes": self.boxes,
            "classes": self.classes,
            "classes_not_trained": self.classes_not_trained,
            "damaged": [
                {"path": str(each.path), "reason": each.reason} for each in catalogue.damaged
            ],
            "copies": [
                [{"photo_id": photo.photo_id, "split": photo.split} for photo in group]
                for group in self.copies
            ],
            "copies_across_splits": self.copies_across_splits,
            "notes": catalogue.notes,
        }
