"""Work of no purpose, done as a service's own processes do theirs: what any work beside it costs.

python -m benchmarks.beside SECONDS CPU_SHARE
"""

import sys
import time

from search_service.apart import resting

_PIECE = 64 << 10


def main(seconds: str, cpu_share: str) -> None:
    source, target = bytes(16 << 20), bytearray(16 << 20)  # more than a core's own caches hold
    end = time.monotonic() + float(seconds)
    with resting(float(cpu_share)):
        while time.monotonic() < end:
            for at in range(0, len(source), _PIECE):
                target[at : at + _PIECE] = source[at : at + _PIECE]


if __name__ == "__main__":
    main(*sys.argv[1:])
