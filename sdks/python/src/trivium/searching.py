"""Questions for the nearest, and what they find."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trivium import values
from trivium.results import Status
from trivium.v1 import online_pb2

# As over REST: {"equals": {"color": "red"}}, {"range": {"price": {"gte": 5, "lt": 20}}},
# {"all": [...]}.
Filter = Mapping[str, Any]


@dataclass(frozen=True)
class Hit:
    """One entity, and how near; larger is nearer. `values` are of the row that made it a hit."""

    entity: dict[str, Any]
    score: float
    rev: int
    event_time: dt.datetime
    values: dict[str, Any]
    statuses: dict[str, Status]


@dataclass(frozen=True)
class Hits:
    """What a search found, nearest first.

    `dropped` were found and belong to no row as it is now; `is_cut_off` says that so many were
    dropped that farther hits may be missing.
    """

    hits: list[Hit]
    dropped: int
    is_cut_off: bool

    @classmethod
    def of(cls, answer: online_pb2.SearchNearestResponse) -> Hits:
        names = list(answer.features)
        return cls([_hit(each, names) for each in answer.hits], answer.dropped, answer.is_cut_off)


def _hit(given: online_pb2.SearchHit, names: list[str]) -> Hit:
    statuses = [Status(each) for each in given.statuses] or [Status.PRESENT] * len(names)
    return Hit(
        entity={name: values.of_key(each) for name, each in given.entity.items()},
        score=given.score,
        rev=given.rev,
        event_time=values.instant(given.event_time_micros),
        values=dict(zip(names, map(values.of_value, given.values), strict=True)),
        statuses=dict(zip(names, statuses, strict=True)),
    )


def of_filter(given: Filter, types: Mapping[str, Any], field: str) -> online_pb2.SearchFilter:
    """A filter as the wire has it; compared values have the types of the view's features."""
    if len(given) != 1:
        raise values.wrong(field, "a filter is one of equals, range and all")
    ((kind, said),) = given.items()
    if kind == "all":
        parts = [of_filter(each, types, f"{field}.all[{at}]") for at, each in enumerate(said)]
        return online_pb2.SearchFilter(all=online_pb2.SearchFilters(filters=parts))
    if kind not in ("equals", "range") or len(said) != 1:
        raise values.wrong(field, "a filter is one of equals, range (of one feature) and all")
    ((feature, bound),) = said.items()
    field = f"{field}.{kind}.{feature}"

    def compared(value: Any) -> Any:
        # The server says what there is, where there is no such feature.
        return values.value(types.get(feature, "string"), value, field)

    if kind == "equals":
        equals = online_pb2.SearchEquals(feature=feature, value=compared(bound))
        return online_pb2.SearchFilter(equals=equals)
    unknown = set(bound) - {"gt", "gte", "lt", "lte"}
    if unknown or {"gt", "gte"} <= set(bound) or {"lt", "lte"} <= set(bound):
        raise values.wrong(field, "a range has one of gt and gte, and one of lt and lte")
    ends = {name: compared(value) for name, value in bound.items()}
    return online_pb2.SearchFilter(range=online_pb2.SearchRange(feature=feature, **ends))


def request(
    feature: str,
    near: Sequence[float] | Mapping[str, Any],
    types: Mapping[str, Any],
    **more: Any,
) -> online_pb2.SearchNearestRequest:
    """`near` is a vector, or the join keys of an entity."""
    if isinstance(near, Mapping):
        keys = {name: values.key(each, f"near.{name}") for name, each in near.items()}
        place: dict[str, Any] = {"entity": online_pb2.SearchEntity(keys=keys)}
    else:
        components = [float(values.plain(each)) for each in near]
        place = {"vector": values.embedding(components)}
    given = more.pop("filter")
    if given is not None:
        more["filter"] = of_filter(given, types, "filter")
    return online_pb2.SearchNearestRequest(feature=feature, **place, **more)
