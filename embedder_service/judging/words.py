"""What the figures say, in a sentence."""

from __future__ import annotations

from embedder_service.judging.findings import Findings, Standing


def headline(findings: Findings) -> str:
    """The first sentence of the page."""
    *before, last = findings.standings
    by = _label(last)
    if not by:
        return "Nothing to count: no two photos are known to show one item or one category."
    what = "the photo's own item" if by == "item" else "a photo of its own category"
    share, others = _first(last, by), ", ".join(_said(each, by) for each in before)
    asked = "held-out photos" if findings.about.kind == "held-out" else "photos"
    name = "" if len(findings.models) == 1 else f" by {last.name}"
    return f"For {share:.1%} of {asked} the nearest photo{name} shows {what} – {others}."


def not_judged(findings: Findings) -> list[str]:
    """What the catalogue's labels cannot say, in words."""
    last, said = findings.standings[-1], []
    if last.item is None:
        said.append(
            "No item is known to have two photos, so nobody can say whether a photo finds its own "
            "item: sort the photos as category/item/photo.jpg for that."
        )
    if last.category is None:
        said.append(
            "No two photos are known to share a category: sort them as category/photo.jpg for that."
        )
    if findings.about.queries < 100:
        said.append(
            f"Photos looked for: {findings.about.queries}. With so few, a few points more or less "
            "mean nothing."
        )
    return said


def _label(standing: Standing) -> str:
    return "item" if standing.item else "category" if standing.category else ""


def _first(standing: Standing, by: str) -> float:
    figures = standing.item if by == "item" else standing.category
    return figures.recall_at_1 if figures else 0.0


def _said(standing: Standing, by: str) -> str:
    return f"{standing.name} {_first(standing, by):.1%}"
