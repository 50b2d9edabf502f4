"""The page of everything that was found, with names in the catalogue that are no friends of it."""

from __future__ import annotations

import re

import pytest

from embedder_service.judging.findings import Findings
from embedder_service.judging.page import page, percent
from embedder_service.training.data import Catalogue

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def shown(found: Findings, hostile: Catalogue) -> str:
    return page(found, hostile.photos)


def test_the_page_asks_nobody_for_anything(shown: str):
    page_alone = shown[: shown.index("<script>")]
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>)]{1,9})|url\((.)""", page_alone)

    sources = {address[:5] for address, _ in addresses if address and address[0] != "#"}
    assert sources == {"data:"}
    assert {first for _, first in addresses} <= {"", "#"}  # an SVG's own clip paths
    assert "@import" not in shown
    assert "default-src 'none'" in shown


def test_the_page_has_all_its_parts_and_each_link_leads_to_one(shown: str):
    ids = set(re.findall(r'id="([a-z]+)"', shown))
    links = set(re.findall(r'href="#([a-z]+)"', shown))

    assert links <= ids
    assert {"retrieval", "classes", "distances", "times", "copies", "similarities"} <= links
    assert {"duplicates", "matrix", "map", "worst", "examples"} <= links
    assert shown.count("<svg") == 5  # the confusion, copies, similarities twice, the matrix


def test_names_of_the_catalogue_are_text_and_no_markup(shown: str):
    assert "&lt;script&gt;alert" in shown
    assert "<script>alert" not in shown
    assert "<b>cut" not in shown
    assert "<i>more" not in shown


def test_the_page_is_the_same_but_for_the_time_it_was_made(
    found: Findings, hostile: Catalogue, shown: str
):
    made = re.compile(r"made \d[^<]*")

    assert made.sub("", page(found, hostile.photos)) == made.sub("", shown)


def test_what_would_be_rounded_away_is_shown_to_two_places():
    assert [percent(share) for share in (None, 0, 0.0004, 0.5, 1)] == [
        "–",
        "0.0%",
        "0.04%",
        "50.0%",
        "100.0%",
    ]
