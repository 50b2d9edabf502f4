"""The Open Inference Protocol's tensors -> photos, and vectors -> its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from lookalike.embedder.v1.embedder_pb2 import Priority
from lookalike.inference import open_inference_pb2 as pb

from embedder_service.images import Photo
from embedder_service.pending import Vectors
from lookalike_kit.errors import InvalidField

INPUT, OUTPUT = "images", "embeddings"
_LENGTH_BYTES = 4

Parameters = Mapping[str, pb.InferParameter]
Output = pb.ModelInferResponse.InferOutputTensor


def read_photos(request: pb.ModelInferRequest, max_images: int) -> list[Photo]:
    """The one input's elements, in whichever of the two forms they came. Raises InvalidField."""
    if len(request.inputs) != 1:
        raise InvalidField("inputs", f"one, {INPUT!r}", len(request.inputs))
    count = _count(request.inputs[0], max_images)
    if request.raw_input_contents:
        contents = _from_raw(request, count)
    else:
        contents = _from_contents(request.inputs[0].contents, count)
    return [Photo(content) for content in contents]


def is_bulk(request: pb.ModelInferRequest) -> bool:
    """By the parameter "priority": 0 and 1 are online, 2 is bulk. Raises InvalidField."""
    _refuse_parameters("parameters", request.parameters, known=("priority",))
    if "priority" not in request.parameters:
        return False
    given = request.parameters["priority"]
    kind = given.WhichOneof("parameter_choice")
    value = getattr(given, kind) if kind in ("int64_param", "uint64_param") else None
    if value not in Priority.values():
        raise InvalidField(
            "parameters[priority]", "a whole number, 0 or 1 (online) or 2 (bulk)", _shown(given)
        )
    return bool(value == Priority.PRIORITY_BULK)


def check_outputs(request: pb.ModelInferRequest) -> None:
    """None asked for means all there are, which is one. Raises InvalidField."""
    if len(request.outputs) > 1:
        raise InvalidField("outputs", f"none or one, {OUTPUT!r}", len(request.outputs))
    for output in request.outputs:
        if output.name != OUTPUT:
            raise InvalidField("outputs[0].name", repr(OUTPUT), repr(output.name))
        _refuse_parameters("outputs[0].parameters", output.parameters)


def write_vectors(vectors: Vectors, raw: bool, response: pb.ModelInferResponse) -> None:
    """float32 [n, d] as the response's one output."""
    flat = vectors.astype("<f4")
    output = Output(name=OUTPUT, datatype="FP32", shape=vectors.shape)
    if raw:
        response.raw_output_contents.append(flat.tobytes())
    else:
        output.contents.fp32_contents.extend(flat.ravel().tolist())
    response.outputs.append(output)


def _count(tensor: pb.ModelInferRequest.InferInputTensor, most: int) -> int:
    if tensor.name != INPUT:
        raise InvalidField("inputs[0].name", repr(INPUT), repr(tensor.name))
    if tensor.datatype != "BYTES":
        raise InvalidField("inputs[0].datatype", "'BYTES', image files", repr(tensor.datatype))
    if len(tensor.shape) != 1 or not 1 <= tensor.shape[0] <= most:
        raise InvalidField("inputs[0].shape", f"[N], N from 1 to {most}", list(tensor.shape))
    _refuse_parameters("inputs[0].parameters", tensor.parameters)
    return int(tensor.shape[0])


def _from_contents(contents: pb.InferTensorContents, count: int) -> list[bytes]:
    strange = [field.name for field, _ in contents.ListFields() if field.name != "bytes_contents"]
    if strange:
        raise InvalidField("inputs[0].contents", "bytes_contents alone", ", ".join(strange))
    if len(contents.bytes_contents) != count:
        field = "inputs[0].contents.bytes_contents"
        raise InvalidField(field, f"{count} as the shape says", len(contents.bytes_contents))
    return list(contents.bytes_contents)


def _from_raw(request: pb.ModelInferRequest, count: int) -> list[bytes]:
    """Each element follows its length in 4 bytes, little-endian."""
    if request.inputs[0].HasField("contents"):
        raise InvalidField("inputs[0].contents", "none beside raw_input_contents", "some")
    if len(request.raw_input_contents) != 1:
        raise InvalidField("raw_input_contents", "one, as inputs", len(request.raw_input_contents))
    raw = request.raw_input_contents[0]
    starts = [0]
    for _ in range(count):
        begin = starts[-1] + _LENGTH_BYTES
        starts.append(begin + int.from_bytes(raw[starts[-1] : begin], "little"))
    if starts[-1] != len(raw):
        raise InvalidField(
            "raw_input_contents[0]",
            f"{count} times a length of 4 bytes, little-endian, and so many bytes",
            f"{len(raw)} bytes, not {starts[-1]}",
        )
    return [raw[start + _LENGTH_BYTES : end] for start, end in pairwise(starts)]


def _refuse_parameters(field: str, given: Parameters, known: Sequence[str] = ()) -> None:
    """What one asks for and does not get, one is told."""
    if strange := sorted(given.keys() - set(known)):
        expected = f"{' and '.join(known) or 'none'}, others are not supported"
        raise InvalidField(field, expected, ", ".join(strange))


def _shown(given: pb.InferParameter) -> str:
    kind = given.WhichOneof("parameter_choice")
    return repr(getattr(given, kind)) if kind else "nothing"
