"""A thin client of Trivium: features online, and training sets."""

from trivium import payloads
from trivium.client import Client, PutRow, cached
from trivium.erasing import Erasure
from trivium.errors import (
    ConflictError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    TriviumError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from trivium.results import Batch, Outcome, Row, Status, WriteResult
from trivium.searching import Hit, Hits

__all__ = [
    "Batch",
    "Client",
    "ConflictError",
    "DeadlineExceededError",
    "Erasure",
    "FailedPreconditionError",
    "Hit",
    "Hits",
    "InternalError",
    "InvalidArgumentError",
    "NotFoundError",
    "Outcome",
    "PermissionDeniedError",
    "PutRow",
    "ResourceExhaustedError",
    "Row",
    "Status",
    "TriviumError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "WriteResult",
    "cached",
    "payloads",
]
