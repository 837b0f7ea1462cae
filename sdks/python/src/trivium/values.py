"""Values between Python and the wire. Times are tz-aware UTC; nothing is rounded."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from trivium.errors import InvalidArgumentError
from trivium.v1 import online_pb2, value_pb2

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY_ZERO = dt.date(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)


def wrong(field: str, message: str) -> InvalidArgumentError:
    """A value that is never sent."""
    return InvalidArgumentError("INVALID_ARGUMENT", message, field)


def micros(at: dt.datetime, field: str) -> int:
    """Microseconds since 1970. A time without a zone could mean anything."""
    if at.tzinfo is None:
        raise wrong(field, f"{at!r} has no time zone; add one, such as datetime.UTC")
    return (at - _EPOCH) // _MICROSECOND


def instant(at_micros: int) -> dt.datetime:
    """The time of so many microseconds since 1970."""
    return _EPOCH + at_micros * _MICROSECOND


def plain(value: Any) -> Any:
    """numpy's and pandas' scalars as Python's own."""
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    if hasattr(value, "item") and not hasattr(value, "__len__"):
        return value.item()
    return value


def key(value: Any, field: str) -> value_pb2.KeyValue:
    """A join key's value, of the type that Python's value has."""
    value = plain(value)
    if isinstance(value, bool):
        return value_pb2.KeyValue(bool=value)
    if isinstance(value, int):
        return value_pb2.KeyValue(int64=value)
    if isinstance(value, str):
        return value_pb2.KeyValue(string=value)
    if isinstance(value, bytes):
        return value_pb2.KeyValue(bytes=value)
    if isinstance(value, dt.datetime):
        return value_pb2.KeyValue(timestamp_micros=micros(value, field))
    if isinstance(value, dt.date):
        return value_pb2.KeyValue(date=(value - _DAY_ZERO).days)
    raise wrong(field, f"{type(value).__name__} is no type of a join key")


def key_column(name: str, values: Sequence[Any], field: str) -> online_pb2.KeyColumn:
    """One join key of every entity."""
    keys = [key(value, f"{field}[{index}].{name}") for index, value in enumerate(values)]
    kinds = {each.WhichOneof("kind") for each in keys}
    if len(kinds) > 1:
        raise wrong(
            f"{field}.{name}", f"values of several types: {', '.join(sorted(map(str, kinds)))}"
        )
    kind = next(iter(kinds), None)
    # An empty column has no type to go by; any will do for no entities.
    lists = {
        "string": ("strings", value_pb2.StringList),
        "int64": ("int64s", value_pb2.Int64List),
        "bool": ("bools", value_pb2.BoolList),
        "bytes": ("bytes", value_pb2.BytesList),
        "date": ("dates", value_pb2.Int32List),
        "timestamp_micros": ("timestamps_micros", value_pb2.Int64List),
    }
    column, make = lists[kind or "string"]
    items = [getattr(each, kind) for each in keys] if kind else []
    return online_pb2.KeyColumn(name=name, **{column: make(values=items)})


def input_column(name: str, data_type: Any, given: Sequence[Any]) -> online_pb2.InputColumn:
    """One input of every entity, or one value for all of them."""
    sent = [value(data_type, each, f"inputs[{at}].{name}") for at, each in enumerate(given)]
    return online_pb2.InputColumn(name=name, values=sent)


def of_key(given: value_pb2.KeyValue) -> Any:
    """Python's value of a join key."""
    kind = given.WhichOneof("kind")
    found = getattr(given, kind) if kind else None
    if kind == "date":
        return _DAY_ZERO + dt.timedelta(days=found)
    return instant(found) if kind == "timestamp_micros" else found


def embedding(components: list[float]) -> value_pb2.Embedding:
    """A vector."""
    return value_pb2.Embedding(components=components)


def value(data_type: Any, given: Any, field: str) -> value_pb2.Value:
    """A feature's value, of the feature's type as its config spells it."""
    given = plain(given)
    if given is None:
        return value_pb2.Value(null=value_pb2.NULL_VALUE)
    if isinstance(data_type, dict):
        if "list" in data_type:
            if isinstance(given, str | bytes):
                raise wrong(field, "expected a list")
            items = [
                value(data_type["list"], item, f"{field}[{at}]") for at, item in enumerate(given)
            ]
            return value_pb2.Value(list=value_pb2.ListValue(items=items))
        if "embedding" in data_type:
            return value_pb2.Value(embedding=value_pb2.Embedding(components=list(given)))
        if "decimal" in data_type:
            if isinstance(given, float):
                raise wrong(field, "a float is no decimal: give decimal.Decimal")
            return value_pb2.Value(decimal=format(decimal.Decimal(given), "f"))
    elif data_type == "timestamp":
        if not isinstance(given, dt.datetime):
            raise wrong(field, f"expected a datetime, found {type(given).__name__}")
        return value_pb2.Value(timestamp_micros=micros(given, field))
    elif data_type == "date":
        if not isinstance(given, dt.date) or isinstance(given, dt.datetime):
            raise wrong(field, f"expected a date, found {type(given).__name__}")
        return value_pb2.Value(date=(given - _DAY_ZERO).days)
    else:
        if isinstance(given, bool) != (data_type == "bool"):
            raise wrong(field, f"expected {data_type}, found {type(given).__name__}")
        try:
            return value_pb2.Value(**{data_type: given})
        except (TypeError, ValueError) as error:
            raise wrong(field, f"expected {data_type}: {error}") from error
    raise wrong(field, f"this client does not know the type {data_type}")


def of_value(given: value_pb2.Value) -> Any:
    """Python's value of the wire's."""
    kind = given.WhichOneof("kind")
    if kind is None or kind == "null":
        return None
    found = getattr(given, kind)
    if kind == "timestamp_micros":
        return instant(found)
    if kind == "date":
        return _DAY_ZERO + dt.timedelta(days=found)
    if kind == "decimal":
        return decimal.Decimal(found)
    if kind == "list":
        return [of_value(item) for item in found.items]
    if kind == "embedding":
        return list(found.components)
    return found


def column(given: online_pb2.FeatureColumn, is_null: Sequence[bool]) -> pa.Array:
    """One feature of every entity, in Arrow."""
    kind = given.WhichOneof("values")
    if kind is None:
        return pa.nulls(len(is_null))
    found = getattr(given, kind)
    values: list[Any]
    if kind == "lists":
        values = [of_value(value_pb2.Value(list=item)) for item in found.values]
    elif kind == "embeddings":
        size = found.dimension
        flat = list(found.components)
        values = [flat[at * size : (at + 1) * size] for at in range(len(is_null))]
    elif kind == "decimals":
        values = [decimal.Decimal(text or "0") for text in found.values]
    else:
        values = list(found.values)
    types = {
        "float64s": pa.float64(),
        "float32s": pa.float32(),
        "int64s": pa.int64(),
        "int32s": pa.int32(),
        "bools": pa.bool_(),
        "strings": pa.string(),
        "bytes": pa.binary(),
        "timestamps_micros": pa.timestamp("us", tz="UTC"),
        "dates": pa.date32(),
    }
    if kind == "embeddings":
        data_type: pa.DataType | None = pa.list_(pa.float32())
    else:
        data_type = types.get(kind)
    values = [None if null else each for each, null in zip(values, is_null, strict=True)]
    return pa.array(values, type=data_type)
