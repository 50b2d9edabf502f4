import json

import pytest

from embedder_service.spec import ModelError, ModelSpec, Preprocessing


def test_a_specification_survives_its_json():
    spec = ModelSpec(
        backbone="vgg16",
        head="retrieval",
        dimension=256,
        preprocessing=Preprocessing(resize=144, crop=128, mean=(0.5, 0.4, 0.3)),
        classes=("Dress", "Rock & Röcke"),
    )

    assert ModelSpec.from_json(spec.to_json()) == spec


def test_classes_do_not_move_the_space_but_preprocessing_does():
    spec = ModelSpec(classes=("a",))

    assert spec.space() == ModelSpec(classes=("b", "c")).space()
    assert spec.space() != ModelSpec(preprocessing=Preprocessing(resize=224, crop=224)).space()
    assert spec.space() != ModelSpec(head="retrieval").space()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "alexnet"}, "backbone: expected resnet152 or .*, got 'alexnet'"),
        ({"head": "none"}, "head: expected article or retrieval or pooling, got 'none'"),
        ({"normalisation": "max"}, "normalisation: expected l2, got 'max'"),
        ({"preprocessing": {"resize": 64}}, "specification: expected that of a model, got KeyErr"),
        ({"dimension": "many"}, "specification: expected that of a model, got ValueError"),
    ],
)
def test_a_foreign_specification_is_refused_by_its_field(change, message):
    fields = json.loads(ModelSpec().to_json()) | change

    with pytest.raises(ModelError, match=message):
        ModelSpec.from_json(json.dumps(fields))


def test_a_crop_larger_than_the_picture_is_refused():
    with pytest.raises(ModelError, match="got crop 128 and resize 112"):
        Preprocessing(resize=112, crop=128)
