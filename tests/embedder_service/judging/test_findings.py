from __future__ import annotations

import json

import pytest

from embedder_service.judging.findings import Findings, as_json

pytestmark = pytest.mark.torch


def test_the_json_holds_the_figures_and_none_of_the_pictures(found: Findings):
    facts = json.loads(json.dumps(as_json(found)))

    assert facts["standings"][-1]["item"]["queries"] == 10
    assert facts["about"]["damaged"] == [["<b>cut</b>.jpg", "content: expected <i>more</i>"]]
    assert "others" not in facts["similarities"][0]
    assert "similarities" not in facts["copies"][0]
    assert "flat" not in facts["map"]
    assert len(json.dumps(facts)) < 100_000
