"""What the embedder is told, by LOOKALIKE_EMBEDDER_* variables."""

from dataclasses import dataclass
from pathlib import Path

from lookalike_kit.config import ConfigError, setting
from lookalike_kit.server_config import MiB, ServerConfig

PREFIX = "LOOKALIKE_EMBEDDER_"
SIBLINGS = ("LOOKALIKE_SEARCH_", "LOOKALIKE_CLIENT_")

# A request is its images and a few bytes around each.
_ENVELOPE_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class EmbedderConfig(ServerConfig):
    """One embedder process."""

    model: Path = setting(doc="The model folder, models/<space_id>.")
    device: str = setting(
        "auto", choices=("auto", "cpu", "cuda"), doc="Where the model runs; auto: cuda if there."
    )
    engine: str = setting(
        "auto",
        choices=("auto", "openvino", "graphs", "compiled", "eager"),
        doc="What drives the device; auto: the fastest that is installed and exact enough. One "
        "that is named serves if the golden photos allow it, or the process does not start.",
    )
    precision: str = setting(
        "auto",
        choices=("auto", "bfloat16", "float16", "float32"),
        doc="The arithmetic of the model's body; auto: the fastest that is exact enough.",
    )
    max_batch: int = setting(
        32,
        minimum=1,
        maximum=1024,
        doc="The most images that share a forward pass. Calls of one image fill it where THREADS "
        "is more than twice as many.",
    )
    max_queue_images: int = setting(
        256,
        minimum=1,
        maximum=100_000,
        doc="Images that wait for the device; bulk calls fill half of it at most.",
    )
    max_image_bytes: int = setting(
        16 * MiB, minimum=1024, maximum=256 * MiB, doc="The most bytes of one image."
    )
    max_image_pixels: int = setting(
        50_000_000,
        minimum=1024,
        maximum=89_000_000,
        doc="The most pixels of one image, before decoding; a pixel takes up to 12 bytes then.",
    )
    max_held_bytes: int = setting(
        256 * MiB,
        minimum=1 * MiB,
        maximum=64 * 1024 * MiB,
        doc="Bytes of images in calls that run; a call beyond is refused, unless it is the only "
        "one; bulk calls fill half of them at most. In memory they take about three times as much.",
    )
    stuck_seconds: float = setting(
        30.0,
        minimum=0.1,
        maximum=3600,
        doc="A forward pass this much longer than ten times its prediction is stuck: the process "
        "says NOT_SERVING and ends with exit code 1.",
    )
    decoders: int = setting(
        0,
        minimum=0,
        maximum=1024,
        doc="Images that are decoded at once, each by a process of its own; 0: one a core that the "
        "service may use, by its affinity and by the CPU limit of its container.",
    )
    jpeg_decoder: str = setting(
        "cpu",
        choices=("cpu", "nvjpeg"),
        doc="What decodes everyday JPEGs. nvjpeg: the GPU, if the golden photos allow it; each "
        "decoder then has a CUDA context of its own, some hundred MB of the device.",
    )
    calls_on_one_core: bool = setting(
        True,
        doc="Whether all threads keep to one core, chosen at random, where the model has a GPU. "
        "They share one lock: on one core they answer a third more calls. Not for nodes on which "
        "other processes are bound to cores.",
    )
    torch_threads: int = setting(
        0, minimum=0, maximum=1024, doc="Threads of the model on a CPU; 0: one a core."
    )

    # Two full batches of one-image calls, one on the device and one being decoded, and a margin.
    threads: int = 72
    # Behind those, a wait for a thread would only be time lost to the deadline.
    max_waiting: int = 8
    # An image of the most bytes, or 64 of 300 KB; more would only make the worst case worse.
    max_message_bytes: int = 20 * MiB

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_image_bytes + _ENVELOPE_BYTES > self.max_message_bytes:
            raise ConfigError(
                f"{PREFIX}MAX_MESSAGE_BYTES: expected at least MAX_IMAGE_BYTES + {_ENVELOPE_BYTES} "
                f"= {self.max_image_bytes + _ENVELOPE_BYTES}, got {self.max_message_bytes}"
            )
