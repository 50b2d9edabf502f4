"""Reads what an image file says of itself, without decoding: the bombs are refused here.

Formats are told by their bytes, never by a name: JPEG (ITU T.81), PNG (W3C), WebP (RFC 9649).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import islice

import grpc
from lookalike.v1 import error_reason_pb2 as reasons

from lookalike_kit.errors import ServiceError

# An honest file has a few dozen segments or chunks before its pixels and, if a PNG, one chunk per
# 8 KB after. Decoders walk them one by one in Python.
MAX_SEGMENTS = 1_000
MAX_CHUNKS = 10_000
MAX_FILL_BYTES = 64
# Counted no further: segments from a JPEG's pixels on, scans among them, and frames of a WebP. As
# many scans, or frames, are refused whatever the limit.
_MANY = 1_000
_PIECE = 1 << 16  # searched at once: other threads run in between
# What ends a scan's pixels: there FF is followed by 0, or by a restart's number.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

# Baseline, extended and progressive; what browsers show. Pillow would try some of the others.
_FRAMES = (0xC0, 0xC1, 0xC2)
_NO_FRAMES = (0xC4, 0xC8, 0xCC)  # tables and extensions among the frame headers' numbers


class UnsupportedImage(ServiceError):
    """Empty, or neither JPEG, PNG nor WebP, or a JPEG that is neither baseline nor progressive."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = reasons.ERROR_REASON_UNSUPPORTED_IMAGE


class BrokenImage(ServiceError):
    """Breaks off or does not decode."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = reasons.ERROR_REASON_BROKEN_IMAGE


@dataclass(frozen=True)
class ImageHeader:
    """What the file promises. `scans` are a JPEG's passes over its pixels.

    has_metadata: whether it may hold EXIF, or an orientation told in another way.
    """

    format: str
    width: int
    height: int
    frames: int = 1
    scans: int = 1
    has_metadata: bool = True

    @property
    def pixels(self) -> int:
        return self.width * self.height


def read_header(content: bytes) -> ImageHeader:
    """The header of a JPEG, PNG or WebP file. Raises UnsupportedImage, BrokenImage."""
    if not content:
        raise UnsupportedImage("content: expected a JPEG, PNG or WebP file, got no bytes")
    try:
        if content.startswith(b"\xff\xd8\xff"):
            return _jpeg(content)
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(content)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp(content)
    except (struct.error, IndexError) as error:
        raise _broken("a whole header", "a file that breaks off in it") from error
    raise UnsupportedImage(
        f"content: expected a JPEG, PNG or WebP file, got bytes that begin with {content[:8].hex()}"
    )


def _jpeg(content: bytes) -> ImageHeader:
    width = height = 0
    has_metadata = False
    position = 2
    for _ in range(MAX_SEGMENTS):
        position, marker = _jpeg_marker(content, position)
        (length,) = struct.unpack_from(">H", content, position)
        if marker == 0xDA:  # start of scan: the pixels follow
            break
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            if width:
                raise _broken("one frame header", "two")
            height, width = _jpeg_frame(content, position, marker)
        has_metadata |= marker == 0xE1
        position += max(length, 2)
    else:
        raise _broken(f"pixels within {MAX_SEGMENTS} segments", "more segments")
    scans = _scans(content, position)
    return _checked(ImageHeader("JPEG", width, height, scans=scans, has_metadata=has_metadata))


def _scans(content: bytes, position: int) -> int:
    """As a decoder comes to them, from the first one's length on; what is behind the end is none.

    Nor is what a segment between them holds.
    """
    scans, marker = 1, 0xDA
    for _ in range(_MANY):
        if marker >= 0xC0:  # the others have no length
            position += max(2, int.from_bytes(content[position : position + 2], "big"))
        position, marker = _next_marker(content, position)
        if marker == 0xD9:
            return scans
        scans += marker == 0xDA
    return _MANY


def _next_marker(content: bytes, begin: int) -> tuple[int, int]:
    """Among pixels: where it ends, and the marker. A file that breaks off ends there."""
    for at in range(begin, len(content), _PIECE):
        if found := _MARKER.search(content, at, at + _PIECE + 1):
            return found.end(), content[found.end() - 1]
    return len(content), 0xD9


def _jpeg_frame(content: bytes, position: int, marker: int) -> tuple[int, int]:
    bits, height, width = struct.unpack_from(">BHH", content, position + 2)
    if marker not in _FRAMES or bits != 8:
        raise UnsupportedImage(
            "content: expected a baseline or progressive JPEG of 8 bits, "
            f"got one with the frame header {marker:02x} of {bits} bits"
        )
    return height, width


def _jpeg_marker(content: bytes, position: int) -> tuple[int, int]:
    """Where the segment's length stands, and the marker before it."""
    if content[position] != 0xFF:
        raise _broken("a marker between segments", f"the byte {content[position]:02x}")
    for at in range(position + 1, position + 1 + MAX_FILL_BYTES):
        if content[at] != 0xFF:
            return at + 1, content[at]
    raise _broken(f"at most {MAX_FILL_BYTES} fill bytes", "more")


def _png(content: bytes) -> ImageHeader:
    length, kind, width, height = struct.unpack_from(">I4sII", content, 8)
    if kind != b"IHDR" or length != 13:
        raise _broken("IHDR as the first chunk", repr(kind))
    frames = 1
    position = 8
    for _ in range(MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", content, position)
        if kind == b"IHDR" and position > 8:
            raise _broken("one IHDR", "two")
        if kind == b"acTL":
            (frames,) = struct.unpack_from(">I", content, position + 8)
        if kind == b"IEND":
            return _checked(ImageHeader("PNG", width, height, frames=frames))
        position += 12 + length
    raise _broken(f"at most {MAX_CHUNKS} chunks", "more")


def _webp(content: bytes) -> ImageHeader:
    (size,) = struct.unpack_from("<I", content, 4)
    if size + 8 > len(content):
        raise _broken(f"{size + 8} bytes", f"{len(content)}")
    kind = content[12:16]
    if kind == b"VP8X":
        flags = content[20]
        width, height = (1 + int.from_bytes(content[at : at + 3], "little") for at in (24, 27))
        return _checked(ImageHeader("WEBP", width, height, frames=_webp_frames(content, flags)))
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return _checked(ImageHeader("WEBP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)))
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return _checked(ImageHeader("WEBP", width & 0x3FFF, height & 0x3FFF))
    raise _broken("VP8, VP8L or VP8X as the first chunk", repr(kind))


def _webp_frames(content: bytes, flags: int) -> int:
    if not flags & 0x02:
        return 1
    return max(1, len(list(islice(re.finditer(b"ANMF", content), _MANY))))


def _checked(header: ImageHeader) -> ImageHeader:
    if header.pixels == 0:
        raise _broken("a width and a height of at least 1", f"{header.width} x {header.height}")
    return header


def _broken(expected: str, got: str) -> BrokenImage:
    return BrokenImage(f"content: expected {expected}, got {got}")
