"""python -m embedder_service: reads the configuration, then runs one embedder until a signal."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

from lookalike_kit.config import ConfigError
from lookalike_kit.program import Configuration, Program

if TYPE_CHECKING:
    from embedder_service.config import EmbedderConfig

EMBEDDER = Program(
    name="embedder_service",
    extra="embedder",
    purpose="The GPU tier: takes images over gRPC and answers with their vectors, by the model in "
    "one folder, on a GPU or on this machine's cores.",
)


def configuration() -> Configuration[EmbedderConfig]:
    from embedder_service.config import PREFIX, SIBLINGS, EmbedderConfig

    return EmbedderConfig, PREFIX, SIBLINGS


def serve(config: EmbedderConfig) -> None:
    """Until a signal; its process ends with exit code 1 when its device has failed."""
    from embedder_service.spec import ModelError
    from lookalike_kit import logs

    logs.configure(config.log_level, "embedder")
    # Pillow warns of broken EXIF; a stranger's file must not write this process's log.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # Importing torch and torchvision takes 8 s: a mistyped variable need not wait for it.
    from embedder_service.loading import load
    from embedder_service.nursery import Nursery
    from embedder_service.wiring import Embedder

    # Before there are threads or a device, which a copy of this process could not have.
    nursery = Nursery.fork()
    try:
        Embedder(config, load(config, nursery), nursery).run()
    except ModelError as error:
        raise ConfigError(str(error)) from error


if __name__ == "__main__":
    sys.exit(EMBEDDER.main(configuration, serve))
