"""HTTP/2 by hand: frames as bytes, and a connection that asks nobody whether they make sense."""

import socket
import struct
from collections import Counter
from contextlib import suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4
METHOD = "/lookalike.search.v1.SearchService/Search"
_TIMEOUT_SECONDS = 5.0
_SEND_LIMIT = struct.pack("ll", int(_TIMEOUT_SECONDS), 0)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def setting(name: int, value: int) -> bytes:
    return struct.pack(">HI", name, value)


def opened(settings: bytes = b"") -> bytes:
    """How a client begins."""
    return PREFACE + frame(SETTINGS, 0, 0, settings)


def headers(**more: str) -> bytes:
    """The header block of a call: no compression, nothing indexed."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": METHOD,
        ":authority": "search",
        "te": "trailers",
        "content-type": "application/grpc",
    } | {name.replace("_", "-"): value for name, value in more.items()}
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields.items())


def message(body: bytes, claimed: int | None = None) -> bytes:
    """gRPC's frame around a message. claimed: the length that it says."""
    return struct.pack(">BI", 0, len(body) if claimed is None else claimed) + body


def text(of: str) -> bytes:
    """A string of a header block: its length in HPACK's integers of seven bits, then itself."""
    encoded, left = of.encode(), len(of) - 127
    if left < 0:
        return bytes([len(encoded)]) + encoded
    length = [127]
    while left >= 128:
        length.append(left % 128 + 128)
        left //= 128
    return bytes([*length, left]) + encoded


class Wire:
    """A connection that is not read, but emptied. Its methods raise OSError once it is closed."""

    def __init__(self, address: str, tally: Counter[str], opening: bytes | None = None) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), _TIMEOUT_SECONDS)
        # The kernel's own limit for what is sent: Python's would also bound the reading.
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_LIMIT)
        self._tally = tally
        tally["connections"] += 1
        self.send(opened() if opening is None else opening)

    def send(self, content: bytes) -> None:
        self._socket.sendall(content)
        self._tally["bytes"] += len(content)

    def empty(self) -> None:
        with suppress(BlockingIOError):
            while True:
                if not self._socket.recv(1 << 16, socket.MSG_DONTWAIT):
                    raise ConnectionResetError("closed by the server")

    def close(self) -> None:
        self._socket.close()
