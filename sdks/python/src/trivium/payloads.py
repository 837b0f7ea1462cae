"""Messages of stream views, for producers: built, and checked before they are sent.

A view that takes envelopes (`trivium.v1.Payload`) is read from its file or asked of the registry;
`View.put` and `View.delete` give a message's key and value for whatever client sends it. What would
be a dead letter is a `PayloadError` here, with the dead letter's reason. Nothing here sends.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import hashlib
import json
import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from trivium import values
from trivium.errors import InvalidArgumentError
from trivium.v1 import payload_pb2, value_pb2

VIEW_HEADER = "trivium-view"
# Of the row that the worker makes; and of its key, escaped.
_ROW_BYTES_MAX = 4 << 20
_KEY_BYTES_MAX = 2048
_KINESIS_KEY_MAX = 256
_AHEAD_MAX = dt.timedelta(days=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY_ZERO = dt.date(1970, 1, 1).toordinal()
# Microseconds of the years 0001 to 9999.
_MICROS = range(-62_135_596_800_000_000, 253_402_300_800_000_000)
_DAYS = range(dt.date.min.toordinal() - _DAY_ZERO, dt.date.max.toordinal() - _DAY_ZERO + 1)
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_KINDS = {"timestamp": "timestamp_micros"}
_PYTHON = {"bool": bool, "string": str, "bytes": bytes, "int32": int, "int64": int}


class PayloadError(InvalidArgumentError):
    """A message that could not become a row. `reason` is that of its dead letter."""

    def __init__(self, reason: str, message: str, field: str = "", help: str = "") -> None:
        super().__init__("INVALID_ARGUMENT", message, field, help)
        self.reason = reason


@dataclass(frozen=True)
class Message:
    """What is sent: all messages of an entity have one key, and so stay in order."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()

    def kafka(self) -> dict[str, Any]:
        """Arguments of `confluent_kafka.Producer.produce`, beside the topic."""
        return {"key": self.key, "value": self.value, "headers": list(self.headers)}

    def kinesis(self) -> dict[str, Any]:
        """Arguments of boto3's `put_record`, beside the stream; an entry of `put_records`."""
        key = self.key.decode()
        if len(key) > _KINESIS_KEY_MAX:
            key = hashlib.sha256(self.key).hexdigest()
        return {"PartitionKey": key, "Data": self.value}


class View:
    """A stream view that takes envelopes, by its config."""

    def __init__(
        self,
        config: Mapping[str, Any],
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        """`clock` tells what is too far ahead: serving refuses event times of after tomorrow."""
        try:
            self.name = f"{config['namespace']}/{config['name']}@{config['version']}"
            self.keys = {key["name"]: key["type"] for key in sorted(config["entities"], key=_named)}
            self.features = {each["name"]: each["type"] for each in config["features"]}
            namespace = config["namespace"]
        except (KeyError, TypeError) as error:
            raise values.wrong("config", f"this is no feature view: {error!r}") from error
        self.topic: str | None = (config.get("source") or {}).get("topic")
        self._prefix = f"{namespace}#{'+'.join(self.keys)}#"
        self._clock = clock
        if config.get("lane") != "stream":
            raise values.wrong("lane", f"{self.name} is no stream view: write its rows by a client")
        if config.get("window") or config.get("inputs"):
            raise values.wrong(
                "source",
                f"the rows of {self.name} are computed from events: send events, in its format",
            )
        form = (config.get("source") or {"format": "envelope"}).get("format")
        if form != "envelope":
            raise values.wrong(
                "source.format", f"{self.name} takes {form}: a message is what its schema says"
            )

    @classmethod
    def read(cls, path: str | Path) -> View:
        """The view of a file, such as `configs/flights/plane_live.v1.json`."""
        return cls(json.loads(Path(path).read_text(encoding="utf-8")))

    def put(
        self,
        entity: Mapping[str, Any],
        features: Mapping[str, Any],
        *,
        event_time: dt.datetime,
        sequence: int | None = None,
    ) -> Message:
        """The entity's whole row: features that are left out are unset, `None` is null.

        `sequence` orders rows of one event time; without one their places in the topic do.
        """
        payload = self._payload(entity, event_time, sequence)
        payload.put.SetInParent()
        for name, given in features.items():
            field = f"put.values.{name}"
            if name not in self.features:
                raise self._unknown("feature", name, self.features, field)
            payload.put.values[name].CopyFrom(_value(self.features[name], given, field))
        return self._message(payload)

    def delete(
        self,
        entity: Mapping[str, Any],
        *,
        event_time: dt.datetime,
        sequence: int | None = None,
    ) -> Message:
        """The entity has no row any more, from the event time on."""
        payload = self._payload(entity, event_time, sequence)
        payload.delete.SetInParent()
        return self._message(payload)

    def check(self, value: bytes) -> Message:
        """The message of a value that something else has built, or why it could be no row."""
        try:
            payload = payload_pb2.Payload.FromString(value)
        except DecodeError as error:
            raise PayloadError("undecodable", f"no trivium.v1.Payload: {error}") from None
        key = self._check(payload, len(value))
        return Message(key, value)

    def _payload(
        self, entity: Mapping[str, Any], event_time: dt.datetime, sequence: int | None
    ) -> payload_pb2.Payload:
        payload = payload_pb2.Payload(view=self.name)
        for name, given in entity.items():
            field = f"entity.{name}"
            if name not in self.keys:
                raise self._unknown("join key", name, self.keys, field)
            payload.entity[name].CopyFrom(_key(self.keys[name], given, field))
        event_time = values.plain(event_time)
        if not isinstance(event_time, dt.datetime):
            found = type(event_time).__name__
            raise PayloadError("missing", f"expected a datetime, found {found}", "event_time")
        payload.event_time_micros = _micros(event_time, "event_time")
        if sequence is not None:
            if not isinstance(sequence, int) or sequence not in range(1 << 64):
                raise PayloadError("undecodable", "expected an unsigned 64-bit int", "sequence")
            payload.sequence = sequence
        return payload

    def _message(self, payload: payload_pb2.Payload) -> Message:
        value = payload.SerializeToString(deterministic=True)
        return Message(self._check(payload, len(value)), value)

    def _check(self, payload: payload_pb2.Payload, size: int) -> bytes:
        """The message's key; what the worker would not take is told."""
        if payload.view not in ("", self.name):
            message = f"the payload is for `{payload.view}`, and this is {self.name}"
            raise PayloadError("unknown_view", message, "view")
        parts = []
        for name, kind in self.keys.items():
            field = f"entity.{name}"
            found = payload.entity[name].WhichOneof("kind") if name in payload.entity else None
            if found is None:
                raise PayloadError("missing", f"the join key `{name}` is missing", field)
            if found != _KINDS.get(kind, kind):
                raise PayloadError("wrong_type", f"expected {kind}, found {found}", field)
            parts.append(_part(kind, getattr(payload.entity[name], found), field))
        for name in payload.entity:
            if name not in self.keys:
                raise self._unknown("join key", name, self.keys, "entity")
        op = payload.WhichOneof("op")
        if op is None:
            raise PayloadError("undecodable", "the payload says neither put nor delete", "op")
        for name, given in payload.put.values.items() if op == "put" else ():
            field = f"put.values.{name}"
            if name not in self.features:
                raise self._unknown("feature", name, self.features, field)
            _check_value(self.features[name], given, field)
        at = payload.event_time_micros
        if at not in _MICROS:
            raise _outside("event_time")
        latest = values.micros(self._clock() + _AHEAD_MAX, "clock")
        if at > latest:
            help = "it is of after tomorrow: look at the producer's clock, and at the unit"
            raise PayloadError("refused", "the event time lies ahead", "event_time", help)
        key = (self._prefix + "|".join(parts)).encode()
        if len(key) > _KEY_BYTES_MAX:
            message = f"the key has {len(key)} bytes, and may have {_KEY_BYTES_MAX}"
            raise PayloadError("too_large", message, "entity")
        if size > _ROW_BYTES_MAX:
            message = f"the payload has {size} bytes; a row may have {_ROW_BYTES_MAX}"
            raise PayloadError("too_large", message)
        return key

    def _unknown(self, what: str, name: str, known: Mapping[str, Any], field: str) -> PayloadError:
        help = f"it has {', '.join(f'`{each}`' for each in known)}"
        return PayloadError("wrong_type", f"{self.name} has no {what} `{name}`", field, help)


def _named(key: Mapping[str, Any]) -> str:
    return str(key["name"])


def _outside(field: str) -> PayloadError:
    return PayloadError("out_of_bounds", "it lies outside the years 0001 to 9999", field)


def _wrong(kind: Any, found: Any, field: str) -> PayloadError:
    word = kind if isinstance(kind, str) else json.dumps(kind)
    return PayloadError("wrong_type", f"expected {word}, found {found}", field)


def _micros(at: dt.datetime, field: str) -> int:
    if at.tzinfo is None:
        help = "add one, such as datetime.UTC"
        raise PayloadError("wrong_type", f"{at!r} has no time zone", field, help)
    return (at - _EPOCH) // dt.timedelta(microseconds=1)


def _key(kind: str, given: Any, field: str) -> value_pb2.KeyValue:
    if values.plain(given) is None:
        raise PayloadError("missing", "a join key is never null", field)
    scalar = _scalar(kind, given, field)
    return value_pb2.KeyValue(**{_KINDS.get(kind, kind): scalar})


def _scalar(kind: str, given: Any, field: str) -> Any:
    """The wire's value of Python's, which has to be of the type: nothing is guessed."""
    given = values.plain(given)
    if kind == "timestamp":
        if not isinstance(given, dt.datetime):
            raise _wrong(kind, type(given).__name__, field)
        return _micros(given, field)
    if kind == "date":
        if not isinstance(given, dt.date) or isinstance(given, dt.datetime):
            raise _wrong(kind, type(given).__name__, field)
        return given.toordinal() - _DAY_ZERO
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if kind in ("float32", "float64"):
        if not is_number:
            raise _wrong(kind, type(given).__name__, field)
        return _float(kind, given, field)
    wanted = _PYTHON.get(kind)
    if wanted is None:
        raise PayloadError("wrong_type", f"this library does not know the type {kind}", field)
    if not isinstance(given, wanted) or (wanted is int and isinstance(given, bool)):
        raise _wrong(kind, type(given).__name__, field)
    bits = {"int32": 31, "int64": 63}.get(kind)
    if bits and not -(1 << bits) <= given < 1 << bits:
        raise _wrong(kind, "a number that does not fit", field)
    if kind == "string":
        try:
            given.encode()
        except UnicodeEncodeError:
            raise _wrong(kind, "text with half a character", field) from None
    return given


def _float(kind: str, given: int | float, field: str) -> float:
    try:
        number = float(given)
    except OverflowError:
        raise _wrong(kind, "a number that does not fit", field) from None
    if isinstance(given, int) and int(number) != given:
        raise _wrong(kind, "an int that is no float exactly", field)
    if kind == "float32" and math.isfinite(number):
        try:
            # The native format alone gives infinity.
            struct.pack("<f", number)
        except OverflowError:
            raise _wrong(kind, "a number that does not fit", field) from None
    return number


def _value(data_type: Any, given: Any, field: str) -> value_pb2.Value:
    """A feature's value as a message, strictly of its type."""
    given = values.plain(given)
    if given is None:
        return value_pb2.Value(null=value_pb2.NULL_VALUE)
    if isinstance(data_type, str):
        scalar = _scalar(data_type, given, field)
        return value_pb2.Value(**{_KINDS.get(data_type, data_type): scalar})
    if "decimal" in data_type:
        if isinstance(given, bool) or not isinstance(given, decimal.Decimal | int):
            raise _wrong(data_type, type(given).__name__, field)
        number = decimal.Decimal(given)
        if not number.is_finite():
            raise _wrong(data_type, str(number), field)
        return value_pb2.Value(decimal=format(number, "f"))
    if isinstance(given, str | bytes | Mapping) or not hasattr(given, "__iter__"):
        raise _wrong(data_type, type(given).__name__, field)
    if "list" in data_type:
        items = [_value(data_type["list"], each, f"{field}[{at}]") for at, each in enumerate(given)]
        return value_pb2.Value(list=value_pb2.ListValue(items=items))
    if "embedding" in data_type:
        components = [_scalar("float32", each, f"{field}[{at}]") for at, each in enumerate(given)]
        return value_pb2.Value(embedding=value_pb2.Embedding(components=components))
    raise PayloadError("wrong_type", f"this library does not know the type {data_type}", field)


def _check_value(data_type: Any, given: value_pb2.Value, field: str) -> None:
    found = given.WhichOneof("kind")
    if found is None:
        raise _wrong(data_type, "no value; `null` sets null", field)
    if found == "null":
        return
    word = data_type if isinstance(data_type, str) else next(iter(data_type))
    if found != _KINDS.get(word, word):
        raise _wrong(data_type, found, field)
    content = getattr(given, found)
    if found == "timestamp_micros" and content not in _MICROS:
        raise _outside(field)
    if found == "date" and content not in _DAYS:
        raise _outside(field)
    if found == "decimal":
        _check_decimal(data_type, content, field)
    elif found == "list":
        for at, item in enumerate(content.items):
            _check_value(data_type["list"], item, f"{field}[{at}]")
    elif found == "embedding":
        dimension = data_type["embedding"]["dimension"]
        if len(content.components) != dimension:
            raise _wrong(data_type, f"{len(content.components)} components", field)
        for at, component in enumerate(content.components):
            if not math.isfinite(component):
                raise _wrong("a finite float32", component, f"{field}[{at}]")


def _check_decimal(data_type: Any, text: str, field: str) -> None:
    precision, scale = (data_type["decimal"][name] for name in ("precision", "scale"))
    whole, _, fraction = text.removeprefix("-").partition(".")
    fraction = fraction.rstrip("0").ljust(scale, "0")
    digits = (whole + fraction).lstrip("0")
    if not _DECIMAL.fullmatch(text) or len(fraction) > scale or len(digits) > precision:
        raise _wrong(data_type, "a text that is none or does not fit exactly", field)


def _part(kind: str, given: Any, field: str) -> str:
    """A join key's value in a key, by `docs/row-format.md`: "Keys"."""
    if kind == "string":
        return "s:" + "".join(
            f"%{ord(each):02X}" if each in "%#|\x7f" or each < " " else each for each in given
        )
    if kind == "int64":
        return f"i:{given}"
    if kind == "bool":
        return f"b:{given:d}"
    if kind == "bytes":
        return "x:" + base64.urlsafe_b64encode(given).rstrip(b"=").decode()
    if given not in (_DAYS if kind == "date" else _MICROS):
        raise _outside(field)
    if kind == "date":
        return f"d:{dt.date.fromordinal(given + _DAY_ZERO).isoformat()}"
    return f"t:{given}"
