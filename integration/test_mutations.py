"""10,000 messages that were good once, spoiled at random: each becomes a row, or a dead letter, and
neither the worker nor serving notices. TRIVIUM_MUTATIONS sets how many."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import re
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from confluent_kafka import KafkaException
from streams import DEAD_LETTERS, Event, Steady, send
from trivium.v1 import payload_pb2, value_pb2

MUTATIONS = int(os.environ.get("TRIVIUM_MUTATIONS", "10000"))
SEED = int(os.environ.get("TRIVIUM_SEED", "20130712"))
FORMATS = ("json", "envelope", "avro", "debezium_json", "debezium_avro")
REASONS = {
    *("undecodable", "unknown_view", "missing", "wrong_type", "out_of_bounds"),
    *("too_large", "refused"),
}
BASE = (int(time.time()) - 3_600) * 1_000_000
TYPES = {
    "whole": "int64",
    "share": "float64",
    "flag": "bool",
    "name": "string",
    "raw": "bytes",
    "seen": "timestamp",
    "fare": {"decimal": {"precision": 12, "scale": 2}},
    "stops": {"list": "int64"},
}
FIELDS = [
    {"name": "who", "type": "string"},
    {"name": "at", "type": "long"},
    {"name": "whole", "type": ["null", "long"]},
    {"name": "share", "type": "double"},
    {"name": "flag", "type": "boolean"},
    {"name": "name", "type": ["null", "string"]},
    {"name": "raw", "type": "bytes"},
    {"name": "seen", "type": "long"},
    {"name": "fare", "type": "string"},
    {"name": "stops", "type": {"type": "array", "items": "long"}},
]
ROW = {"type": "record", "name": "row", "fields": FIELDS}
CHANGE = {
    "type": "record",
    "name": "change",
    "fields": [
        {"name": "before", "type": ["null", ROW]},
        {"name": "after", "type": ["null", "row"]},
        {"name": "op", "type": "string"},
    ],
}
SCHEMAS = {1: ROW, 2: CHANGE}
# What a spoiled text may have in it.
TOKENS = [
    *(b"null", b"true", b"{}", b"[]", b'""', b"-0", b"1e999", b"9223372036854775808", b"NaN"),
    *(b'"\\ud800"', b'"\\u0000"', b'"9999-99-99"', b"[[[[[[[[", b"{" * 200, b"[" * 300, b"\xff"),
    *(b'"who":', b'"op":"d"', b'"after":null', b",", b":", b"\\", b"\x00", b"18446744073709551616"),
]
NUMBERS = [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 10**12]


def config(form: str) -> dict:
    source = {"format": form, "topic": form}
    if form != "envelope":
        source["time_unit"] = "us"
    return {
        "namespace": "mutants",
        "name": form,
        "version": 1,
        "lane": "stream",
        "description": "Of many types.",
        "owner": {"team": "tests", "contact": "tests@example.com"},
        "urgency_tier": 2,
        "entities": [{"name": "who", "type": "string"}],
        "event_timestamp": "at",
        "source": source,
        "features": [
            {"name": name, "type": kind, "description": name} for name, kind in TYPES.items()
        ],
        "online": True,
    }


def row(pick: random.Random, number: int) -> dict:
    return {
        "who": f"w{number % 500}",
        "at": BASE + number,
        "whole": pick.choice([None, *NUMBERS]),
        "share": pick.choice([0.5, -1e300, 1e-300]),
        "flag": pick.random() < 0.5,
        "name": pick.choice([None, "", "süd", "x" * 200]),
        "raw": pick.randbytes(5),
        "seen": BASE - pick.randrange(10**12),
        "fare": f"{pick.randrange(10**6)}.{pick.randrange(100):02d}",
        "stops": [pick.choice(NUMBERS) for _ in range(pick.randrange(4))],
    }


def json_row(given: dict) -> dict:
    def whole(number):
        return str(number) if number is not None and abs(number) > 2**53 else number

    return given | {
        "whole": whole(given["whole"]),
        "raw": base64.b64encode(given["raw"]).decode(),
        "stops": [whole(each) for each in given["stops"]],
    }


def long(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def text(given: bytes) -> bytes:
    return long(len(given)) + given


def avro_row(given: dict) -> bytes:
    def optional(value, write) -> bytes:
        return long(0) if value is None else long(1) + write(value)

    stops = b"".join(map(long, given["stops"]))
    parts = [
        text(given["who"].encode()),
        long(given["at"]),
        optional(given["whole"], long),
        struct.pack("<d", given["share"]),
        bytes([given["flag"]]),
        optional(given["name"], lambda name: text(name.encode())),
        text(given["raw"]),
        long(given["seen"]),
        text(given["fare"].encode()),
        (long(len(given["stops"])) + stops if stops else b"") + long(0),
    ]
    return b"".join(parts)


def envelope(given: dict) -> bytes:
    payload = payload_pb2.Payload(
        view="mutants/envelope@1",
        entity={"who": value_pb2.KeyValue(string=given["who"])},
        event_time_micros=given["at"],
    )
    values = payload.put.values
    values["share"].float64 = given["share"]
    values["flag"].bool = given["flag"]
    values["raw"].bytes = given["raw"]
    values["seen"].timestamp_micros = given["seen"]
    values["fare"].decimal = given["fare"]
    values["stops"].list.items.extend(value_pb2.Value(int64=each) for each in given["stops"])
    if given["whole"] is None:
        values["whole"].null = value_pb2.NULL_VALUE
    else:
        values["whole"].int64 = given["whole"]
    return payload.SerializeToString()


def good(form: str, pick: random.Random, number: int) -> bytes:
    given = row(pick, number)
    before = row(pick, number)
    match form:
        case "json":
            return json.dumps(json_row(given)).encode()
        case "envelope":
            return envelope(given)
        case "avro":
            return b"\0" + (1).to_bytes(4) + avro_row(given)
        case "debezium_json":
            change = {"before": json_row(before), "after": json_row(given), "op": "u"}
            return json.dumps(change).encode()
        case "debezium_avro":
            rows = [long(1) + avro_row(each) for each in (before, given)]
            return b"\0" + (2).to_bytes(4) + b"".join(rows) + text(b"u")
    raise AssertionError(form)


def spoil(pick: random.Random, value: bytes, other: bytes) -> bytes:
    """A few of: bits, bytes and tokens put in, taken out, moved, and another message's part."""
    changed = bytearray(value)
    for _ in range(pick.choice([1, 1, 1, 2, 4])):
        at = pick.randrange(len(changed) + 1)
        until = min(len(changed), at + pick.randrange(1, 12))
        match pick.randrange(8):
            case 0 if at < len(changed):
                changed[at] ^= 1 << pick.randrange(8)
            case 1:
                del changed[at:until]
            case 2:
                changed[at:at] = pick.randbytes(pick.randrange(1, 6))
            case 3:
                changed[at:until] = pick.choice(TOKENS)
            case 4:
                changed[at:at] = changed[at:until] * pick.choice([1, 2, 50])
            case 5:
                del changed[at:]
            case 6:
                start = pick.randrange(len(other))
                changed[at:until] = other[start : start + pick.randrange(1, 40)]
            case 7:
                # Where a number stands, another one.
                digits = list(re.finditer(rb"-?[0-9]+", changed))
                if digits:
                    found = pick.choice(digits)
                    changed[found.start() : found.end()] = str(pick.choice(NUMBERS)).encode()
    return bytes(changed)


class Schemas(BaseHTTPRequestHandler):
    """A registry of Avro's schemas, of what the worker asks of one: the schema of an id."""

    def do_GET(self) -> None:
        found = SCHEMAS.get(int(self.path.rpartition("/")[2]))
        body = {"schema": json.dumps(found)} if found else {"error_code": 40403, "message": "none"}
        body = json.dumps(body).encode()
        self.send_response(200 if found else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args) -> None:
        pass


@pytest.fixture
def registry():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Schemas)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def streams(tmp_path, registry):
    topics = dict.fromkeys(FORMATS, 1)
    streams = Steady(tmp_path, [config(form) for form in FORMATS], **topics)
    try:
        streams.kafka.create("payloads", 1)
        # Nearly all are bad: no flood.
        extra = f'[flood]\nshare = 1.0\n[schema_registry]\nurl = "{registry}"'
        streams.workers = [streams.new_worker(0, extra)]
        yield streams
    finally:
        streams.stop()


def counted(text: str, metric: str, **labels: str) -> float:
    """A metric's sum over its series with these labels."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    lines = [line for line in text.splitlines() if line.startswith(metric + "{")]
    lines = [line for line in lines if all(each in line for each in wanted)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_each_is_a_row_or_a_dead_letter(streams):
    print(f"TRIVIUM_SEED={SEED}")
    pick = random.Random(SEED)
    worker, serving = streams.workers[0], streams.serving
    sent = Counter()
    events = []
    for form in FORMATS:
        # A few as they were, so that good ones are taken all along.
        for number in range(MUTATIONS // len(FORMATS)):
            value = good(form, pick, number)
            if pick.random() < 0.95:
                value = spoil(pick, value, good(pick.choice(FORMATS), pick, number))
            key = pick.choice([None, b"", b"w1", b"\xff\xfe", value[:20]])
            headers = [("trace", pick.randbytes(4))] if pick.random() < 0.2 else []
            events.append(Event(form, key, value, headers))
            sent[form] += 1
    pick.shuffle(events)
    send(streams.producer, events)
    until_read(streams)

    letters = Counter()
    places = set()
    for message in streams.kafka.read(DEAD_LETTERS):
        headers = dict(message.headers())
        assert headers["trivium-dlq-reason"].decode() in REASONS
        assert headers["trivium-dlq-message"], headers
        topic = headers["trivium-dlq-topic"].decode()
        letters[topic] += 1
        places.add((topic, headers["trivium-dlq-offset"]))
    assert len(places) == sum(letters.values()), "a message is two dead letters"

    metrics = worker.get("/metrics").text
    for form in FORMATS:
        rows = counted(metrics, "trivium_ingest_rows_total", view=f"mutants/{form}@1")
        print(f"{form}: {sent[form]} sent, {rows:.0f} rows, {letters[form]} dead letters")
        # Changes that are no rows are nothing; all else is one or the other.
        if form.startswith("debezium"):
            assert 0.95 * sent[form] < rows + letters[form] <= sent[form]
        else:
            assert rows + letters[form] == sent[form]
        # Neither is rare: what is spoiled is not all of it nonsense.
        assert rows > sent[form] / 50 and letters[form] > sent[form] / 5, form
    # Nobody died, started anew, or had an error of its own.
    for server in (worker, serving):
        assert server.process.poll() is None
        assert "panicked" not in server.log.read_text(errors="replace")
    assert not re.search(r'status="5\d\d"|INTERNAL', serving.get("/metrics").text)
    assert counted(metrics, "trivium_ingest_retries_total") == 0
    # And it goes on.
    last = row(random.Random(1), MUTATIONS) | {"who": "last"}
    send(streams.producer, [Event("envelope", b"last", envelope(last))])
    streams.until_read()
    body = {"features": ["mutants/envelope@1:fare"], "entities": [{"who": "last"}]}
    assert serving.post("/v1/features/online/get", body).json()["rows"][0]["values"] == [
        last["fare"]
    ]


def until_read(streams: Steady) -> None:
    """As long as the worker gets on: how fast it is does not matter."""
    before, since = None, time.monotonic()
    while not streams.is_read():
        now = None
        with contextlib.suppress(KafkaException):
            now = [streams.kafka.committed("trivium-ingest", topic) for topic in FORMATS]
        if now != before:
            before, since = now, time.monotonic()
        assert time.monotonic() - since < 120, streams.workers[0].partitions()
        assert streams.workers[0].process.poll() is None, "the worker has ended"
        time.sleep(0.5)
