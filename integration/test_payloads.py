"""`trivium.payloads`: what producers build is what a worker takes, and what is refused before it is
sent would have been a dead letter, for the same reason."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
from decimal import Decimal

import pytest
from conftest import REPO
from streams import DEAD_LETTERS, Event, Steady, send
from trivium import Client, InvalidArgumentError, payloads
from trivium.v1 import payload_pb2, value_pb2

SEED = int(os.environ.get("TRIVIUM_SEED", "20130711"))
NAME = "sdk/everything@1"
KEYS = {
    "flag": "bool",
    "raw": "bytes",
    "day": "date",
    "number": "int64",
    "text": "string",
    "at": "timestamp",
}
TYPES = {
    "f_bool": "bool",
    "f_int32": "int32",
    "f_int64": "int64",
    "f_float32": "float32",
    "f_float64": "float64",
    "f_string": "string",
    "f_bytes": "bytes",
    "f_timestamp": "timestamp",
    "f_date": "date",
    "f_decimal": {"decimal": {"precision": 6, "scale": 2}},
    "f_list": {"list": "int64"},
    "f_days": {"list": "date"},
    "f_vector": {"embedding": {"dimension": 3, "metric": "cosine"}},
}
CONFIG = {
    "namespace": "sdk",
    "name": "everything",
    "version": 1,
    "lane": "stream",
    "description": "Of all types.",
    "owner": {"team": "sdk", "contact": "sdk@example.com"},
    "urgency_tier": 2,
    "entities": [{"name": name, "type": kind} for name, kind in KEYS.items()],
    "event_timestamp": "happened",
    "features": [
        {"name": name, "type": kind, "description": "One."} for name, kind in TYPES.items()
    ],
    "source": {"format": "envelope", "topic": "everything"},
    "online": True,
}
VIEW = payloads.View(CONFIG)
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
LAST_MICROS = 253_402_300_799_999_999


def entity(number: int, pick: random.Random) -> dict:
    return {
        "flag": pick.random() < 0.5,
        "raw": pick.randbytes(pick.randrange(4)),
        "day": dt.date.fromordinal(pick.randrange(1, dt.date.max.toordinal())),
        "number": number,
        "text": "".join(pick.choice("a|#%\x00\x1f\x7f/ é😀") for _ in range(pick.randrange(6))),
        "at": dt.datetime(1, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=pick.randrange(3_000_000)),
    }


def features(pick: random.Random) -> dict:
    given = {
        "f_bool": pick.random() < 0.5,
        "f_int32": pick.choice([-(2**31), 2**31 - 1, 0]),
        "f_int64": pick.choice([-(2**63), 2**63 - 1, 7]),
        "f_float32": pick.choice([0.5, -0.0, 3.4028234663852886e38, float("inf")]),
        "f_float64": pick.choice([0.1, 2**53, float("-inf")]),
        "f_string": pick.choice(["", "żółć", "\x00"]),
        "f_bytes": pick.choice([b"", b"\x00\xff"]),
        "f_timestamp": dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, dt.UTC),
        "f_date": pick.choice([dt.date.min, dt.date.max]),
        "f_decimal": pick.choice([Decimal("-9999.99"), Decimal("1.5000"), Decimal("0"), 12]),
        "f_list": pick.choice([[], [1, None, -5]]),
        "f_days": [dt.date(2013, 1, 1), None],
        "f_vector": [0.5, -1.0, 2.0],
    }
    return {
        name: None if pick.random() < 0.1 else each
        for name, each in given.items()
        if pick.random() < 0.9
    }


def spoilt(number: int, pick: random.Random) -> dict[str, tuple[str, bytes]]:
    """Payloads that something else has built wrongly: what is wrong, the reason, the bytes."""
    made: dict[str, tuple[str, bytes]] = {}

    def case(name: str, reason: str, change) -> None:
        who = entity(number + len(made), pick)
        good = VIEW.put(who, {"f_int64": 1}, event_time=NOW)
        payload = payload_pb2.Payload.FromString(good.value)
        change(payload)
        made[name] = (reason, payload.SerializeToString())

    def value(name: str, reason: str, feature: str, given: value_pb2.Value) -> None:
        case(name, reason, lambda payload: payload.put.values[feature].CopyFrom(given))

    def key(name: str, reason: str, which: str, given: value_pb2.KeyValue) -> None:
        case(name, reason, lambda payload: payload.entity[which].CopyFrom(given))

    wire, keys = value_pb2.Value, value_pb2.KeyValue
    case("another view", "unknown_view", lambda p: setattr(p, "view", "sdk/nobody@1"))
    case("a key is missing", "missing", lambda p: p.entity.pop("text"))
    key("a key without a value", "missing", "text", keys())
    key("a key of another type", "wrong_type", "number", keys(string="5"))
    key("a key too many", "wrong_type", "elsewhere", keys(int64=1))
    key("a day of no year", "out_of_bounds", "day", keys(date=-800_000))
    key("an instant of no year", "out_of_bounds", "at", keys(timestamp_micros=LAST_MICROS + 1))
    key("a key that is too long", "too_large", "text", keys(string="é" * 1_100))
    case("no op", "undecodable", lambda p: p.ClearField("put"))
    value("no such feature", "wrong_type", "f_other", wire(int64=1))
    value("a feature without a value", "wrong_type", "f_int64", wire())
    value("an int32 in an int64", "wrong_type", "f_int64", wire(int32=1))
    value("a double in a float", "wrong_type", "f_float32", wire(float64=1))
    value("text in bytes", "wrong_type", "f_bytes", wire(string="x"))
    value("an instant after all", "out_of_bounds", "f_timestamp", wire(timestamp_micros=2**62))
    value("a day before all", "out_of_bounds", "f_date", wire(date=-719_163))
    for text in ("", "-", ".5", "5.", "1e2", "+1", " 1", "10000", "0.001", "NaN", "٣"):
        value(f"the decimal {text!r}", "wrong_type", "f_decimal", wire(decimal=text))
    items = value_pb2.ListValue(items=[wire(int64=1), wire(int32=1)])
    value("an item of another type", "wrong_type", "f_list", wire(list=items))
    items = value_pb2.ListValue(items=[wire()])
    value("an item without a value", "wrong_type", "f_list", wire(list=items))
    items = value_pb2.ListValue(items=[wire(date=10**8)])
    value("an item of no year", "out_of_bounds", "f_days", wire(list=items))
    for name, components in {
        "two": [1, 2],
        "four": [1, 2, 3, 4],
        "NaN": [1, 2, float("nan")],
    }.items():
        vector = value_pb2.Embedding(components=components)
        value(f"{name} components", "wrong_type", "f_vector", wire(embedding=vector))
    case("no time", "out_of_bounds", lambda p: setattr(p, "event_time_micros", LAST_MICROS + 1))
    ahead = LAST_MICROS // 2
    case("a time ahead", "refused", lambda p: setattr(p, "event_time_micros", ahead))
    value("a row too large", "too_large", "f_bytes", wire(bytes=bytes(4 << 20)))
    made["half of it"] = (
        "undecodable",
        VIEW.delete(entity(number, pick), event_time=NOW).value[:-1],
    )
    return made


@pytest.fixture
def streams(tmp_path):
    streams = Steady(tmp_path, [CONFIG], payloads=1)
    try:
        # Messages of a row that is too large are.
        streams.kafka.create("everything", 2, max_message_bytes="6000000")
        streams.topics = {"everything": 2}
        # Most are bad here, and no flood.
        streams.workers = [streams.new_worker(0, "[flood]\nshare = 1.0")]
        yield streams
    finally:
        streams.stop()


def test_a_worker_takes_what_is_built_and_no_more(streams):
    print(f"TRIVIUM_SEED={SEED}")
    pick = random.Random(SEED)
    rows = []
    for number in range(300):
        who, given = entity(number, pick), features(pick)
        rows.append((who, given, VIEW.put(who, given, event_time=NOW)))
    # What is removed is gone; what comes under a lower sequence of the same time changes nothing.
    (gone, _, _), (kept, last, _) = rows[0], rows[1]
    messages = [message for _, _, message in rows]
    messages.append(VIEW.delete(gone, event_time=NOW + dt.timedelta(seconds=1)))
    messages.append(VIEW.put(kept, last, event_time=NOW + dt.timedelta(seconds=1), sequence=9))
    messages.append(VIEW.put(kept, {}, event_time=NOW + dt.timedelta(seconds=1), sequence=8))
    spoiled = spoilt(1_000, pick)
    for name, (reason, value) in spoiled.items():
        with pytest.raises(payloads.PayloadError) as refused:
            VIEW.check(value)
        assert refused.value.reason == reason, (name, refused.value)
    for message in messages:
        assert VIEW.check(message.value) == payloads.Message(message.key, message.value)

    streams.producer.poll(0)
    large = [value for _, value in spoiled.values() if len(value) > 1 << 20]
    assert len(large) == 1
    sent = [Event("everything", message.key, message.value) for message in messages]
    sent += [
        Event("everything", name.encode(), value)
        for name, (_, value) in spoiled.items()
        if len(value) <= 1 << 20
    ]
    send(streams.producer, sent)
    streams.until_read()

    letters = {}
    for message in streams.kafka.read(DEAD_LETTERS):
        headers = dict(message.headers())
        letters[message.key().decode(errors="replace")] = headers["trivium-dlq-reason"].decode()
    assert letters == {
        name: reason for name, (reason, value) in spoiled.items() if len(value) <= 1 << 20
    }
    with Client(streams.serving.grpc) as client:
        found = client.batch_get([NAME], [who for who, _, _ in rows])
    statuses = found.statuses.to_pylist()
    assert set(statuses[0].values()) == {"NOT_FOUND"}
    for (_, given, _), status in list(zip(rows, statuses, strict=True))[1:]:
        for name in TYPES:
            wanted = "NOT_FOUND"
            if name in given:
                wanted = "NULL" if given[name] is None else "PRESENT"
            assert status[f"{NAME}:{name}"] == wanted, (name, given)
    for name in TYPES:
        values = found.table[f"{NAME}:{name}"].to_pylist()
        for (_, given, _), value in list(zip(rows, values, strict=True))[1:]:
            if given.get(name) is not None:
                assert value == given[name], (name, given[name], value)


def test_the_view_of_the_registry_is_that_of_the_file(streams):
    with Client(streams.serving.grpc) as client:
        view = payloads.View(client.config(NAME))
    assert (view.name, view.topic) == (NAME, "everything")
    assert (view.keys, view.features) == (VIEW.keys, VIEW.features)


def test_keys_are_those_of_rows():
    """The vectors of docs/row-format.md: all writers of a topic have one key for an entity."""
    vectors = json.loads((REPO / "testdata/vectors/keys.v1.json").read_text())["keys"]
    checked = 0
    for vector in vectors:
        payload = payload_pb2.Payload(view=vector["view"])
        payload.delete.SetInParent()
        for key in vector["keys"]:
            [(kind, given)] = key["value"].items()
            if kind in ("int64", "timestamp"):
                given = int(given)
            given = bytes.fromhex(given) if kind == "bytes" else given
            wire = {"timestamp": "timestamp_micros"}.get(kind, kind)
            payload.entity[key["name"]].CopyFrom(value_pb2.KeyValue(**{wire: given}))
        config = CONFIG | {
            "namespace": "flights",
            "name": "carrier_daily",
            "entities": [{"name": key["name"], "type": key["type"]} for key in vector["keys"]],
        }
        view = payloads.View(config)
        if any(abs(key["value"].get("date", 0)) > 719_000 for key in vector["keys"]):
            # Days that messages cannot have.
            with pytest.raises(payloads.PayloadError, match="9999"):
                view.check(payload.SerializeToString())
            continue
        message = view.check(payload.SerializeToString())
        assert message.key.decode() == vector["partition"]
        assert message.kinesis() == {"PartitionKey": vector["partition"], "Data": message.value}
        checked += 1
    assert checked >= 12


def test_long_keys_of_kinesis_differ_where_keys_do():
    one, other = (
        VIEW.delete(entity(1, random.Random(1)) | {"text": "x" * 300 + end}, event_time=NOW)
        for end in "ab"
    )
    keys = {message.kinesis()["PartitionKey"] for message in (one, other)}
    assert len(keys) == 2 and all(len(key) == 64 for key in keys)


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"number": None}, "missing", "entity.number"),
        ({"number": "5"}, "wrong_type", "entity.number"),
        ({"number": True}, "wrong_type", "entity.number"),
        ({"number": 2**63}, "wrong_type", "entity.number"),
        ({"text": b"x"}, "wrong_type", "entity.text"),
        ({"text": "\ud800"}, "wrong_type", "entity.text"),
        ({"at": dt.datetime(2013, 1, 1)}, "wrong_type", "entity.at"),
        ({"day": NOW}, "wrong_type", "entity.day"),
        ({"other": 1}, "wrong_type", "entity.other"),
        ({"f_bool": 1}, "wrong_type", "put.values.f_bool"),
        ({"f_int32": 2**31}, "wrong_type", "put.values.f_int32"),
        ({"f_int64": 1.0}, "wrong_type", "put.values.f_int64"),
        ({"f_float32": 1e39}, "wrong_type", "put.values.f_float32"),
        ({"f_float64": 2**53 + 1}, "wrong_type", "put.values.f_float64"),
        ({"f_float64": 10**400}, "wrong_type", "put.values.f_float64"),
        ({"f_string": b"x"}, "wrong_type", "put.values.f_string"),
        ({"f_bytes": "x"}, "wrong_type", "put.values.f_bytes"),
        ({"f_timestamp": "2013-01-01T00:00:00Z"}, "wrong_type", "put.values.f_timestamp"),
        ({"f_decimal": 0.5}, "wrong_type", "put.values.f_decimal"),
        ({"f_decimal": Decimal("NaN")}, "wrong_type", "put.values.f_decimal"),
        ({"f_decimal": Decimal("0.001")}, "wrong_type", "put.values.f_decimal"),
        ({"f_list": "12"}, "wrong_type", "put.values.f_list"),
        ({"f_list": [1, "2"]}, "wrong_type", "put.values.f_list[1]"),
        ({"f_vector": [1.0, 2.0]}, "wrong_type", "put.values.f_vector"),
        ({"f_vector": [1.0, 2.0, float("nan")]}, "wrong_type", "put.values.f_vector[2]"),
        ({"f_none": 1}, "wrong_type", "put.values.f_none"),
        ({"event_time": NOW.replace(tzinfo=None)}, "wrong_type", "event_time"),
        ({"event_time": None}, "missing", "event_time"),
        ({"event_time": NOW + dt.timedelta(days=2)}, "refused", "event_time"),
        ({"sequence": -1}, "undecodable", "sequence"),
    ],
)
def test_what_is_refused_is_told_with_where(change, reason, field):
    who, given, rest = entity(1, random.Random(1)), {}, {"event_time": NOW}
    for name, value in change.items():
        into = rest if name in ("event_time", "sequence") else given if "f_" in name else who
        into[name] = value
    with pytest.raises(payloads.PayloadError) as refused:
        VIEW.put(who, given, **rest)
    assert (refused.value.reason, refused.value.field) == (reason, field)
    assert str(refused.value) and isinstance(refused.value, InvalidArgumentError)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lane": "direct"}, "lane"),
        ({"source": {"format": "json", "topic": "t"}}, "source.format"),
        ({"window": {"size": "1h"}}, "source"),
        ({"inputs": [{}]}, "source"),
        ({"features": None}, "config"),
    ],
)
def test_views_that_take_no_envelopes_are_refused(change, field):
    with pytest.raises(InvalidArgumentError) as refused:
        payloads.View(CONFIG | change)
    assert refused.value.field == field
