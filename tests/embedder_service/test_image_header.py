import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from embedder_service.image_header import (
    BrokenImage,
    ImageHeader,
    UnsupportedImage,
    read_header,
)


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("JPEG", {"dpi": (9, 9)}),
    ],
)
def test_the_header_says_the_size_before_anything_is_decoded(picture, encode, file_format, options):
    content = encode(picture, file_format, **options)

    header = read_header(content)

    assert (header.format, header.width, header.height) == (file_format, 300, 400)
    assert (header.frames, header.scans) == (1, 1)


def test_a_jpeg_says_whether_it_may_be_turned(picture, encode):
    exif = Image.Exif()
    exif[0x0112] = 6

    assert not read_header(encode(picture, "JPEG", dpi=(9, 9), comment="upright")).has_metadata
    assert read_header(encode(picture, "JPEG", exif=exif)).has_metadata


def test_a_webp_with_transparency_says_the_size_of_its_canvas(picture, encode):
    picture = picture.copy()
    picture.putalpha(100)

    assert read_header(encode(picture, "WEBP")) == ImageHeader("WEBP", 300, 400)


def test_the_scans_of_a_progressive_jpeg_are_counted(picture, encode):
    assert read_header(encode(picture, "JPEG", progressive=True)).scans == 10


def test_what_is_behind_the_end_or_within_a_segment_is_no_scan(picture, encode):
    jpeg = encode(picture, "JPEG", progressive=True)
    marks = b"\xff\xda\xff\xd9" * 5000
    second = jpeg.index(b"\xff\xda", jpeg.index(b"\xff\xda") + 2)
    comment = b"\xff\xfe" + (2 + 8000).to_bytes(2, "big") + marks[:8000]

    assert read_header(jpeg + marks).scans == 10
    assert read_header(jpeg[:second] + comment + jpeg[second:]).scans == 10
    assert read_header(jpeg[:-2] + b"\xff\x01\xff\xff" + jpeg[-2:]).scans == 10


@pytest.mark.parametrize("behind", [b"\xff\xda\0\2", b"\xff\xfe\0\2", b"\xff\x01"])
def test_scans_and_segments_without_end_are_counted_up_to_a_thousand(picture, encode, behind):
    assert read_header(encode(picture, "JPEG")[:-2] + behind * 100_000).scans == 1000


def test_a_motion_photo_is_a_photo(picture, encode):
    """A film behind a picture has the mark of a scan by chance, once in 64 KB."""
    film = np.random.default_rng(0).integers(0, 256, 4 << 20, np.uint8).tobytes()
    assert film.count(b"\xff\xda") > 20

    assert read_header(encode(picture, "JPEG") + film).scans == 1


def test_the_scans_of_an_embedded_thumbnail_are_not_counted(picture, encode):
    thumbnail = encode(picture.resize((30, 40)), "JPEG", progressive=True)
    content = encode(picture, "JPEG")
    exif = b"Exif\0\0" + thumbnail
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif

    assert read_header(content[:2] + segment + content[2:]) == ImageHeader("JPEG", 300, 400)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_the_frames_of_an_animation_are_counted(picture, encode, file_format):
    frames = [picture.rotate(90), picture.rotate(180)]

    content = encode(picture, file_format, save_all=True, append_images=frames)

    assert read_header(content).frames == 3


@pytest.mark.parametrize("file_format", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_told_by_their_bytes(picture, encode, file_format):
    with pytest.raises(UnsupportedImage, match="expected a JPEG, PNG or WebP file, got bytes"):
        read_header(encode(picture, file_format))


def test_no_bytes_are_no_image():
    with pytest.raises(UnsupportedImage, match="got no bytes"):
        read_header(b"")


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8" + b"\xff" * 1_000_000,
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000,
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 9, 9) + bytes(1_000_000),
    ],
    ids=["fill bytes", "segments", "chunks"],
)
def test_a_header_without_end_is_left_early(content):
    with pytest.raises(BrokenImage, match="expected"):
        read_header(content)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_a_file_that_breaks_off_in_its_header_is_broken(encode, file_format):
    content = encode(Image.new("RGB", (40, 40)), file_format)

    for length in range(12, 28):
        with pytest.raises(BrokenImage):
            read_header(content[:length])


@given(
    start=st.sampled_from(
        [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x04\x00\x00\x00WEBPVP8X", b""]
    ),
    rest=st.binary(max_size=200),
)
def test_any_bytes_have_a_header_or_a_reason(start, rest):
    outcome = header_or_error(start + rest)

    if isinstance(outcome, ImageHeader):
        assert outcome.pixels > 0
    else:
        assert outcome.message.startswith("content: expected")


def header_or_error(content: bytes) -> ImageHeader | UnsupportedImage | BrokenImage:
    try:
        return read_header(content)
    except (UnsupportedImage, BrokenImage) as error:
        return error
