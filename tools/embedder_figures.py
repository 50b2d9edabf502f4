"""docs/embedder-figures.md, from what `make bench-embed` kept under benchmarks/results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
RUNS = {
    "embed": "On a CPU",
    "embed_amx": "On a CPU that multiplies matrices (AMX)",
    "embed_gpu": "On a GPU",
}

Figures = Mapping[str, Any]


def figures_page(results: Path = RESULTS) -> str:
    lines = [
        "# The embedder's figures",
        "",
        "Made by `make docs` from what `make bench-embed` measured; [benchmarks.md](benchmarks.md)",
        "says how.",
    ]
    for name, title in RUNS.items():
        file = results / f"{name}.json"
        lines += ["", f"## {title}", ""]
        lines += _run(json.loads(file.read_text())) if file.exists() else ["Not run yet."]
    return "\n".join(lines) + "\n"


def _run(run: Figures) -> list[str]:
    device = "" if run["device"] == "cpu" else f", {run['device']}"
    versions = ", ".join(
        f"{name} {version}" for name, version in run["versions"].items() if version
    )
    return [
        f"{run['machine']}{device}; {run['date']}; {versions}.",
        "",
        *_table(("figure", "measured", "aim"), _ratios(run)),
        "",
        f"{run['backbone']} by {run['engine']} in {run['precision']}, images/s; in flight are two",
        "batches of the size:",
        "",
        *_table(
            ("batch", "the device's loop", "served"),
            ((size, each["bare"], each["served"]) for size, each in run["by_batch"].items()),
        ),
        "",
        "What an image costs the server, and its callers, us of CPU; LitServe's with decoding, the",
        "others' beside it:",
        "",
        *_table(
            ("", "server", "caller"),
            (
                (name, micros, run["client_micros"][name])
                for name, micros in run["host_micros"].items()
            ),
        ),
        "",
        *_starts(run["start_to_serving_seconds"]),
        *_decoders(run["decoders"]["images_a_second"]),
        *_overload(run["overload"]),
    ]


def _ratios(run: Figures) -> list[tuple[object, ...]]:
    on_gpu = run["device"] != "cpu"
    error = run["error"]
    return [
        ("throughput_vs_model_loop", run["throughput_vs_model_loop"], 0.85 if on_gpu else 0.9),
        (f"compiled_vs_eager ({run['eager']})", run["compiled_vs_eager"], 1.8 if on_gpu else 2),
        (f"error, {error['backbone']} fine-tuned", f"{error['error']:.2%}", "5 %"),
        ("agreement of the ten nearest", round(error["agreement"], 4), 0.99),
        ("host_overhead", run["host_overhead"], 1.6),
        ("the same of a bare echo that decodes", run["host_overhead_of_decoding_echo"], ""),
        ("the same of an echo in our server", run["host_overhead_of_kit"], ""),
        ("host_path_vs_decode_loop", run["host_path_vs_decode_loop"], ""),
        ("vs_litserve", run["vs_litserve"], 3),
        ("the same with a worker a core", run["vs_litserve_a_worker_a_core"], ""),
        ("the same, which does not decode", run.get("vs_litserve_that_does_not_decode"), ""),
        ("lone_request_ms", run["lone_request_ms"], ""),
        ("the same over the model's own", run["lone_over_batch_1"], "" if on_gpu else 1.15),
        ("p99 at 80 % load, ms", run["p99_ms_at_80"], ""),
        ("the same over a full batch", run["p99_over_full_batch"], 2.5),
        ("the same over a pass of one image", run["p99_over_batch_1"], ""),
    ]


def _starts(seconds: Mapping[str, float]) -> list[str]:
    return [
        "From the start of the process until it serves, files read from the disk (cold) or still",
        "in memory (warm), with and without what `lookalike model compile` leaves:",
        "",
        *_table(("start", "s"), seconds.items()),
        "",
    ]


def _decoders(rates: Mapping[str, Mapping[str, float]]) -> list[str]:
    sizes = list(rates["served"])
    rows = ((name, *(each[size] for size in sizes)) for name, each in rates.items())
    return ["Decoding, images/s a core:", "", *_table(("decoder", *sizes), rows), ""]


def _overload(rows: Mapping[str, Any]) -> list[str]:
    loads = {name: row for name, row in rows.items() if isinstance(row, dict)}
    columns = list(next(iter(loads.values())))
    cells = ((load, *row.values()) for load, row in loads.items())
    return [
        f"Overload, over a peak of {rows['peak_images']} images/s; afterwards the peak was",
        f"{rows['peak_after']} of it:",
        "",
        *_table(("load", *(column.replace("_", " ") for column in columns)), cells),
    ]


def _table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    head = list(columns)
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _cell(value: object) -> str:
    if value is None:
        return "not run"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
