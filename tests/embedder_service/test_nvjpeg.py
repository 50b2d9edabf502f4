"""With torchvision's decoder for the processor in nvJPEG's place: no GPU is needed, nor run."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from embedder_service import images
from embedder_service.decoder import Here, Job
from embedder_service.images import Photo, Region
from embedder_service.nvjpeg import NvJpeg
from embedder_service.spec import Preprocessing
from lookalike_kit.errors import ServiceError
from proofs.hostile_images import corpus

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torchvision"),
]

MODEL = Preprocessing(resize=232, crop=224)
# It resizes in floats; the processor in whole numbers.
MOST_LEVELS = 1


class Jpegs:
    """What it was asked for; it may be told to fail."""

    def __init__(self):
        self.files = []
        self.error = None

    def __call__(self, files):
        if self.error:
            raise self.error
        self.files.append(len(files))
        return decode_jpeg(files, ImageReadMode.RGB)


@pytest.fixture
def jpegs():
    return Jpegs()


@pytest.fixture
def nvjpeg(jpegs):
    nvjpeg = NvJpeg(MODEL, jpegs)
    jpegs.files.clear()
    return nvjpeg


@pytest.fixture(scope="module")
def here():
    return Here(MODEL)


def job(content, *regions):
    return Job(Photo(content, regions), images.check(content, images.Limits()))


def assert_alike(ours, theirs):
    assert len(ours.squares) == len(theirs.squares)
    for one, other in zip(ours.squares, theirs.squares, strict=True):
        assert (one.shape, one.dtype) == (other.shape, np.uint8)
        assert np.abs(one.astype(int) - other).max() <= MOST_LEVELS


def test_everyday_jpegs_are_decoded_together_to_the_squares_of_the_processor(
    nvjpeg, here, jpegs, picture, encode
):
    regions = (Region(), Region(0.1, 0.2, 0.9, 0.9))
    jobs = [
        job(encode(picture, "JPEG", quality=90)),
        job(encode(picture, "JPEG", quality=90, subsampling=0), *regions),
        job(encode(picture.convert("L"), "JPEG")),
    ]

    decoded = nvjpeg.decode(jobs)

    assert jpegs.files == [3]
    for ours, theirs in zip(decoded, here.decode(jobs), strict=True):
        assert_alike(ours, theirs)
        assert ours.seconds > 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(nvjpeg, here, jpegs, picture, encode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    jobs = [job(encode(picture, "JPEG", exif=exif), Region(0, 0, 0.7, 0.8))]

    assert_alike(nvjpeg.decode(jobs)[0], here.decode(jobs)[0])
    assert jpegs.files == [1]


def test_what_is_not_everyday_is_left_to_the_processor(nvjpeg, here, jpegs, picture, encode):
    def jpeg(image, **options):
        return encode(image, "JPEG", **options)

    jobs = [
        job(encode(picture, "PNG")),
        job(encode(picture, "WEBP")),
        job(jpeg(picture, progressive=True)),
        job(jpeg(picture.convert("CMYK"))),
        job(jpeg(picture)[:-2]),
        job(jpeg(picture), Region(0.5, 0, 0.5, 1)),
        job(jpeg(picture.resize((4100, 4000)), quality=20)),
    ]

    decoded = nvjpeg.decode(jobs)

    assert jpegs.files == []
    for ours, theirs in zip(decoded, here.decode(jobs), strict=True):
        if isinstance(theirs.squares, ServiceError):
            assert ours.squares.message == theirs.squares.message
        else:
            assert all(map(np.array_equal, ours.squares, theirs.squares))


def test_a_long_piece_is_cut_by_the_processor(nvjpeg, here, jpegs, picture, encode):
    jobs = [job(encode(picture, "JPEG"), Region(0, 0, 1, 0.1)), job(encode(picture, "JPEG"))]

    decoded, expected = nvjpeg.decode(jobs), here.decode(jobs)

    assert jpegs.files == [2]
    assert np.array_equal(decoded[0].squares[0], expected[0].squares[0])
    assert_alike(decoded[1], expected[1])


def test_hostile_files_are_told_as_by_the_processor_and_their_neighbours_unharmed(
    nvjpeg, here, picture, encode
):
    good = job(encode(picture, "JPEG"))
    (whole,) = here.decode([good])
    for image in corpus():
        try:
            jobs = [job(image.content), good]
        except ServiceError:
            continue
        (theirs,) = here.decode(jobs[:1])

        ours, neighbour = nvjpeg.decode(jobs)

        assert_alike(neighbour, whole)
        if isinstance(theirs.squares, ServiceError):
            assert ours.squares.message == theirs.squares.message, image.name
        else:
            difference = np.abs(ours.squares[0].astype(int) - theirs.squares[0]).mean()
            assert difference <= MOST_LEVELS, image.name


def test_where_it_fails_all_of_its_files_are_read_by_the_processor(
    nvjpeg, here, jpegs, picture, encode
):
    jobs = [job(encode(picture, "JPEG")), job(encode(picture, "PNG"))]
    jpegs.error = RuntimeError("nvjpegDecode failed: 5")

    for ours, theirs in zip(nvjpeg.decode(jobs), here.decode(jobs), strict=True):
        assert np.array_equal(ours.squares[0], theirs.squares[0])


def test_on_a_device_that_is_lost_it_ends(nvjpeg, jpegs, picture, encode):
    jpegs.error = RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        nvjpeg.decode([job(encode(picture, "JPEG"))])


def test_it_does_not_begin_where_it_sees_another_picture():
    def inverted(files):
        return [255 - picture for picture in decode_jpeg(files, ImageReadMode.RGB)]

    with pytest.raises(ValueError, match="expected the processor's picture"):
        NvJpeg(MODEL, inverted)


def test_it_does_not_begin_where_it_cannot_decode(jpegs):
    jpegs.error = torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        NvJpeg(MODEL, jpegs)
