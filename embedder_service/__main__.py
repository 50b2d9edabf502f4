"""python -m embedder_service: reads the configuration, then runs one embedder until a signal."""

import os
import signal
import sys
import warnings
from collections.abc import Mapping

from embedder_service.config import PREFIX, SIBLINGS, EmbedderConfig
from embedder_service.spec import ModelError
from lookalike_kit import config as settings
from lookalike_kit import logs
from lookalike_kit.config import ConfigError


def main(environment: Mapping[str, str] = os.environ) -> int:
    """The process's exit code: 0 after a signal, 2 if it cannot start as configured.

    1, without coming back here, when its device has failed.
    """
    # As process 1 of a container a signal without a handler would be ignored while it loads.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        config = settings.read(EmbedderConfig, PREFIX, environment, SIBLINGS)
        logs.configure(config.log_level, "embedder")
        # Pillow warns of broken EXIF; a stranger's file must not write this process's log.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        # Importing torch and torchvision takes 8 s: a mistyped variable need not wait for it.
        from embedder_service.loading import load
        from embedder_service.wiring import Embedder

        Embedder(config, load(config)).run()
    except (ConfigError, ModelError) as error:
        sys.stderr.write(f"embedder_service cannot start: {error}\n")
        return 2
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"embedder_service needs {error.name}: pip install 'lookalike[embedder]'\n"
        )
        return 2
    return 0


if __name__ == "__main__":
    # As process 1 of a container, a signal without a handler would be ignored while it loads.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(main())
