"""docs/embedder-figures.md, of a run that is there and of one that is not."""

import json

from tools.embedder_figures import figures_page

RUN = {
    "machine": "a machine, 2 cores",
    "date": "2026-11-21",
    "versions": {"torch": "2.15.0"},
    "device": "cpu",
    "engine": "openvino",
    "precision": "bfloat16",
    "eager": "float32",
    "backbone": "resnet152",
    "throughput_vs_model_loop": 0.953,
    "by_batch": {"1": {"bare": 15.25, "served": 14.5}},
    "compiled_vs_eager": 2.61,
    "error": {"backbone": "resnet18", "error": 0.0107, "agreement": 0.99842},
    "host_overhead": 2.5,
    "host_overhead_of_decoding_echo": 1.9,
    "host_overhead_of_kit": 1.4,
    "host_path_vs_decode_loop": 0.6,
    "host_micros": {"served": 400.0},
    "client_micros": {"served": 290.0},
    "vs_litserve": None,
    "vs_litserve_a_worker_a_core": None,
    "vs_litserve_that_does_not_decode": None,
    "lone_request_ms": 66.1,
    "lone_over_batch_1": 1.04,
    "p99_ms_at_80": 900.0,
    "p99_over_full_batch": 0.5,
    "p99_over_batch_1": 14.0,
    "start_to_serving_seconds": {"cold, with artefact": 7.5},
    "decoders": {"images_a_second": {"served": {"300x300": 815.4}}},
    "overload": {"peak_images": 96.2, "peak_after": 1.01, "10x": {"goodput": 0.97}},
}


def test_a_run_is_shown_with_its_machine_and_its_aims(tmp_path):
    (tmp_path / "embed.json").write_text(json.dumps(RUN))

    page = figures_page(tmp_path)

    assert "a machine, 2 cores; 2026-11-21; torch 2.15.0." in page
    assert "| throughput_vs_model_loop | 0.953 | 0.9 |" in page
    assert "| error, resnet18 fine-tuned | 1.07% | 5 % |" in page
    assert "| vs_litserve | not run | 3 |" in page
    assert "| cold, with artefact | 7.5 |" in page


def test_what_was_not_run_is_said_plainly(tmp_path):
    assert figures_page(tmp_path).count("Not run yet.") == 3
