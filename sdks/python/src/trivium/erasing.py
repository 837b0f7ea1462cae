"""What became of the erasure of a person."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from trivium import values
from trivium.v1 import erasure_pb2


@dataclass(frozen=True)
class Erasure:
    """The report; `state` is DONE, IN_PROGRESS or AWAITING_REGISTRY.

    Puts of the person with an event time up to `up_to` are refused from then on. `deleted` are rows
    by view, `newer` those that were written since the request and stay. `message` is the whole
    report.
    """

    state: str
    request_id: str
    subject: dict[str, Any]
    up_to: dt.datetime
    finished_at: dt.datetime | None
    deleted: dict[str, int]
    newer: dict[str, int]
    embeddings: dict[str, int]
    problem: str
    message: erasure_pb2.ErasureReport

    @property
    def is_done(self) -> bool:
        """Whether nothing is left online, and the order for the offline store is left."""
        return self.state == "DONE"

    @classmethod
    def of(cls, report: erasure_pb2.ErasureReport) -> Erasure:
        finished = report.HasField("finished_at_micros")
        return cls(
            state=erasure_pb2.ErasureReport.State.Name(report.state),
            request_id=report.request_id,
            subject={name: values.of_key(each) for name, each in report.subject.items()},
            up_to=values.instant(report.up_to_micros),
            finished_at=values.instant(report.finished_at_micros) if finished else None,
            deleted={view: rows.deleted for view, rows in report.views.items()},
            newer={view: rows.newer for view, rows in report.views.items()},
            embeddings=dict(report.embeddings),
            problem=report.problem,
            message=report,
        )
