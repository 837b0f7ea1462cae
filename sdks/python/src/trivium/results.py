"""What calls answer."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from trivium import errors, values
from trivium.v1 import online_pb2


class Status(enum.IntEnum):
    """What stands behind a value."""

    PRESENT = 0
    NULL = 1
    NOT_FOUND = 2
    EXPIRED = 3
    DENIED = 4
    ERROR = 5


class Outcome(enum.IntEnum):
    """How the write of one row ended."""

    APPLIED = 1
    SUPERSEDED = 2
    CONFLICT = 3
    FAILED = 4
    # Refused: the person was erased, and this is of before. Not an error.
    ERASED = 5


@dataclass(frozen=True)
class Row:
    """One entity's features by full name; `revs` and `event_times` by view, of those with a row."""

    values: dict[str, Any]
    statuses: dict[str, Status]
    revs: dict[str, int]
    event_times: dict[str, dt.datetime]

    @classmethod
    def of(cls, answer: online_pb2.GetResponse) -> Row:
        names = list(answer.features)
        statuses = [Status(each) for each in answer.statuses] or [Status.PRESENT] * len(names)
        rows = [row for row in answer.rows if row.HasField("event_time_micros")]
        return cls(
            values=dict(zip(names, map(values.of_value, answer.values), strict=True)),
            statuses=dict(zip(names, statuses, strict=True)),
            revs={row.view: row.rev for row in rows if row.rev},
            event_times={row.view: values.instant(row.event_time_micros) for row in rows},
        )


@dataclass(frozen=True)
class Batch:
    """Many entities' features: one row for each entity, in the order of the request.

    `table` and `statuses` have a column for each feature, by its full name; `revs` one for each
    view, 0 where there is no live row.
    """

    table: pa.Table
    statuses: pa.Table
    revs: pa.Table

    @classmethod
    def of(cls, answer: online_pb2.BatchGetResponse, count: int) -> Batch:
        columns, statuses = [], []
        for column in answer.columns:
            said = list(column.statuses) or [Status.PRESENT] * count
            nulls = list(column.nulls) or [0] * count
            absent = (Status.NULL, Status.DENIED, Status.ERROR)
            is_null = [
                bool(null) or status in absent for null, status in zip(nulls, said, strict=True)
            ]
            columns.append(values.column(column, is_null))
            names = [Status(each).name for each in said]
            statuses.append(pa.array(names, type=pa.string()).dictionary_encode())
        features = list(answer.features)
        revs = [pa.array(list(row.revs) or [0] * count, type=pa.uint64()) for row in answer.rows]
        return cls(
            table=pa.Table.from_arrays(columns, names=features),
            statuses=pa.Table.from_arrays(statuses, names=features),
            revs=pa.Table.from_arrays(revs, names=[row.view for row in answer.rows]),
        )

    def to_arrow(self) -> pa.Table:
        """The values."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """The values, in pandas types of Arrow: integers with nulls stay integers."""
        return self.table.to_pandas(types_mapper=pd.ArrowDtype)


@dataclass(frozen=True)
class WriteResult:
    """How the write of one row ended. CONFLICT and SUPERSEDED are answers, not exceptions."""

    outcome: Outcome
    rev: int
    event_time: dt.datetime | None
    error: errors.TriviumError | None

    @classmethod
    def of(cls, answer: online_pb2.WriteResult) -> WriteResult:
        outcome = Outcome(answer.outcome)
        is_row = outcome is not Outcome.FAILED and (answer.rev or answer.event_time_micros)
        return cls(
            outcome=outcome,
            rev=answer.rev,
            event_time=values.instant(answer.event_time_micros) if is_row else None,
            error=errors.of_detail(answer.error) if answer.HasField("error") else None,
        )
