"""Runs in tritonclient's own environment: triton_calls.py ADDRESS GOOD BAD; prints what it saw."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

address = sys.argv[1]
good, bad = (Path(path).read_bytes() for path in sys.argv[2:])


def images(*contents: bytes) -> list[triton.InferInput]:
    tensor = triton.InferInput("images", [len(contents)], "BYTES")
    tensor.set_data_from_numpy(np.array(contents, np.object_))
    return [tensor]


def refused(call: Any) -> list[str]:
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return []


with triton.InferenceServerClient(address) as client:
    model = client.get_model_metadata("lookalike")
    outputs = [triton.InferRequestedOutput(model.outputs[0].name)]
    answer = client.infer("lookalike", images(good, good), outputs=outputs, request_id="call-7")
    bulk = client.infer(model.versions[0], images(good), priority=2, client_timeout=20.0)

    request = service_pb2.ModelInferRequest(model_name="lookalike")
    tensor = request.inputs.add(name="images", datatype="BYTES", shape=[2])
    tensor.contents.bytes_contents.extend([good, good])
    typed = service_pb2_grpc.GRPCInferenceServiceStub(client._channel).ModelInfer(request)

    seen = {
        "live": [client.is_server_live(), client.is_server_ready()],
        "ready": client.is_model_ready("lookalike"),
        "server": client.get_server_metadata().name,
        "inputs": [[t.name, t.datatype, list(t.shape)] for t in model.inputs],
        "outputs": [[t.name, t.datatype, list(t.shape)] for t in model.outputs],
        "versions": list(model.versions),
        "answered": [answer.get_response().id, answer.get_response().model_version],
        "raw": answer.as_numpy("embeddings").tolist(),
        "typed": list(typed.outputs[0].contents.fp32_contents),
        "bulk": bulk.as_numpy("embeddings").tolist(),
        "bad": refused(lambda: client.infer("lookalike", images(good, bad))),
        "late": refused(lambda: client.infer("lookalike", images(good), timeout=1)),
        "unknown": refused(lambda: client.infer("resnet", images(good))),
    }
print(json.dumps(seen))
