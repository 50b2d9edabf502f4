"""What a backend imports to find similar images.

from lookalike_client import Client

with Client(embedder="dns:///embedder:50051", search="dns:///search:50061") as client:
    for hit in client.similar("dresses", photo, k=5).hits:
        print(hit.item_id, hit.similarity)
"""

from lookalike.v1.embedding_pb2 import Embedding

from lookalike_client import filters
from lookalike_client._answers import Answer, Hit, Item, Photo
from lookalike_client._channel import service_config
from lookalike_client._client import Client, Region
from lookalike_client._errors import (
    DeadlineExceeded,
    ImageFailed,
    InvalidRequest,
    LookalikeError,
    NotAllowed,
    NotFound,
    Overloaded,
    RecallNotReached,
    ServiceFault,
    Unavailable,
    WrongSpace,
)
from lookalike_client._options import Accuracy, SearchOptions
from lookalike_client._values import AttributeValue

__all__ = [
    "Accuracy",
    "Answer",
    "AttributeValue",
    "Client",
    "DeadlineExceeded",
    "Embedding",
    "Hit",
    "ImageFailed",
    "InvalidRequest",
    "Item",
    "LookalikeError",
    "NotAllowed",
    "NotFound",
    "Overloaded",
    "Photo",
    "RecallNotReached",
    "Region",
    "SearchOptions",
    "ServiceFault",
    "Unavailable",
    "WrongSpace",
    "filters",
    "service_config",
]
