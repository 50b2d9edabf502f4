"""A LitServe server with the model that costs nothing: python litserve_server.py PORT WORKERS

Runs in LitServe's own environment, build/litserve-venv, so nothing of ours is imported. It decodes
as the embedder does (embedder_service/images.py): small by the format, cut and scaled in one step.
"""

import base64
import io
import sys
from typing import Any

import litserve
import numpy as np
from PIL import Image

MAX_BATCH = 32
BATCH_SECONDS = 0.005  # 0.001 to 0.05 made no difference under load
RESIZE, CROP, DIMENSION = 232, 224, 512


class Colours(litserve.LitAPI):
    """JPEG in base64, as JSON carries bytes -> the centre's colour, float32, the same way."""

    def setup(self, device: str) -> None:
        """There is nothing to load."""

    def decode_request(self, request: dict[str, str]) -> Any:
        return square(base64.b64decode(request["image"]))

    def batch(self, inputs: list[Any]) -> Any:
        return np.stack(inputs)

    def predict(self, images: Any) -> Any:
        vectors = np.zeros((len(images), DIMENSION), np.float32)
        vectors[:, :3] = images[:, :, CROP // 2, CROP // 2]
        return vectors

    def unbatch(self, output: Any) -> list[Any]:
        return list(output)

    def encode_response(self, output: Any) -> dict[str, str]:
        return {"vector": base64.b64encode(output.tobytes()).decode()}


def square(content: bytes) -> Any:
    image: Image.Image = Image.open(io.BytesIO(content), formats=("JPEG",))
    image.draft(None, (RESIZE, RESIZE))
    image.load()
    width, height = image.size
    kept = min(width, height) * CROP / RESIZE
    left, top = (width - kept) / 2, (height - kept) / 2
    box = (left, top, left + kept, top + kept)
    small = image.convert("RGB").resize((CROP, CROP), Image.Resampling.BILINEAR, box=box)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def main() -> None:
    port, workers = map(int, sys.argv[1:])
    colours = Colours(max_batch_size=MAX_BATCH, batch_timeout=BATCH_SECONDS)
    server = litserve.LitServer(colours, accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
