"""The lines are as the services write them; tests/system has them from running ones."""

import json

import pytest
from lookalike_cli.explain import command
from lookalike_cli.log_lines import of_request

ID = "order-17"
SPACE = "3f2a91c4" + "0" * 56
EMBED = {
    "time": "2026-11-21T12:04:01.135+00:00",
    "level": "info",
    "service": "embedder",
    "replica": "embedder-7d4f",
    "logger": "lookalike_kit.call_log",
    "event": "call",
    "request_id": ID,
    "why": "sampled",
    "method": "/lookalike.embedder.v1.EmbedderService/Embed",
    "code": "OK",
    "attempt": 1,
    "micros": 12_000,
    "stage_micros": {"admission": 100, "decode": 1200, "queue": 300, "forward": 10_200},
    "space_id": SPACE,
    "images": 2,
    "vectors": 3,
    "priority": "online",
    "images_refused": {"broken_image": 1},
}
SEARCH = {
    **EMBED,
    "time": "2026-11-21T12:04:01.140+00:00",
    "service": "search",
    "replica": "search-1",
    "caller": "shop",
    "method": "/lookalike.search.v1.SearchService/Search",
    "attempt": 2,
    "micros": 1900,
    "stage_micros": {"admission": 10, "filter": 20, "candidates": 800, "rerank": 100},
    "index": "dresses",
    "queries": 1,
    "target": "vector",
    "k": 10,
    "recall": 0.95,
    "options": ["exclude 1"],
    "generation": 14,
    "eased": True,
    "conditions": ["category equals", "none_of(brand is_in 3)"],
    "engine": "annoy",
    "effort": 800,
    "hits": 10,
    "shortfall": {"effort_lowered": 1},
}
for _name in ("images", "vectors", "priority", "images_refused"):
    del SEARCH[_name]
FAULT = {
    **{name: EMBED[name] for name in ("time", "service", "replica", "request_id")},
    "level": "error",
    "event": "fault",
    "traceback": "Traceback (most recent call last):\n  ...\nValueError: broken",
}

STORY = """\
request order-17: OK after 17.0 ms, 2 calls

12:04:01.123Z embedder embedder-7d4f: Embed: OK in 12.0 ms
    2 images for 3 vectors, online
    space 3f2a91c4, 1 broken_image
    ms: admission 0.1, decode 1.2, queue 0.3, forward 10.2, rest 0.2

12:04:01.138Z search search-1: Search, attempt 2: OK in 1.9 ms
    a query by vector, k 10, recall 0.95 (lowered: too many calls waited), \
where category equals; none_of(brand is_in 3), exclude 1
    index dresses generation 14, space 3f2a91c4, annoy, effort 800, 10 hits, effort_lowered 1
    ms: admission 0.0, filter 0.0, candidates 0.8, rerank 0.1, rest 1.0
    caller shop

Search: of attempt 1 there is no line: it reached no replica, or one whose log is not here
"""


@pytest.fixture
def logs(tmp_path):
    """The two services' logs, with lines of others and of libraries."""
    other = {**EMBED, "request_id": "order-171"}
    for name, lines in {"embedder": [other, EMBED], "search": [SEARCH, other]}.items():
        text = "\n".join(["a library's own words", "{not json}", *map(json.dumps, lines)])
        (tmp_path / f"{name}.log").write_text(text + "\n")
    return tmp_path / "search.log", tmp_path / "embedder.log"


def test_both_services_lines_of_a_request_are_one_story(lookalike_command, logs):
    result = lookalike_command("explain", ID, *logs)

    assert result.exit_code == 0, result.output
    assert result.stdout == STORY


def test_the_same_log_given_twice_changes_nothing(lookalike_command, logs):
    assert lookalike_command("explain", ID, *logs, *logs).stdout == STORY


def test_what_kubectl_puts_before_a_line_is_passed_over(lookalike_command, tmp_path):
    lines = [
        f"[pod/embedder-7d4f/embedder] {json.dumps(EMBED)}",
        f"[pod/search-1/search] 2026-11-21T12:04:01.140Z {json.dumps(SEARCH)}",
    ]
    (tmp_path / "all").write_text("\n".join(lines))

    assert lookalike_command("explain", ID, tmp_path / "all").stdout == STORY


def test_logs_come_by_standard_input_too(lookalike_command):
    from click.testing import CliRunner

    text = f"{json.dumps(EMBED)}\n{json.dumps(SEARCH)}\n"
    result = CliRunner().invoke(command, [ID, "-"], input=text)

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == STORY.splitlines()[0]


def test_a_refused_call_says_its_reason_and_field(lookalike_command, tmp_path):
    refused = {**EMBED, "code": "INVALID_ARGUMENT", "reason": "INVALID_FIELD", "field": "images"}
    for name in ("images_refused", "images", "vectors", "priority", "space_id"):
        refused.pop(name)
    (tmp_path / "log").write_text(f"{json.dumps(refused)}\n{json.dumps(FAULT)}\n")

    told = lookalike_command("explain", ID, tmp_path / "log").stdout

    assert "Embed: INVALID_ARGUMENT INVALID_FIELD images in 12.0 ms" in told
    assert "embedder-7d4f (log): error fault\n    ValueError: broken" in told


def test_a_line_before_the_calls_end_is_told_as_far_as_it_goes(lookalike_command, tmp_path):
    (tmp_path / "log").write_text(json.dumps(FAULT))

    told = lookalike_command("explain", ID, tmp_path / "log").stdout

    assert told.splitlines()[0] == "request order-17: no call's end is in these logs"


def test_json_has_the_lines_in_order_as_they_were_written(lookalike_command, logs, printed):
    lines = printed(lookalike_command("explain", ID, *logs, "--json"))["lines"]

    assert [line.pop("source") for line in lines] == ["embedder", "search"]
    assert lines == [EMBED, SEARCH]


def test_a_request_without_a_line_costs_the_exit_code_and_says_why(lookalike_command, logs):
    result = lookalike_command("explain", "order-18", *logs)

    assert result.exit_code == 1
    assert "one call in LOG_CALLS_EVERY has one" in result.output


def test_without_logs_it_says_where_they_may_come_from(lookalike_command):
    result = lookalike_command("explain", ID)

    assert result.exit_code == 1
    assert "LOGS: expected files, - for standard input, or a running `lookalike up DIR`" in (
        result.output
    )


@pytest.mark.parametrize(
    "text",
    [
        f'{{"request_id": "{ID}"}}',
        f'{{"request_id": "{ID}", "time": 7}}',
        f'{{"request_id": "{ID}", "time": "soon"}}',
        f'["{ID}"]',
        f'{{"{ID}',
    ],
)
def test_a_line_that_no_service_wrote_is_passed_by(text):
    assert list(of_request(ID, "log", [text])) == []
