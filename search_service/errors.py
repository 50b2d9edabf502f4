"""What is wrong with a call to the search service. Each knows its status and reason."""

import grpc
from lookalike.v1 import error_reason_pb2 as reasons

from lookalike_kit.errors import ServiceError


class UnknownIndex(ServiceError):
    """No index of this name is published."""

    status = grpc.StatusCode.NOT_FOUND
    reason = reasons.ERROR_REASON_UNKNOWN_INDEX


class IndexNotLoaded(ServiceError):
    """Published, but this replica has not loaded it; another may have."""

    status = grpc.StatusCode.UNAVAILABLE
    reason = reasons.ERROR_REASON_INDEX_NOT_LOADED


class SpaceNotServed(ServiceError):
    """The vector was made by a model whose space the index does not serve."""

    status = grpc.StatusCode.FAILED_PRECONDITION
    reason = reasons.ERROR_REASON_SPACE_NOT_SERVED


class WrongDimension(ServiceError):
    """The vector has another length than its space."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = reasons.ERROR_REASON_WRONG_DIMENSION


class UnusableVector(ServiceError):
    """The vector points nowhere: NaN, infinity or all zeros."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = reasons.ERROR_REASON_UNUSABLE_VECTOR


class UnknownItem(ServiceError):
    """The generation that answers holds no such item."""

    status = grpc.StatusCode.NOT_FOUND
    reason = reasons.ERROR_REASON_UNKNOWN_ITEM


class UnknownAttribute(ServiceError):
    """A filter names an attribute that the index does not have."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = reasons.ERROR_REASON_UNKNOWN_ATTRIBUTE


class WrongAttributeType(ServiceError):
    """A filter's value has another type than the attribute."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = reasons.ERROR_REASON_WRONG_ATTRIBUTE_TYPE


class AnswerTooLarge(ServiceError):
    """The answer could exceed the 4 MiB that clients receive by default."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = reasons.ERROR_REASON_ANSWER_TOO_LARGE


class RecallNotReached(ServiceError):
    """A strict call asks for more than the index was ever measured to reach."""

    status = grpc.StatusCode.FAILED_PRECONDITION
    reason = reasons.ERROR_REASON_RECALL_NOT_REACHED
