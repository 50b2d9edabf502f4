from pathlib import Path

import pytest

from embedder_service.config import PREFIX, SIBLINGS, EmbedderConfig
from lookalike_kit.config import ConfigError, read


def test_the_model_is_all_that_must_be_said():
    config = read(EmbedderConfig, PREFIX, {"LOOKALIKE_EMBEDDER_MODEL": "models/x"}, SIBLINGS)

    assert config.model == Path("models/x")
    assert (config.address, config.device, config.max_batch) == ("127.0.0.1:50051", "auto", 32)
    assert config.threads >= 2 * config.max_batch


def test_an_image_must_fit_a_message():
    with pytest.raises(ConfigError, match=r"MAX_MESSAGE_BYTES: expected at least .*, got 1048576"):
        EmbedderConfig(model=Path("x"), max_image_bytes=1 << 20, max_message_bytes=1 << 20)


def test_every_mistake_is_told_at_once():
    environment = {
        "LOOKALIKE_EMBEDDER_MAX_BATCHES": "8",
        "LOOKALIKE_EMBEDDER_DEVICE": "tpu",
        "LOOKALIKE_SEARCH_STORE": "not ours to judge",
    }

    with pytest.raises(ConfigError) as error:
        read(EmbedderConfig, PREFIX, environment, SIBLINGS)

    assert len(error.value.problems) == 3
    assert "did you mean LOOKALIKE_EMBEDDER_MAX_BATCH?" in str(error.value)
    assert "LOOKALIKE_EMBEDDER_DEVICE: expected one of auto, cpu, cuda, got 'tpu'" in str(
        error.value
    )
    assert "LOOKALIKE_EMBEDDER_MODEL: expected a path, got nothing" in str(error.value)
