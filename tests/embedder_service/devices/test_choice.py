"""Real engines on this machine's CPU; what CUDA would try is only listed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from embedder_service import artefact, checkpoint
from embedder_service.acceptance import Figures
from embedder_service.checkpoint import Checkpoint
from embedder_service.config import EmbedderConfig
from embedder_service.devices import openvino
from embedder_service.devices.ahead import KIND, made_with
from embedder_service.devices.choice import Chosen, candidates, choose
from embedder_service.spec import ModelError
from lookalike_kit import cpu

pytestmark = pytest.mark.torch

WITH_BFLOAT16 = ("x86_64", "avx512_bf16")
GOOD = Figures(photos=9, cosine=1, error=0.01, mean_error=0.01, agreement=1, composition=0)
BAD = dataclasses.replace(GOOD, error=0.2, agreement=0.8)


@pytest.fixture
def model(model_folder) -> Checkpoint:
    return checkpoint.load(model_folder)


def config(model: Path, **settings: str) -> EmbedderConfig:
    return EmbedderConfig(model=model, device="cpu", max_batch=2, **settings)


def said(chosen: Chosen) -> tuple[str, str, str]:
    return chosen.device.engine, chosen.device.precision, chosen.artefact


def turned(model: Checkpoint, cosine: float) -> Checkpoint:
    """The same model with golden vectors that everything here misses by so much."""
    noise = np.random.default_rng(0).normal(size=model.golden_vectors.shape)
    along = (noise * model.golden_vectors).sum(1, keepdims=True) * model.golden_vectors
    aside = (noise - along) / np.linalg.norm(noise - along, axis=1, keepdims=True)
    vectors = cosine * model.golden_vectors + np.sqrt(1 - cosine**2) * aside
    return dataclasses.replace(model, golden_vectors=vectors.astype(np.float32))


def test_by_itself_a_cpu_tries_openvino_first_and_float32_as_written_last():
    tried = candidates("cpu", "auto", "auto", WITH_BFLOAT16)

    assert tried[0] == ("openvino", "bfloat16")
    assert tried[-1] == ("eager", "float32")


def test_sixteen_bits_are_left_alone_where_the_processor_has_no_instructions_for_them():
    assert candidates("cpu", "auto", "auto", ("x86_64", "avx2")) == [
        ("openvino", "float32"),
        ("eager", "float32"),
    ]
    assert candidates("cpu", "eager", "bfloat16", ("x86_64",)) == [("eager", "bfloat16")]


def test_by_itself_cuda_tries_what_is_compiled_first_and_float32_as_written_last():
    tried = candidates("cuda", "auto", "auto", ())

    assert tried[0] == ("compiled", "float16")
    assert tried[-1] == ("eager", "float32")


def test_the_fastest_way_is_tried_first_in_whatever_is_named_on_cuda():
    in_float32 = candidates("cuda", "auto", "float32", ())
    as_written = candidates("cuda", "eager", "auto", ())

    assert [engine for engine, _ in in_float32] == ["compiled", "graphs", "eager"]
    assert [precision for _, precision in as_written] == ["float16", "bfloat16", "float32"]


@pytest.mark.parametrize(("engine", "precision"), [("graphs", "auto"), ("auto", "float16")])
def test_what_does_not_run_on_a_cpu_is_refused(engine, precision):
    with pytest.raises(ModelError, match="engine: expected one that runs"):
        candidates("cpu", engine, precision, WITH_BFLOAT16)


@pytest.mark.parametrize(
    ("engine", "precision"),
    [("openvino", "float32"), ("eager", "float32"), ("eager", "bfloat16")],
)
def test_what_is_named_serves(model, model_folder, engine, precision):
    chosen = choose(model, config(model_folder, engine=engine, precision=precision))

    assert (chosen.device.engine, chosen.device.precision) == (engine, precision)
    assert chosen.agreement.cosine > 0.999
    assert chosen.pace.max_batch == 2


def test_sixteen_bits_that_are_not_exact_enough_are_passed_over(model, model_folder):
    chosen = choose(turned(model, 0.995), config(model_folder))

    assert said(chosen) == ("openvino", "float32", "none")


def test_sixteen_bits_are_passed_over_where_no_other_photo_tells_their_error(model, model_folder):
    alone = dataclasses.replace(
        model, golden_photos=model.golden_photos[:1], golden_vectors=model.golden_vectors[:1]
    )
    chosen = choose(alone, config(model_folder, engine="eager"))

    assert said(chosen) == ("eager", "float32", "")


def test_who_names_sixteen_bits_has_them_although_they_are_not_exact(model, model_folder):
    inexact = turned(model, 0.995)
    chosen = choose(inexact, config(model_folder, engine="eager", precision="bfloat16"))
    fastest = choose(inexact, config(model_folder, precision="bfloat16"))

    assert said(chosen) == ("eager", "bfloat16", "")
    assert chosen.agreement.is_doubtful
    assert said(fastest) == ("openvino", "bfloat16", "none")


@pytest.mark.parametrize("engine", ["auto", "openvino"])
def test_no_engine_serves_other_vectors(model, model_folder, engine):
    with pytest.raises(ModelError, match=r"golden photos: expected cosines of at least 0\.99"):
        choose(turned(model, 0.98), config(model_folder, engine=engine))


@pytest.fixture
def compiled_folder(model: Checkpoint, tmp_path: Path) -> Path:
    """Of a model whose bfloat16 was refused when it was compiled."""
    networks = openvino.converted(model.model)
    figures = {"bfloat16": BAD, "float32": GOOD}
    artefact.write(
        tmp_path,
        KIND,
        model.space_id,
        made_with(),
        figures,
        lambda folder: openvino.write(networks, folder),
    )
    return tmp_path


def test_what_was_compiled_ahead_is_used(model, compiled_folder):
    chosen = choose(model, config(compiled_folder, engine="openvino", precision="float32"))

    assert said(chosen) == ("openvino", "float32", "used")
    assert chosen.agreement.cosine == pytest.approx(1, abs=1e-6)


def test_a_precision_refused_when_it_was_compiled_is_passed_over(model, compiled_folder):
    chosen = choose(model, config(compiled_folder, engine="openvino"))

    assert said(chosen) == ("openvino", "float32", "used")


def test_a_damaged_one_is_made_anew_for_this_process(model, compiled_folder):
    binary = compiled_folder / "compiled" / KIND / "body.bin"
    binary.write_bytes(binary.read_bytes()[:-1])

    chosen = choose(model, config(compiled_folder, engine="openvino", precision="float32"))

    assert said(chosen) == ("openvino", "float32", "damaged")


@pytest.mark.skipif(not cpu.has_bfloat16(cpu.features()), reason="no bfloat16 instructions")
def test_a_bfloat16_that_was_accepted_is_used_where_the_golden_photos_agree(model, model_folder):
    chosen = choose(model, config(model_folder, engine="openvino", precision="bfloat16"))

    assert said(chosen) == ("openvino", "bfloat16", "none")
