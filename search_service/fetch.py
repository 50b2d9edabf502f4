"""Copies blobs from a store into a replica's cache, in a process of its own.

`python -m search_service.fetch CPU_SHARE STORE CACHE SHA256:BYTES...` exits 0 if all of them are
there, each verified, else prints one JSON line with the reason and exits 1.
"""

import sys
from pathlib import Path

from search_service.apart import refuse, resting
from search_service.cache import Cache
from search_service.manifest import Blob, FormatError
from search_service.store import Store


def main(cpu_share: str, store: str, cache: str, *blobs: str) -> int:
    copies = Cache(Path(cache))
    try:
        with resting(float(cpu_share)):
            for sha256, _, size in (blob.partition(":") for blob in blobs):
                copies.bring(Store(Path(store)), Blob(sha256=sha256, bytes=int(size)))
    except FormatError as error:
        return refuse("hash_mismatch", str(error))
    except FileNotFoundError as error:
        return refuse("blob_missing", f"blob: got {error}", passing=True)
    except OSError as error:
        return refuse("blob_unreadable", f"blob: got {error}", passing=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
