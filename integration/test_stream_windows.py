"""Windows over a stream, as workers compute them, against DuckDB over the same messages: tumbling
and sliding, with events that come late, twice and in any order, while workers are killed.

A window is `[end - size, end)`: its end is not in it. Sums and means of floats are compared within
1e-9 of their size, since floats have no order to be added in; all else is compared as it is."""

from __future__ import annotations

import json
import math
import os
import random
import time

import duckdb
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from conftest import PATIENCE_SECONDS
from streams import Event, Kafka, Streams, eventually, send
from trivium.v1 import payload_pb2

EVENTS = int(os.environ.get("TRIVIUM_WINDOWS_EVENTS", "12000"))
KILLS = int(os.environ.get("TRIVIUM_WINDOWS_KILLS", "4"))
SEED = int(os.environ.get("TRIVIUM_SEED", "20130102"))
PARTITIONS = 3
SENSORS = 40
SECOND = 1_000_000
# 2013-01-01T00:00:07Z: no window begins there.
BASE = 1_356_998_407 * SECOND
COLUMNS = [
    {"name": "n", "type": "int64"},
    {"name": "x", "type": "float64"},
    {"name": "label", "type": "string"},
    {"name": "toll", "type": {"decimal": {"precision": 12, "scale": 2}}},
    {"name": "reading", "type": "int64"},
]
AGGREGATES = {
    "events": ("int64", "count"),
    "numbers": ("int64", {"count": "n"}),
    "sum_n": ("int64", {"sum": "n"}),
    "sum_x": ("float64", {"sum": "x"}),
    "sum_toll": ({"decimal": {"precision": 38, "scale": 2}}, {"sum": "toll"}),
    "mean_n": ("float64", {"mean": "n"}),
    "mean_x": ("float64", {"mean": "x"}),
    "min_x": ("float64", {"min": "x"}),
    "max_n": ("int64", {"max": "n"}),
    "min_label": ("string", {"min": "label"}),
    "last_n": ("int64", {"last": "n"}),
    "labels": ("int64", {"approx_distinct": "label"}),
}


def config(name: str, **window) -> dict:
    return {
        "namespace": "plant",
        "name": name,
        "version": 1,
        "lane": "stream",
        "description": "Readings of a sensor in a window.",
        "owner": {"team": "plant", "contact": "plant@example.com"},
        "urgency_tier": 2,
        "entities": [{"name": "sensor", "type": "string"}],
        "event_timestamp": "at",
        "source": {
            "format": "json",
            "topic": "readings",
            "time_unit": "us",
            "columns": {"x": "measured.x"},
        },
        "features": [
            {"name": name, "type": of, "description": name} for name, (of, _) in AGGREGATES.items()
        ],
        "window": {
            "columns": COLUMNS,
            "features": {name: aggregate for name, (_, aggregate) in AGGREGATES.items()},
            "payload_topic": f"rows-{name}",
            **window,
        },
        "online": True,
    }


# Seconds: size, slide, lateness.
WINDOWS = {"tumbling": (60, 60, 0), "sliding": (120, 20, 45), "once": (60, 60, 30)}
CONFIGS = [
    config("tumbling", size="60s"),
    config("sliding", size="2m", slide="20s", allowed_lateness="45s"),
    config("once", size="60s", allowed_lateness="30s", event_id="reading"),
]


def make_events(pick: random.Random, count: int) -> list[Event]:
    events = []
    for number in range(count):
        late = pick.choice([2, 2, 10, 10, 70, 200])
        sensor = f"s{pick.randrange(SENSORS)}"
        value = {
            "sensor": sensor,
            "at": BASE + number * SECOND // 8 - pick.randrange(late * SECOND),
            "n": pick.choice([None, pick.randrange(-1000, 1000)]),
            "label": pick.choice([None, "a", "b", "cc", "d"]),
            "toll": f"{pick.randrange(-10_000, 10_000) / 100:.2f}",
            "reading": pick.choice([None, number, number]),
        }
        if pick.random() < 0.9:
            value["measured"] = {"x": pick.choice([None, pick.uniform(-1e6, 1e6)])}
        event = Event("readings", sensor.encode(), json.dumps(value).encode())
        events.extend([event] * (2 if pick.random() < 0.1 else 1))
    return events


def read(kafka: Kafka, topic: str) -> list:
    """All that is committed of a topic: markers of transactions take places in it, too."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.brokers,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )
    found = []
    try:
        partitions = consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        waiting, deadline = set(partitions), time.monotonic() + PATIENCE_SECONDS
        while waiting:
            assert time.monotonic() < deadline, f"{topic} is not read to its end"
            message = consumer.poll(1)
            if message is None:
                continue
            if message.error() is None:
                found.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                waiting.discard(message.partition())
            else:
                raise KafkaException(message.error())
    finally:
        consumer.close()
    return found


def value_of(value):
    kind = value.WhichOneof("kind")
    return None if kind == "null" else getattr(value, kind)


def rows_of(kafka: Kafka, view: str) -> dict[tuple, tuple]:
    """The newest row of each window; none of them is there twice."""
    newest, met = {}, set()
    for message in read(kafka, f"rows-{view}"):
        payload = payload_pb2.Payload.FromString(message.value())
        assert payload.view == f"plant/{view}@1"
        key = (payload.entity["sensor"].string, payload.event_time_micros)
        assert (key, payload.sequence) not in met, f"{key} is there twice"
        met.add((key, payload.sequence))
        values = payload.put.values
        row = tuple(value_of(values[name]) for name in AGGREGATES)
        if key not in newest or newest[key][0] < payload.sequence:
            newest[key] = (payload.sequence, row)
    return {key: row for key, (_, row) in newest.items()}


# What the declaration says, in SQL. An event counts in a window whose end the newest event before
# it is not yet the lateness beyond.
ORACLE = """
WITH met AS (
    SELECT *, max(happened) OVER (
        PARTITION BY part ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS watermark FROM readings
), placed AS (
    SELECT met.*, (happened // $slide + 1) * $slide AS tile, tile + step * $slide AS ends
    FROM met, range($size // $slide) AS steps(step)
), allowed AS (
    SELECT * FROM placed WHERE watermark IS NULL OR ends > watermark - $lateness
), original AS (
    SELECT sensor, tile, reading, min(position) AS position FROM allowed GROUP BY ALL
), counted AS (
    SELECT allowed.* FROM allowed JOIN original
        ON allowed.sensor = original.sensor AND allowed.tile = original.tile
        AND allowed.reading IS NOT DISTINCT FROM original.reading
    WHERE NOT $once OR allowed.reading IS NULL OR original.position = allowed.position
), ended AS (
    SELECT part, max(happened) AS until FROM readings GROUP BY part
)
SELECT
    sensor, ends, count(*), count(n), sum(n)::BIGINT, fsum(x), sum(toll)::VARCHAR,
    avg(n), favg(x), min(x), max(n), min(label),
    arg_max(n, (happened, position)) FILTER (n IS NOT NULL), count(DISTINCT label)
FROM counted JOIN ended USING (part) WHERE ends <= until GROUP BY sensor, ends
"""


def oracle(kafka: Kafka) -> dict[str, dict[tuple, tuple]]:
    database = duckdb.connect()
    database.execute(
        "CREATE TABLE readings (part INT, position BIGINT, sensor VARCHAR, happened BIGINT,"
        " n BIGINT, x DOUBLE, label VARCHAR, toll DECIMAL(12, 2), reading BIGINT)"
    )
    readings = []
    for message in read(kafka, "readings"):
        value = json.loads(message.value())
        readings.append(
            (message.partition(), message.offset(), value["sensor"], value["at"], value.get("n"))
            + ((value.get("measured") or {}).get("x"), value.get("label"), value.get("toll"))
            + (value.get("reading"),)
        )
    places = ", ".join("?" * 9)
    database.executemany(f"INSERT INTO readings VALUES ({places})", readings)
    expected = {}
    for view, (size, slide, lateness) in WINDOWS.items():
        spans = {"size": size * SECOND, "slide": slide * SECOND, "lateness": lateness * SECOND}
        found = database.execute(ORACLE, {**spans, "once": view == "once"}).fetchall()
        expected[view] = {row[:2]: row[2:] for row in found}
    return expected


def same(name: str, found, expected) -> bool:
    if name in ("sum_x", "mean_n", "mean_x") and None not in (found, expected):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-6)
    return type(found) is type(expected) and found == expected


@pytest.fixture
def plant(tmp_path):
    print(f"TRIVIUM_SEED={SEED}")
    plant = Streams(tmp_path, [], **{f"rows-{view}": 2 for view in WINDOWS})
    try:
        plant.kafka.create("readings", PARTITIONS)
        plant.apply(CONFIGS)
        settings = '[windows]\nfolder = "windows"'
        plant.workers = [plant.new_worker(number, settings) for number in range(2)]
        yield plant
    finally:
        plant.stop()


def test_rows_are_those_of_duckdb(plant):
    pick = random.Random(SEED)
    events = make_events(pick, EVENTS)
    for part in range(KILLS + 1):
        send(plant.producer, chunk(events, part))
        if part < KILLS:
            time.sleep(pick.uniform(0.5, 3))
            plant.restart_worker(pick.randrange(2), kill=True)
    # Windows end when a later event comes.
    for partition in range(PARTITIONS):
        value = {"sensor": f"end{partition}", "at": BASE + 10**6 * SECOND}
        plant.producer.produce("readings", partition=partition, value=json.dumps(value))
    plant.producer.flush(PATIENCE_SECONDS)

    expected = oracle(plant.kafka)
    for view, wanted in expected.items():
        assert len(wanted) > 100, (view, len(wanted))

        def is_complete(view=view, wanted=wanted) -> bool:
            found = rows_of(plant.kafka, view)
            return found.keys() == wanted.keys() and all(
                found[key][:2] == row[:2] for key, row in wanted.items()
            )

        eventually(f"{view} is not complete", is_complete, pause=1)
        found = rows_of(plant.kafka, view)
        for key, row in wanted.items():
            for name, value, known in zip(AGGREGATES, found[key], row, strict=True):
                assert same(name, value, known), (view, key, name, value, known)
    check_online(plant, expected)


def chunk(events: list, part: int) -> list:
    size = -(-len(events) // (KILLS + 1))
    return events[part * size : (part + 1) * size]


def check_online(plant: Streams, expected: dict) -> None:
    """Of each sensor the row of its last window is served."""
    for view, rows in expected.items():
        last = {}
        for (sensor, ends), row in rows.items():
            last[sensor] = max(last.get(sensor, (0, ())), (ends, row), key=lambda one: one[0])
        name = f"plant/{view}@1"
        body = {
            "features": [f"{name}:events", f"{name}:max_n"],
            "entities": [{"sensor": each} for each in last],
        }
        wanted = [[row[0], row[8]] for _, row in last.values()]

        def is_served(body=body, wanted=wanted) -> bool:
            answer = plant.serving.post("/v1/features/online/get", body)
            assert answer.status_code == 200, answer.text
            return [row["values"] for row in answer.json()["rows"]] == wanted

        eventually(f"the rows of {view} are not served", is_served, pause=0.5)
