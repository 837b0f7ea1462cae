"""`trivium dev --ingest`: from Kafka to rows that are read, in one process."""

from __future__ import annotations

import json
import time

from conftest import Project
from streams import SETTINGS, Event, Streams, eventually, send

BASE = (int(time.time()) - 7_200) // 3_600 * 3_600 * 1_000_000
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
NEWEST = {
    **COMMON,
    "name": "newest",
    "source": {"format": "json", "topic": "trips", "time_unit": "us"},
    "features": [{"name": "fare", "type": "float64", "description": "Of the newest trip."}],
}
HOURLY = {
    **COMMON,
    "name": "hourly",
    "source": {"format": "json", "topic": "trips", "time_unit": "us"},
    "features": [{"name": "trips", "type": "int64", "description": "In the hour."}],
    "window": {
        "size": "1h",
        "columns": [{"name": "fare", "type": "float64"}],
        "features": {"trips": "count"},
        "payload_topic": "payloads",
    },
}
WINDOWS = '[windows]\nfolder = "windows"'


def trip(driver: int, at: int, fare: float) -> Event:
    value = {"driver": driver, "at": BASE + at * 1_000_000, "fare": fare}
    return Event("trips", str(driver).encode(), json.dumps(value).encode())


def value(streams: Streams, feature: str, driver: int):
    answer = streams.serving.post(
        "/v1/features/online/get", {"features": [feature], "entities": [{"driver": driver}]}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"][0]["values"][0]


def test_rows_and_windows_come_in_one_process(tmp_path):
    streams = Streams(tmp_path, [NEWEST, HOURLY], trips=2)
    try:
        # Written in transactions: behind the last message an end is marked, which nobody reads.
        streams.kafka.create("payloads", 2)
        streams.serving.stop()
        streams.start_serving(streams.lanes_within(WINDOWS))
        events = [trip(number % 20, number, number / 2) for number in range(1_000)]
        # The hour of all of them ends with these, in both partitions.
        ends = [trip(driver, 3_700, 0.5) for driver in range(20)]
        send(streams.producer, [*events, Event("trips", b"0", b"{"), *ends])
        streams.until_read()
        assert [value(streams, "fleet/newest@1:fare", driver) for driver in range(20)] == [0.5] * 20

        def hours() -> list:
            return [value(streams, "fleet/hourly@1:trips", driver) for driver in range(20)]

        eventually("no windows", lambda: hours() == [50] * 20)
        shown = streams.serving.get("/v1/streams/partitions").json()["partitions"]
        assert {each["partition"] for each in shown} == {
            f"{topic}/{number}" for topic in ("trips", "payloads") for number in range(2)
        }
        assert "trivium_ingest_rows_total" in streams.serving.get("/metrics").text

        # Killed, it goes on where it was: nothing is lost, and what is read again is what it was.
        send(streams.producer, [trip(driver, 3_800, 7.5) for driver in range(20)])
        streams.serving.kill()
        streams.start_serving(streams.lanes_within(WINDOWS))
        streams.until_read()
        assert [value(streams, "fleet/newest@1:fare", driver) for driver in range(20)] == [7.5] * 20
        assert hours() == [50] * 20
        # Who is asked to stop does so, whether Kafka is there or not.
        streams.kafka.server.stop()
        streams.serving.stop()
        assert streams.serving.process.returncode == 0
    finally:
        streams.stop()


def test_a_config_that_cannot_be_used_is_refused_before_anything_is_opened(tmp_path):
    (tmp_path / "trivium.toml").write_text(SETTINGS)
    (tmp_path / "configs").mkdir()
    project = Project(tmp_path)
    file = tmp_path / "ingest.toml"
    for text, message in [
        ("[kafka]\ntopic = 1\n", "unknown field `topic`"),
        ("[flood]\nshare = 2\n[kafka]\n", "no share"),
        ("[log]\n", "neither `[kafka]` nor `[kinesis]`"),
    ]:
        file.write_text(text)
        done = project.run("dev", "--http", "0", "--grpc", "0", "--ingest", str(file))
        assert done.returncode == 2, (text, done.stdout, done.stderr)
        assert message in done.stderr and "ingest.toml" in done.stderr, done.stderr
    done = project.run("dev", "--http", "0", "--grpc", "0", "--ingest", "nowhere.toml")
    assert done.returncode != 0 and "sample-config" in done.stderr, done.stderr
