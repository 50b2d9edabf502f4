"""What the log and a trace tell of a search: who answered and how, never what was asked for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from lookalike.search.v1 import search_pb2 as pb

from lookalike_kit.calls import Facts
from search_service.answer import Answer
from search_service.filters import MAX_CONDITIONS, MAX_DEPTH
from search_service.generation import Answers, Generation
from search_service.manifest import NAME, Manifest
from search_service.query import ByExamples, ByVector, Options, Target

_LISTS = ("all_of", "any_of", "none_of")


def asked(index: str, targets: Sequence[Target], options: Options) -> Facts:
    """What is known before a generation is found."""
    return {
        "index": index if NAME.fullmatch(index) else "?",
        "queries": len(targets),
        "target": _kind(targets[0]),
        "k": options.k,
        "recall": options.recall,
        "options": list(_beside(options)),
    }


def found(generation: Generation, options: Options) -> Facts:
    """What is known then. The options are those after easing."""
    return {
        "generation": generation.manifest.number,
        "space_id": generation.manifest.space_id,
        "recall": options.recall,
        "eased": options.eased,
        "conditions": shape(options.filters, generation.manifest),
    }


def answered(answers: Answers) -> Facts:
    """How it was answered."""
    return {
        "engine": answers.engine,
        "effort": answers.effort,
        "hits": sum(len(answer.hits) for answer in answers.answers),
        "shortfall": dict(Counter(filter(None, map(_shortfall, answers.answers)))),
        "stage_micros": {
            "filter": answers.stages.filter // 1000,
            "candidates": answers.stages.candidates // 1000,
            "rerank": answers.stages.rerank // 1000,
        },
    }


def shape(filters: Sequence[pb.Filter], manifest: Manifest) -> list[str]:
    """Each condition without its values: ["colour equals", "none_of(brand is_in 3)"].

    An attribute that the index does not have is "?": its name is the caller's text.
    """
    known = {attribute.name for attribute in manifest.attributes}
    return list(_shapes(filters, known, iter(range(MAX_CONDITIONS)), 1))


def _shapes(
    filters: Sequence[pb.Filter], known: set[str], left: Iterator[int], depth: int
) -> Iterator[str]:
    """left: ends once as many conditions were named as a call may have; a refused one has more."""
    for each, _ in zip(filters, left, strict=False):
        kind = each.WhichOneof("condition")
        if kind is None:
            yield "nothing"
        elif kind not in _LISTS:
            yield _comparison(kind, getattr(each, kind), known)
        elif depth == MAX_DEPTH:
            yield f"{kind}(...)"
        else:
            inner = _shapes(getattr(each, kind).filters, known, left, depth + 1)
            yield f"{kind}({', '.join(inner)})"


def _comparison(kind: str, condition: Any, known: set[str]) -> str:
    name = condition.attribute if condition.attribute in known else "?"
    return f"{name} is_in {len(condition.values)}" if kind == "is_in" else f"{name} {kind}"


def _kind(target: Target) -> str:
    if isinstance(target, ByExamples):
        return "examples"
    return "vector" if isinstance(target, ByVector) else "item"


def _beside(options: Options) -> Iterator[str]:
    """The options that change which hits come back."""
    if options.exclude_item_ids:
        yield f"exclude {len(options.exclude_item_ids)}"
    if options.max_per_value:
        yield f"max_per_value {options.max_per_value.count}"
    for name in ("minimum_similarity", "collapse_similarity", "diversity"):
        if share := getattr(options, name):
            yield f"{name} {share:.3g}"
    if options.strict_recall:
        yield "strict_recall"
    if options.photos_per_item > 1:
        yield f"photos_per_item {options.photos_per_item}"


def _shortfall(answer: Answer) -> str:
    if answer.fewer_exist:
        return "fewer_exist"
    return "effort_lowered" if answer.effort_lowered else ""
