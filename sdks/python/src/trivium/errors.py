"""Errors, one class for each code a caller would act on differently (docs/errors.md)."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf.message import DecodeError

from trivium.v1 import value_pb2 as wire

_DETAILS = "grpc-status-details-bin"


class TriviumError(Exception):
    """What the server refused: `code`, `message`, `field` (where), `help` (what to do)."""

    def __init__(self, code: str, message: str, field: str = "", help: str = "") -> None:
        self.code, self.message, self.field, self.help = code, message, field, help
        where = f"{field}: " if field else ""
        what_to_do = f"; {help}" if help else ""
        super().__init__(f"{code}: {where}{message}{what_to_do}")


class InvalidArgumentError(TriviumError):
    """The request can never work as it is."""


class NotFoundError(TriviumError):
    """What it names does not exist."""


class ConflictError(TriviumError):
    """Somebody else came first."""


class FailedPreconditionError(TriviumError):
    """Not allowed in the present state."""


class UnauthenticatedError(TriviumError):
    """No API key, or one that is not known."""


class PermissionDeniedError(TriviumError):
    """Not for this caller."""


class ResourceExhaustedError(TriviumError):
    """Too much at once: retry later, with jitter."""


class UnimplementedError(TriviumError):
    """This server does not do it."""


class UnavailableError(TriviumError):
    """Nothing was changed: retry, with jitter."""


class DeadlineExceededError(TriviumError):
    """Whether a write was applied is unknown: retry under the same idempotency key."""


class InternalError(TriviumError):
    """A fault of the server."""


_BY_CODE: dict[str, type[TriviumError]] = {
    "INVALID_ARGUMENT": InvalidArgumentError,
    "TOO_LARGE": InvalidArgumentError,
    "NOT_FOUND": NotFoundError,
    "CONFLICT": ConflictError,
    "FAILED_PRECONDITION": FailedPreconditionError,
    "QUALITY_FAILED": FailedPreconditionError,
    "UNAUTHENTICATED": UnauthenticatedError,
    "PERMISSION_DENIED": PermissionDeniedError,
    "RESOURCE_EXHAUSTED": ResourceExhaustedError,
    "UNIMPLEMENTED": UnimplementedError,
    "UNAVAILABLE": UnavailableError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
    "DATA_LOSS": InternalError,
    "INTERNAL": InternalError,
}
# What gRPC itself says, in the words of the table.
_OF_GRPC = {"ABORTED": "CONFLICT", "OUT_OF_RANGE": "TOO_LARGE", "CANCELLED": "DEADLINE_EXCEEDED"}


def of_detail(detail: wire.ErrorDetail) -> TriviumError:
    """The exception of an error's detail; a code of a newer server is a plain TriviumError."""
    kind = _BY_CODE.get(detail.code, TriviumError)
    return kind(detail.code, detail.message, detail.field, detail.help)


def of_rpc(error: grpc.RpcError) -> TriviumError:
    """The exception of a failed call."""
    metadata: Iterable[tuple[str, str | bytes]] = error.trailing_metadata() or ()
    for name, value in metadata:
        if name == _DETAILS and isinstance(value, bytes):
            try:
                detail = wire.ErrorDetail.FromString(value)
            except DecodeError:
                continue
            if detail.code:
                return of_detail(detail)
    code = error.code().name
    code = _OF_GRPC.get(code, code)
    return _BY_CODE.get(code, TriviumError)(code, error.details() or "")
