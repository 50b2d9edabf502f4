import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.Image import Transpose

from embedder_service import images
from embedder_service.images import (
    BrokenImage,
    ImageTooLarge,
    InvalidRegion,
    Limits,
    Region,
    UnsupportedImage,
)
from embedder_service.spec import Preprocessing
from lookalike_kit.errors import ServiceError

# What a camera held so stores, by EXIF orientation: the transposition that undoes the upright one.
STORED = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


def difference(one, other):
    return np.abs(one.astype(int) - other.astype(int)).mean()


@pytest.fixture
def expected(picture, encode, preprocessing):
    (square,) = images.read(encode(picture, "PNG"), preprocessing)
    return square


def test_a_square_is_what_resize_and_centre_crop_would_make(picture, expected):
    by_hand = picture.resize((72, 96), Image.Resampling.BILINEAR).crop((4, 16, 68, 80))

    assert expected.shape == (3, 64, 64)
    assert expected.dtype == np.uint8
    assert np.abs(expected.astype(int) - np.asarray(by_hand).transpose(2, 0, 1)).max() <= 1


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
    ],
)
def test_a_picture_looks_the_same_in_every_format(
    picture, encode, preprocessing, expected, file_format, options
):
    (square,) = images.read(encode(picture, file_format, **options), preprocessing)

    assert difference(square, expected) < 3


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_every_exif_orientation_is_turned_upright(
    picture, encode, preprocessing, expected, orientation, file_format
):
    stored = STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = picture if stored is None else picture.transpose(stored)

    (square,) = images.read(encode(turned, file_format, exif=exif, quality=95), preprocessing)

    assert difference(square, expected) < 3


def test_a_strange_orientation_is_taken_as_upright(picture, encode, preprocessing, expected):
    exif = Image.Exif()
    exif[0x0112] = 99

    (square,) = images.read(encode(picture, "PNG", exif=exif), preprocessing)

    assert difference(square, expected) == 0


def test_grey_of_8_and_16_bits_and_cmyk_become_rgb(picture, encode, preprocessing, expected):
    grey = picture.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    (from_grey,) = images.read(encode(grey, "PNG"), preprocessing)
    (from_deep,) = images.read(encode(deep, "PNG"), preprocessing)
    (from_cmyk,) = images.read(encode(picture.convert("CMYK"), "JPEG", quality=95), preprocessing)

    assert np.array_equal(from_grey, from_deep)
    assert np.array_equal(from_grey[0], from_grey[2])
    assert difference(from_cmyk, expected) < 3


def test_what_is_transparent_is_white(encode, preprocessing):
    half = Image.new("RGBA", (80, 80), (0, 0, 0, 127))
    none = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    palette = Image.new("P", (80, 80), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])

    squares = [
        images.read(content, preprocessing)[0]
        for content in (
            encode(half, "PNG"),
            encode(none, "PNG"),
            encode(none, "WEBP"),
            encode(none.convert("LA"), "PNG"),
            encode(palette, "PNG", transparency=0),
        )
    ]

    assert [int(square.mean()) for square in squares] == [128, 255, 255, 255, 255]


def test_large_jpegs_are_decoded_smaller_but_never_below_the_need(draw, encode, preprocessing):
    large = draw(1).resize((2400, 3200), Image.Resampling.BICUBIC)

    (from_jpeg,) = images.read(encode(large, "JPEG", quality=95), preprocessing)
    (from_png,) = images.read(encode(large, "PNG", compress_level=1), preprocessing)

    assert difference(from_jpeg, from_png) < 3


def test_regions_are_cut_from_the_upright_picture(picture, encode, preprocessing):
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = encode(picture.transpose(Transpose.ROTATE_90), "PNG", exif=exif)
    regions = (Region(0, 0, 0.5, 0.5), Region(0.5, 0.25, 1, 1))

    first, second = images.read(sideways, preprocessing, regions)

    for square, box in ((first, (0, 0, 150, 200)), (second, (150, 100, 300, 400))):
        (alone,) = images.read(encode(picture.crop(box), "PNG"), preprocessing)
        assert np.array_equal(square, alone)


def test_a_small_region_of_a_large_jpeg_is_as_sharp_as_the_file_allows(draw, encode, preprocessing):
    large = draw(2).resize((1200, 1600))
    region = Region(0.4, 0.4, 0.5, 0.5)

    (from_jpeg,) = images.read(encode(large, "JPEG", quality=95), preprocessing, (region,))
    (from_png,) = images.read(encode(large, "PNG"), preprocessing, (region,))

    assert difference(from_jpeg, from_png) < 3


def test_a_region_narrower_than_a_pixel_is_that_pixel(picture, encode, preprocessing):
    (square,) = images.read(encode(picture, "PNG"), preprocessing, (Region(0, 0, 1e-6, 1e-6),))

    assert np.unique(square.reshape(3, -1), axis=1).shape == (3, 1)


@pytest.mark.parametrize(
    "region",
    [
        Region(0.5, 0, 0.5, 1),
        Region(0.6, 0, 0.5, 1),
        Region(-0.1, 0, 1, 1),
        Region(0, 0, 1, 1.1),
        Region(0, float("nan"), 1, 1),
    ],
)
def test_an_empty_or_overhanging_region_is_refused(picture, encode, preprocessing, region):
    with pytest.raises(InvalidRegion, match=r"^regions: expected 0 <= left < right <= 1"):
        images.read(encode(picture, "PNG"), preprocessing, (region,))


@pytest.mark.parametrize("size", [(1, 200_000), (200_000, 1), (1, 1), (65, 63)])
def test_no_shape_costs_more_than_its_pixels(encode, preprocessing, size):
    (square,) = images.read(encode(Image.new("RGB", size, (9, 90, 190)), "PNG"), preprocessing)

    assert square.reshape(3, -1).T.tolist() == [[9, 90, 190]] * 64 * 64


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize(
    ("file_format", "options"),
    [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {})],
)
def test_a_file_that_breaks_off_is_broken_and_never_filled_in(
    picture, encode, preprocessing, part, file_format, options
):
    content = encode(picture, file_format, **options)

    with pytest.raises(BrokenImage):
        images.read(content[: int(len(content) * part)], preprocessing)


@pytest.mark.parametrize(("content", "error"), [(b"", UnsupportedImage), (b"hi", UnsupportedImage)])
def test_what_is_no_image_is_unsupported(preprocessing, content, error):
    with pytest.raises(error):
        images.read(content, preprocessing)


# One colour, 16383 x 16383: 34 bytes that decode to 1 GB.
WEBP_BOMB = bytes.fromhex("524946461a000000574542505650384c0e0000002ffebfff0f071011fd0f4444ff03")


def test_a_bomb_of_pixels_is_told_by_its_header(preprocessing, png_of_size):
    for bomb in (WEBP_BOMB, png_of_size(100_000, 100_000)):
        with pytest.raises(ImageTooLarge, match=r"expected at most 50000000 pixels, got \d+"):
            images.read(bomb, preprocessing)


def test_a_bomb_of_scans_is_told_without_decoding(preprocessing, scan_bomb):
    with pytest.raises(ImageTooLarge, match="expected at most 100 scans, got 1000"):
        images.read(scan_bomb, preprocessing)


def test_scans_count_against_the_pixels(picture, encode):
    content = encode(picture, "JPEG", progressive=True)

    with pytest.raises(ImageTooLarge, match="at most 1000000 pixels x scans, got 1200000"):
        images.check(content, Limits(max_scanned_pixels=1_000_000))


def test_an_animation_is_refused(picture, encode, preprocessing):
    content = encode(picture, "WEBP", save_all=True, append_images=[picture.rotate(90)])

    with pytest.raises(ImageTooLarge, match="expected at most 1 frames, got 2"):
        images.read(content, preprocessing)


def test_a_file_of_too_many_bytes_is_refused(picture, encode):
    with pytest.raises(ImageTooLarge, match="expected at most 1000 bytes, got") as error:
        images.check(encode(picture, "PNG"), Limits(max_bytes=1000))

    assert error.value.metadata == {"limit": "1000 bytes"}


def test_a_picture_larger_than_its_header_is_broken(encode, preprocessing):
    inner = encode(Image.new("RGB", (4000, 4000)), "WEBP", lossless=True, method=0)[12:]
    canvas = b"VP8X" + (10).to_bytes(4, "little") + bytes(4) + 2 * (15).to_bytes(3, "little")
    size = (4 + len(canvas) + len(inner)).to_bytes(4, "little")

    with pytest.raises(BrokenImage):
        images.read(b"RIFF" + size + b"WEBP" + canvas + inner, preprocessing)


def test_what_follows_a_picture_is_ignored(picture, encode, preprocessing, expected):
    (square,) = images.read(encode(picture, "PNG") + b"PK\x03\x04 and more", preprocessing)

    assert np.array_equal(square, expected)


# Pillow warns of broken EXIF before it goes on without it.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(picture, encode, data):
    exif = Image.Exif()
    exif[0x0112] = 6
    file_format = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP"]))
    content = bytearray(encode(picture.resize((60, 80)), file_format, exif=exif))
    places = st.integers(0, len(content) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        content[place] = byte

    outcome = squares_or_error(bytes(content))

    if isinstance(outcome, ServiceError):
        assert outcome.message.startswith("content: expected")
    else:
        assert [square.shape for square in outcome] == [(3, 32, 32)]


def squares_or_error(content: bytes) -> list[images.Pixels] | ServiceError:
    try:
        return images.read(content, Preprocessing(resize=32, crop=32))
    except ServiceError as error:
        return error
