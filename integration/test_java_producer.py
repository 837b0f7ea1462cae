"""The recipe for producers in Java, docs/producers.md, compiled and run as it stands there: its
messages are those of the Python library, in the same partitions, and become rows."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from pathlib import Path

import pytest
from confluent_kafka import Producer
from conftest import PATIENCE_SECONDS, REPO
from nodes import INSTALLED
from streams import DEAD_LETTERS, Steady
from trivium import payloads
from trivium.v1 import payload_pb2

RECIPE = REPO / "docs/examples/producers/java"
CONFIG = REPO / "configs/flights/plane_live.v1.json"
VIEW = payloads.View.read(CONFIG)
AT = dt.datetime(2013, 7, 10, 12, 0, 0, 123_456, dt.UTC)
PLANES = [f"N{number}" for number in range(40)] + ["", "a|#%b", "żółć 😀 \x7f\x01", "s:x"]


@pytest.fixture
def streams(tmp_path):
    streams = Steady(tmp_path, [json.loads(CONFIG.read_text())], **{"flights.planes": 7})
    try:
        streams.kafka.create("python", 7)
        streams.kafka.create("payloads", 1)
        streams.workers = [streams.new_worker(0)]
        yield streams
    finally:
        streams.stop()


def compiled(folder: Path) -> str:
    """The class path, after the commands of docs/producers.md."""
    libraries = f"{INSTALLED}/kafka/*:{INSTALLED}/protobuf-java/*"
    source, classes = folder / "source", folder / "classes"
    source.mkdir()
    protos = [f"trivium/v1/{name}.proto" for name in ("value", "payload")]
    protoc = [str(INSTALLED / "protobuf-java/protoc"), "-I", str(REPO / "proto")]
    subprocess.run([*protoc, f"--java_out={source}", *protos], check=True)
    generated = [str(file) for file in source.rglob("*.java")]
    written = [str(file) for file in RECIPE.glob("*.java")]
    javac = ["javac", "-d", str(classes), "-cp", f"{classes}:{libraries}"]
    # The generated code has its own style.
    subprocess.run([*javac, "-nowarn", *generated], check=True)
    subprocess.run([*javac, "-Xlint:all,-path,-processing", "-Werror", *written], check=True)
    return f"{classes}:{libraries}"


def test_messages_of_the_recipe_become_rows(streams, tmp_path):
    lines, wanted = [], []
    for number, plane in enumerate(PLANES):
        at = AT + dt.timedelta(seconds=number)
        delay = None if number % 3 == 0 else number - 20
        text = at.isoformat().replace("+00:00", "Z")
        lines.append(f"{plane}\t{text}\tAA1\tJFK\tLAX\t{'' if delay is None else delay}")
        row = {"flight": "AA1", "origin": "JFK", "dest": "LAX", "delay_minutes": delay}
        wanted.append(VIEW.put({"tailnum": plane}, row | {"in_the_air": True}, event_time=at))
    later = AT + dt.timedelta(days=1)
    lines.append(f"{PLANES[0]}\t{later.isoformat().replace('+00:00', 'Z')}")
    wanted.append(VIEW.delete({"tailnum": PLANES[0]}, event_time=later))

    subprocess.run(
        ["java", "-cp", compiled(tmp_path), "PlaneProducer", streams.kafka.brokers, VIEW.topic],
        input="\n".join(lines).encode(),
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    # The partitioner that docs/producers.md names, so that writers of both languages agree.
    producer = Producer(
        {"bootstrap.servers": streams.kafka.brokers, "partitioner": "murmur2_random"}
    )
    for message in wanted:
        producer.produce("python", **message.kafka())
    producer.flush(PATIENCE_SECONDS)

    def messages(topic: str) -> set[tuple]:
        found = set()
        for message in streams.kafka.read(topic):
            assert VIEW.check(message.value()).key == message.key()
            # Maps have no order on the wire.
            payload = payload_pb2.Payload.FromString(message.value())
            value = payload.SerializeToString(deterministic=True)
            found.add((message.partition(), message.key(), value))
        return found

    java, python = messages(VIEW.topic), messages("python")
    assert java == python and len(java) == len(lines)
    assert len({partition for partition, _, _ in java}) > 3

    streams.until_read()
    assert not list(streams.kafka.read(DEAD_LETTERS))
    body = {"features": [VIEW.name], "entities": [{"tailnum": plane} for plane in PLANES]}
    rows = streams.serving.post("/v1/features/online/get", body).json()["rows"]
    assert rows[0].get("event_times") in (None, {})
    for number, row in list(enumerate(rows))[1:]:
        delay = None if number % 3 == 0 else number - 20
        assert row["values"] == [True, "AA1", "JFK", "LAX", delay], (PLANES[number], row)
