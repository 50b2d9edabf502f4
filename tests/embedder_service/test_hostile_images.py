"""Each file of the corpus gets what docs/images.md says."""

import tracemalloc

import numpy as np
import pytest

from embedder_service import images
from embedder_service.images import Limits, Photo
from lookalike_kit.errors import ServiceError, reason_name
from proofs.hostile_images import OK, HostileImage, corpus

CORPUS = corpus()
REFUSED_BY_HEADER = [image for image in CORPUS if image.by_header]

# Pillow warns of broken EXIF before it goes on without it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def named(image: HostileImage) -> str:
    return image.name


def test_the_corpus_is_large_and_each_file_in_it_is_another():
    assert len({image.content for image in CORPUS}) == len(CORPUS) >= 60
    assert len({image.name for image in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("image", CORPUS, ids=named)
def test_a_file_becomes_what_is_documented(image, readers):
    (read,) = readers(1).read([Photo(image.content)]).result()

    if isinstance(read, ServiceError):
        assert reason_name(read.reason) == image.result
        assert read.message.startswith("content: expected")
    else:
        assert image.result == OK
        assert [square.shape for square in read] == [(3, 64, 64)]


def test_what_the_header_refuses_takes_hardly_any_memory():
    images.check(CORPUS[0].content, Limits())
    tracemalloc.start()
    try:
        for image in REFUSED_BY_HEADER:
            with pytest.raises(ServiceError):
                images.check(image.content, Limits())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1 << 20


def test_hostile_neighbours_leave_an_image_as_it_is_alone(readers, picture, encode):
    reader = readers(2)
    good = Photo(encode(picture, "JPEG"))
    ((alone,),) = reader.read([good]).result()

    photos = [photo for image in CORPUS for photo in (Photo(image.content), good)]
    read = reader.read(photos).result()

    assert all(np.array_equal(squares[0], alone) for squares in read[1::2])
    for image, squares in zip(CORPUS, read[::2], strict=True):
        assert isinstance(squares, ServiceError) is (image.result != OK)
