"""What files say, read again when they change; a version that is no good leaves the one before."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from lookalike_kit import logs

T = TypeVar("T")
_Stamp = tuple[tuple[int, int, int], ...]
_ATTEMPTS = 10

log = logs.get(__name__)


class Reloading(Generic[T]):
    """The value of some files that belong together, as a certificate and its key do.

    parse: from the bytes of each file, in their order; a ValueError's text says what was expected.
    observe: told "loaded" or "refused" of each version after the first.
    Raises OSError or ValueError for the first version.
    """

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        parse: Callable[..., T],
        observe: Callable[[str, str], object],
    ) -> None:
        self._name = name
        self._paths = paths
        self._parse = parse
        self._observe = observe
        self._lock = threading.Lock()
        self._stamp: _Stamp = ()
        self._value = self._read()

    def current(self) -> T:
        """The last good version. A look costs a stat of each file, some microseconds."""
        if self._stamps() != self._stamp:
            with self._lock:
                self._reload()
        return self._value

    def _reload(self) -> None:
        if self._stamps() == self._stamp:  # another thread was here first
            return
        try:
            self._value = self._read()
        except (OSError, ValueError) as error:
            self._observe(self._name, "refused")
            log.error("reload_refused", what=self._name, why=str(error))
        else:
            self._observe(self._name, "loaded")
            log.info("reloaded", what=self._name)

    def _read(self) -> T:
        """All files of one version: Kubernetes swaps the folder they are in while one reads."""
        for _ in range(_ATTEMPTS):
            # From before they are read: what changes meanwhile is seen by the next look.
            self._stamp = self._stamps()
            contents = [path.read_bytes() for path in self._paths]
            if self._stamps() == self._stamp:
                break
        return self._parse(*contents)

    def _stamps(self) -> _Stamp:
        """Of the files behind links; zeros for one that is not there."""
        return tuple(map(_stamp, self._paths))


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return found.st_ino, found.st_ctime_ns, found.st_size
