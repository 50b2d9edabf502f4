"""What the log and a trace tell of an Embed call: how many images, what became of them, when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from embedder_service.images import Photo
from embedder_service.pipeline import Answer
from lookalike_kit.calls import Facts
from lookalike_kit.errors import ServiceError, reason_name


def asked(photos: Sequence[Photo], bulk: bool, space_id: str) -> Facts:
    """What is known before an image is read."""
    return {
        "space_id": space_id,
        "images": len(photos),
        "vectors": sum(photo.squares for photo in photos),
        "priority": "bulk" if bulk else "online",
    }


def answered(answer: Answer) -> Facts:
    """images_refused: how many, by reason."""
    refused = (photo for photo in answer.photos if isinstance(photo, ServiceError))
    return {
        "images_refused": dict(Counter(reason_name(error.reason).lower() for error in refused)),
        "stage_micros": {
            "decode": round(answer.decode_seconds * 1e6),
            "queue": round(answer.queue_seconds * 1e6),
            "forward": round(answer.forward_seconds * 1e6),
        },
    }
