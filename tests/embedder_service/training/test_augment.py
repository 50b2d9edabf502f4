"""Training pictures: the asked size, decided by the generator, still pictures of the photo."""

from __future__ import annotations

import pytest
import torch

from embedder_service.spec import Preprocessing
from embedder_service.training.augment import Augmentation, load_pixels
from embedder_service.training.data import Catalogue

pytestmark = pytest.mark.torch

STILL = Augmentation(
    degrees=0,
    zoom=(1, 1),
    stretch=0,
    shear=0,
    shift=0,
    mirrored=0,
    gain=0,
    cast=0,
    gamma=0,
    saturation=0,
    erased=0,
)


def test_the_same_generator_gives_the_same_pictures_of_the_asked_side(pixels: torch.Tensor):
    one, two = (Augmentation()(pixels, 40, torch.Generator().manual_seed(5)) for _ in range(2))

    assert one.shape == (6, 3, 40, 40)
    assert one.dtype == torch.uint8
    assert torch.equal(one, two)


def test_two_draws_differ(pixels: torch.Tensor):
    generator = torch.Generator().manual_seed(5)

    assert not torch.equal(
        Augmentation()(pixels, 40, generator), Augmentation()(pixels, 40, generator)
    )


def test_without_any_reach_a_photo_stays_as_it_is(pixels: torch.Tensor):
    same = STILL(pixels, pixels.shape[-1], torch.Generator())

    assert (same.int() - pixels.int()).abs().max() <= 1


def test_photos_are_loaded_as_serving_reads_them(tiny: Catalogue, pixels: torch.Tensor):
    from embedder_service import images

    preprocessing = Preprocessing(resize=56, crop=56)
    (served,) = images.read(tiny.photos[0].path.read_bytes(), preprocessing)

    assert torch.equal(pixels[0], torch.from_numpy(served))


@pytest.fixture
def pixels(tiny: Catalogue) -> torch.Tensor:
    return load_pixels(tiny.photos[:6], Preprocessing(resize=56, crop=56))
