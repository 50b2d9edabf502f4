from __future__ import annotations

import pytest

from embedder_service.judging.findings import Findings
from embedder_service.judging.words import headline, not_judged

pytestmark = pytest.mark.torch


def test_the_first_sentence_says_who_is_ahead_of_whom(found: Findings):
    said = headline(found)

    assert said.startswith("For ")
    assert "of held-out photos the nearest photo by model B shows the photo's own item" in said
    assert "chance " in said
    assert not_judged(found) == [
        "Photos looked for: 10. With so few, a few points more or less mean nothing."
    ]
