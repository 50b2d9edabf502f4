import numpy as np
import pytest
from PIL import Image

from embedder_service import images, jpeg
from lookalike_kit.errors import ServiceError
from proofs.hostile_images import corpus

# Pillow warns of broken EXIF before it goes on without it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def checked(image):
    try:
        return images.check(image.content, images.Limits())
    except ServiceError:
        return None


DECODABLE = [
    (image, header)
    for image, header in ((image, checked(image)) for image in corpus())
    if header is not None and header.format == "JPEG"
]


def by_pillow(content, header, scale):
    return images._upright_by_pillow(content, header, scale)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.3, 0.1])
@pytest.mark.parametrize(
    "options",
    [{"quality": 95}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 2}],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(300, 400), (641, 427), (17, 33)])
def test_pixels_are_pillows_to_the_bit(picture, encode, mode, size, options, scale):
    content = encode(picture.resize(size).convert(mode), "JPEG", **options)
    header = images.check(content, images.Limits())

    pixels = jpeg.decoded(content, header, scale)

    assert pixels is not None
    assert np.array_equal(pixels, by_pillow(content, header, scale))


@pytest.mark.parametrize(("image", "header"), DECODABLE, ids=lambda one: getattr(one, "name", ""))
def test_a_hostile_file_has_pillows_pixels_or_is_left_to_it(image, header):
    pixels = jpeg.decoded(image.content, header, 1.0)

    if pixels is not None:
        assert np.array_equal(
            images._upright(image.content, header, 1.0), by_pillow(image.content, header, 1.0)
        )


def test_four_colours_are_left_to_pillow(picture, encode):
    content = encode(picture.convert("CMYK"), "JPEG")

    assert jpeg.decoded(content, images.check(content, images.Limits()), 1.0) is None


def test_an_orientation_that_only_xmp_tells_turns_the_picture(encode, preprocessing):
    half = Image.new("RGB", (80, 80))
    half.paste((255, 255, 255), (0, 0, 80, 40))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="3"/></x:xmpmeta>'
    (plain,) = images.read(encode(half, "JPEG"), preprocessing)

    (turned,) = images.read(encode(half, "JPEG", xmp=xmp), preprocessing)

    assert np.abs(turned.astype(int) - plain[:, ::-1, ::-1]).mean() < 2
