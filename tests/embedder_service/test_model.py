import hashlib

import pytest
import torch

from embedder_service.backbones import body_channels
from embedder_service.model import EmbeddingModel, build, space_id
from embedder_service.spec import BACKBONES, ModelError, ModelSpec, Preprocessing

pytestmark = pytest.mark.torch

SMALL = Preprocessing(resize=36, crop=32)


def spec(backbone: str = "resnet18", head: str = "article", **fields: object) -> ModelSpec:
    dimension = body_channels(backbone) if head == "pooling" else 512
    fields = {"dimension": dimension, "preprocessing": SMALL, "classes": ("a", "b", "c")} | fields
    return ModelSpec(backbone=backbone, head=head, **fields)


def pixels(count: int = 3, side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def model() -> EmbeddingModel:
    return build(spec(), seed=1)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_makes_unit_vectors(backbone):
    with torch.inference_mode():
        vectors = build(spec(backbone))(pixels(2))

    assert vectors.shape == (2, 512)
    assert vectors.dtype == torch.float32
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("head", ["article", "retrieval", "pooling"])
def test_every_head_makes_unit_vectors(head):
    with torch.inference_mode():
        vectors = build(spec(head=head))(pixels())

    assert vectors.shape == (3, 512)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("head", ["article", "retrieval"])
def test_a_training_gets_gradients_from_logits_to_body(head):
    model = build(spec(head=head)).train()

    model.classify(model.raw(pixels())).sum().backward()

    gradient = model.body.conv1.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_a_model_without_classes_classifies_nothing(model):
    bare = build(spec(classes=()))

    with pytest.raises(ModelError, match="classifier: expected a trained head with classes"):
        bare.classify(torch.zeros(1, 512))
    assert model.classify(torch.zeros(1, 512)).shape == (1, 3)


def test_pixels_are_normalised_by_the_specification(model):
    grey = spec(preprocessing=Preprocessing(resize=36, crop=32, mean=(0, 0, 0), std=(1, 1, 1)))
    other = EmbeddingModel(grey).eval()
    other.load_state_dict(model.state_dict())
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    with torch.inference_mode():
        ours = model.features(pixels())
        theirs = other.body((pixels() / 255 - mean) / std)

    assert torch.allclose(ours, theirs, atol=1e-4)


def test_the_pooling_head_is_the_backbones_own_average_pooling():
    import torchvision

    model = build(spec(head="pooling", classes=()), seed=3)
    network = torchvision.models.resnet18(weights=None).eval()
    network.fc = torch.nn.Identity()
    network.load_state_dict(model.body.state_dict())
    with torch.inference_mode():
        mean, std = model.mean, model.std
        expected = network((pixels().float() - mean) / std)

        assert torch.allclose(model.raw(pixels()), expected, atol=1e-5)


def test_a_dimension_that_the_pooling_layer_lacks_is_refused():
    with pytest.raises(ModelError, match="dimension: expected 512, that of resnet18's pooling"):
        build(spec(head="pooling", dimension=100))


def test_the_same_seed_draws_the_same_model(model):
    assert build(spec(), seed=1).space_id() == model.space_id()
    assert build(spec(), seed=2).space_id() != model.space_id()


def test_drawing_a_model_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    build(spec(), seed=1)

    assert torch.rand(1) == expected


def test_a_space_is_its_tensors_up_to_the_embedding_and_its_specification(model):
    tensors = model.state_dict()
    changed_classifier = tensors | {"classifier.3.bias": torch.ones(3)}
    changed_body = tensors | {"body.bn1.bias": torch.ones(64)}

    assert space_id(model.spec, changed_classifier) == model.space_id()
    assert space_id(model.spec, changed_body) != model.space_id()
    assert space_id(spec(classes=("other",)), tensors) == model.space_id()
    assert space_id(spec(head="retrieval"), tensors) != model.space_id()


def test_a_space_is_written_down_byte_for_byte():
    """Another implementation must be able to compute it: the format, spelt out."""
    canonical = (
        '{"architecture":{"backbone":"resnet18","head":"article"},"dimension":512,'
        '"layer":"embedding","normalisation":"l2","preprocessing":{"crop":32,'
        '"mean":[0.485,0.456,0.406],"resize":36,"std":[0.229,0.224,0.225]}}'
        '{"dtype":"int64","name":"a","shape":[]}'
    )
    one = (7).to_bytes(8, "little")
    second = b'{"dtype":"float32","name":"b","shape":[2]}' + bytes.fromhex("0000803f000000c0")
    tensors = {"b": torch.tensor([1.0, -2.0]), "a": torch.tensor(7), "classifier.0": torch.ones(1)}

    expected = hashlib.sha256(canonical.encode() + one + second).hexdigest()
    assert space_id(spec(), tensors) == expected
