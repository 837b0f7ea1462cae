"""What docs/streams.md says of a worker's metrics, held against a worker that runs: each is there,
with its type, its labels and their words, and there is no other."""

from __future__ import annotations

import json
import re
import time

import pytest
from conftest import PATIENCE_SECONDS, REPO
from streams import Event, Steady, Worker, eventually, send

DOCS = REPO / "docs/streams.md"
# What only a worker has that reads Kinesis.
OF_KINESIS = {
    "trivium_ingest_expired_total",
    "trivium_history_expired_total",
    "trivium_history_lag_seconds",
    "trivium_history_rebalances_total",
}
OURS = ("trivium_ingest_", "trivium_windows_", "trivium_history_")
# Labels whose words the table names.
WORDS = ("outcome", "what")

HOUR = 3_600
# Two hours ago, where an hour begins.
BASE = (int(time.time()) - 2 * HOUR) // HOUR * HOUR
COMMON = {
    "namespace": "fleet",
    "version": 1,
    "lane": "stream",
    "description": "What a driver does.",
    "owner": {"team": "fleet", "contact": "fleet@example.com"},
    "urgency_tier": 2,
    "entities": [{"name": "driver", "type": "int64"}],
    "event_timestamp": "at",
    "online": True,
}
FARE = [{"name": "fare", "type": "float64", "description": "Of the newest trip."}]
NEWEST = {
    **COMMON,
    "name": "newest",
    "source": {"format": "json", "topic": "trips", "time_unit": "s"},
    "features": FARE,
}
# Not all trips are about it.
DEAR = {
    **COMMON,
    "name": "dear",
    "source": {"format": "json", "topic": "trips", "time_unit": "s", "filter": "fare >= 5"},
    "features": FARE,
}
FLOODED = {
    **COMMON,
    "name": "flooded",
    "source": {"format": "json", "topic": "floods", "time_unit": "s"},
    "features": FARE,
}
HOURLY = {
    **COMMON,
    "name": "hourly",
    "source": {"format": "json", "topic": "trips", "time_unit": "s"},
    "features": [{"name": "trips", "type": "int64", "description": "In the hour."}],
    "window": {
        "size": "1h",
        "columns": [{"name": "fare", "type": "float64"}],
        "features": {"trips": "count"},
        "payload_topic": "payloads",
    },
}
WORKER = """
[windows]
folder = "windows"
[history]
lake = "lake"
commit_ms = 500
[flood]
share = 0.5
among = 20
least = 20
retry_ms = 500
"""


class Documented:
    """A row of the table."""

    def __init__(self, labels: str, counts: str) -> None:
        kinds = [kind for kind in ("histogram", "gauge") if counts.startswith(kind)]
        self.kind = kinds[0] if kinds else "counter"
        self.labels = {label.strip() for label in labels.split(",") if label.strip()}
        if "of Kafka without a label" in counts:
            self.labels = set()
        self.words = set(re.findall(r"`(\w+)`", counts))


def documented() -> dict[str, Documented]:
    rows = re.findall(r"^\| `(trivium_\w+)` \|([^|]*)\| ([^|]*) \|$", DOCS.read_text(), re.M)
    assert len(rows) == len({name for name, *_ in rows}), "a metric is documented twice"
    return {name: Documented(labels, counts) for name, labels, counts in rows}


class Page:
    """What a process shows at `/metrics`."""

    def __init__(self, text: str) -> None:
        self.kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
        # Of each metric: the end of the sample's name, its labels, its value.
        self.samples: dict[str, list[tuple[str, dict, float]]] = {name: [] for name in self.kinds}
        for name, _, labels, value in re.findall(r"^(\w+)(\{(.*)\})? (\S+)$", text, re.M):
            metric = name
            if metric not in self.kinds:
                metric = re.sub("_(bucket|sum|count)$", "", name)
            found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            self.samples[metric].append((name[len(metric) :], found, float(value)))

    def of(self, name: str, end: str = "", **labels: str) -> list[float]:
        return [
            value
            for suffix, found, value in self.samples.get(name, [])
            if suffix == end and labels.items() <= found.items()
        ]


def page(worker: Worker) -> Page:
    return Page(worker.get("/metrics").text)


def trip(driver: int, at: int, topic: str = "trips") -> Event:
    value = {"driver": driver, "at": BASE + at, "fare": driver / 2}
    return Event(topic, str(driver).encode(), json.dumps(value).encode())


@pytest.fixture
def streams(tmp_path):
    streams = Steady(tmp_path, [], trips=2)
    try:
        streams.kafka.create("payloads", 2)
        streams.kafka.create("floods", 1)
        streams.apply([NEWEST, DEAR, HOURLY, FLOODED])
        streams.workers = [streams.new_worker(0, WORKER)]
        yield streams
    finally:
        streams.stop()


def test_metrics_are_those_of_the_documentation(streams):
    table = documented()
    assert table.keys() > OF_KINESIS and len(table) > 15, table.keys()
    expected = table.keys() - OF_KINESIS
    [worker] = streams.workers
    trips = [trip(number % 20, number) for number in range(1_000)]
    # One that is no row and no event; and those that end the hour, in both partitions.
    bad = Event("trips", b"0", b"{")
    send(streams.producer, [*trips, bad, *(trip(driver, HOUR + 100) for driver in range(20))])
    # Nobody takes so many for a mistake.
    send(streams.producer, [Event("floods", b"0", b"{") for _ in range(40)])
    streams.until_read()
    # What serving does not take is sent again.
    streams.serving.kill()
    send(streams.producer, [trip(driver, HOUR + 200) for driver in range(20)])
    eventually("nothing is sent again", lambda: page(worker).of("trivium_ingest_retries_total"))
    streams.start_serving()
    streams.until_read()

    def missing() -> set[str]:
        return expected - page(worker).kinds.keys()

    # Some are told every second, some with a commit of the history.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while missing() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not missing()
    shown = page(worker)
    assert {name for name in shown.kinds if name.startswith(OURS)} == expected
    for name in sorted(expected):
        said = table[name]
        assert shown.kinds[name] == said.kind, (name, shown.kinds[name], said.kind)
        # As Prometheus has it: what counts up says so, and nothing else does.
        assert (said.kind == "counter") == name.endswith("_total"), name
        assert shown.samples[name], name
        for _, labels, _ in shown.samples[name]:
            assert labels.keys() - {"le"} == said.labels, (name, labels, said.labels)
            for label in said.labels & set(WORDS):
                assert labels[label] in said.words, (name, labels, said.words)

    # Ages of two hours are told apart from those of one and of a day, and batches by their sizes.
    freshness, view = "trivium_ingest_freshness_seconds", {"view": "fleet/newest@1"}
    [rows] = shown.of(freshness, "_count", **view)
    assert rows >= 20
    assert shown.of(freshness, "_bucket", le="10", **view) == [0]
    assert shown.of(freshness, "_bucket", le="14400", **view) == [rows]
    batches = "trivium_ingest_batch_records"
    # The configured most.
    assert shown.of(batches, "_bucket", le="1000") == shown.of(batches, "_count")
    [messages] = shown.of(batches, "_sum")
    assert messages >= len(trips) + 1 + 20 + 40 + 20
    assert shown.of("trivium_ingest_dead_letters_total", topic="trips", reason="undecodable")
    # A worker that has restarted may have put it away twice; this one has not.
    flooded = shown.of("trivium_ingest_dead_letters_total", topic="floods")
    assert not flooded and shown.of("trivium_ingest_floods_total", topic="floods")[0] >= 1
