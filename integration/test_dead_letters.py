"""`trivium dlq`: what could not become a row is listed, shown, replayed and dropped."""

from __future__ import annotations

import json
import time

import pytest
from confluent_kafka import Producer
from streams import DEAD_LETTERS, Event, Streams, eventually, send
from trivium.v1 import payload_pb2, value_pb2

VIEW = "fleet/driver@1"
LATER = "fleet/rider@1"
BASE = (int(time.time()) - 3_600) * 1_000_000


def config(name: str, **features: str) -> dict:
    return {
        "namespace": "fleet",
        "name": name,
        "version": 1,
        "lane": "stream",
        "description": "What somebody is at.",
        "owner": {"team": "fleet", "contact": "fleet@example.com"},
        "urgency_tier": 2,
        "entities": [{"name": name, "type": "int64"}],
        "event_timestamp": "event_ts",
        "features": [
            {"name": feature, "type": of, "description": feature}
            for feature, of in features.items()
        ],
        "online": True,
    }


@pytest.fixture
def streams(tmp_path):
    # Nobody waits long here for views that may only not be known yet.
    streams = Streams(tmp_path, [config("driver", trips="int64")], payloads=1)
    try:
        streams.workers = [streams.new_worker(0)]
        yield streams
    finally:
        streams.stop()


def payload(view: str, who: int, at: int, feature: str = "trips", number: int = 0) -> Event:
    key = view.partition("/")[2].partition("@")[0]
    payload = payload_pb2.Payload(
        view=view,
        entity={key: value_pb2.KeyValue(int64=who)},
        event_time_micros=BASE + at,
    )
    payload.put.values[feature].int64 = number
    return Event("payloads", str(who).encode(), payload.SerializeToString(), [("trace", b"\xff")])


def dlq(streams: Streams, *args: str, code: int = 0):
    config = str(streams.workers[0].config)
    done = streams.project.run("dlq", *args, "--config", config, "--output", "json")
    assert done.returncode == code, (args, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout else json.loads(done.stderr.splitlines()[-1])


def values(streams: Streams, view: str, who: int | str) -> list:
    key = view.partition("/")[2].partition("@")[0]
    answer = streams.serving.post(
        "/v1/features/online/get", {"features": [view], "entities": [{key: who}]}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"][0]["values"]


def test_letters_are_listed_replayed_and_dropped(streams):
    # The first are of a view that nobody has applied; then a feature that the view does not have;
    # then no payload at all; and one that is larger than the topic of dead letters takes.
    large = payload(VIEW, 8, 1)
    message = payload_pb2.Payload.FromString(large.value)
    message.put.values["mood"].string = "x" * 1_048_300
    large.value = message.SerializeToString()
    send(
        streams.producer,
        [
            payload(LATER, 1, 10, "rides", 1),
            payload(LATER, 2, 10, "rides", 1),
            payload(LATER, 3, 10, "rides", 1),
            payload(VIEW, 7, 1, "mood", 1),
            Event("payloads", b"\xfe", b"\xff\xff", []),
            large,
            payload(VIEW, 9, 1, number=9),
        ],
    )
    streams.until_read()
    assert values(streams, VIEW, 9) == [9]

    letters = dlq(streams, "ls")
    assert letters["total"] == 6
    reasons = [letter["reason"] for letter in letters["letters"]]
    assert reasons == ["unknown_view"] * 3 + ["wrong_type", "undecodable", "wrong_type"]
    assert [letter["offset"] for letter in letters["letters"]] == [str(n) for n in range(6)]
    assert dlq(streams, "ls", "--limit", "2")["total"] == 6
    for options, total in [
        (["--reason", "unknown_view"], 3),
        (["--reason", "undecodable", "--reason", "missing"], 1),
        (["--view", VIEW], 2),
        (["--topic", "payloads", "--partition", "0"], 6),
        (["--partition", "1"], 0),
        (["--topic", "elsewhere"], 0),
        (["--since", "2020-01-01"], 6),
        (["--until", "2020-01-01"], 0),
        (["0/1", "0/2"], 2),
    ]:
        assert dlq(streams, "ls", *options)["total"] == total, options
    [shown] = dlq(streams, "show", "0/3")["letters"]
    assert (shown["key"], shown["field"]) == ("7", "put.values") and "mood" in shown["message"]
    assert shown["headers"] == [["trace", {"base64": "/w=="}]]
    [shown] = dlq(streams, "show", "0/4")["letters"]
    assert (shown["key"], shown["value"]) == ({"base64": "/g=="}, {"base64": "//8="})
    [shown] = dlq(streams, "show", "0/5")["letters"]
    assert shown["value"] is None and int(shown["value_bytes"]) == len(large.value)
    # People are shown the same.
    path = str(streams.workers[0].config)
    text = streams.project.ok("dlq", "show", "0/4", "--config", path)
    assert "undecodable" in text and "payloads/0:4" in text and "//8= (base64)" in text

    # Nothing is mended yet: all stay, and it says why.
    answer = streams.project.run("dlq", "replay", "--config", path, "--output", "json")
    assert answer.returncode == 5, (answer.stdout, answer.stderr)
    said = json.loads(answer.stdout)
    assert said["replayed"] == 0 and len(said["left"]) == 6
    assert dlq(streams, "ls")["total"] == 6

    # The view is applied, and newer messages come. Letters do not take their place, neither those
    # of an older event time nor those that were corrected since.
    streams.apply([config_of_rider(), config("driver", trips="int64", mood="string")])
    newer = [payload(LATER, 2, 20, "rides", 2), payload(LATER, 3, 10, "rides", 2)]
    eventually("the view is not served", lambda: is_served(streams))
    send(streams.producer, newer)
    streams.until_read()
    assert dlq(streams, "ls")["total"] == 6
    assert dlq(streams, "replay", "--reason", "unknown_view", "--dry-run") == {"letters": 3}
    said = dlq(streams, "replay", "--reason", "unknown_view")
    assert said == {"replayed": 3, "applied": 1, "left": []}
    assert [values(streams, LATER, who) for who in (1, 2, 3)] == [[1], [2], [2]]
    # Again: nothing is left to do.
    assert dlq(streams, "replay", "--reason", "unknown_view")["replayed"] == 0
    # Their places are free.
    assert streams.kafka.bounds(DEAD_LETTERS)[0][0] == 3

    # The large one is read where it came from. The one with a number for a text is still wrong.
    answer = streams.project.run("dlq", "replay", "--view", VIEW, "--config", path, "-o", "json")
    said = json.loads(answer.stdout)
    assert said["replayed"] == 1 and [left["place"] for left in said["left"]] == ["0/3"], said
    assert values(streams, VIEW, 8) == [0, "x" * 1_048_300]

    assert dlq(streams, "drop", "--reason", "undecodable", "--dry-run") == {"letters": 1}
    assert dlq(streams, "drop", "--reason", "undecodable") == {"dropped": 1}
    assert [letter["place"] for letter in dlq(streams, "ls")["letters"]] == ["0/3"]
    assert dlq(streams, "drop", "--all") == {"dropped": 1}
    assert dlq(streams, "ls") == {"letters": [], "total": 0}
    # Nothing is kept of any of it.
    assert list(streams.kafka.read(DEAD_LETTERS)) == []


def test_what_is_too_large_to_be_a_row(streams):
    """A row of almost 4 MiB is one; what is larger, or has too long a key, is a letter."""
    large = config("cargo", note="string") | {
        "entities": [{"name": "cargo", "type": "string"}],
        "source": {"format": "json", "topic": "large", "time_unit": "us"},
    }
    streams.kafka.create("large", 1, max_message_bytes="8000000")
    streams.topics["large"] = 1
    streams.apply([large])
    producer = Producer(
        {
            "bootstrap.servers": streams.kafka.brokers,
            "message.max.bytes": 8_000_000,
            "compression.type": "zstd",
            "log_level": 0,
        }
    )
    notes = {"a": "x" * ((4 << 20) - 200), "b": "x" * (4 << 20), "k" * 3_000: "short", "z": "last"}
    events = [
        Event("large", b"", json.dumps({"cargo": who, "event_ts": BASE, "note": note}).encode())
        for who, note in notes.items()
    ]
    send(producer, events)
    streams.until_read()
    letters = dlq(streams, "ls")["letters"]
    assert [(each["topic"], each["reason"]) for each in letters] == [("large", "too_large")] * 2
    shown = dlq(streams, "show", *(letter["place"] for letter in letters))["letters"]
    # The larger one was tried whole before it was put there without its value.
    shown.sort(key=lambda letter: int(letter["offset"]))
    for letter, event in zip(shown, events[1:3], strict=True):
        # What the topic of letters does not take is left where it came from.
        kept = len(event.value) < 1_000_000
        assert letter["value"] == (event.value.decode() if kept else None)
        assert kept or int(letter["value_bytes"]) == len(event.value)
        assert letter["message"] and letter["help"] == "send less", letter
    view = "fleet/cargo@1"
    assert [values(streams, view, who) for who in "az"] == [[notes["a"]], [notes["z"]]]
    # The view would have to be another one.
    assert len(dlq(streams, "replay", code=5)["left"]) == 2
    assert dlq(streams, "drop", "--reason", "too_large") == {"dropped": 2}


def config_of_rider() -> dict:
    return config("rider", rides="int64")


def is_served(streams: Streams) -> bool:
    body = {"features": [LATER], "entities": [{"rider": 1}]}
    return streams.serving.post("/v1/features/online/get", body).status_code == 200


def test_what_is_wrong_is_said(streams):
    config = str(streams.workers[0].config)
    missing = streams.project.run("dlq", "ls", "--config", "nowhere.toml")
    assert missing.returncode == 3 and "nowhere.toml" in missing.stderr, missing
    assert "--config" in missing.stderr
    for place in ("0", "a/b", "0/-1", "-1/0", "0/99999999999999999999"):
        done = streams.project.run("dlq", "show", "--config", config, "--", place)
        assert done.returncode == 2 and "PARTITION/OFFSET" in done.stderr, done
    assert dlq(streams, "show", "0/77", code=3)["field"] == "PLACE"
    assert "--all" in dlq(streams, "drop", code=2)["help"]
    assert streams.project.run("dlq", "ls", "--reason", "bad", "--config", config).returncode == 2
    # Headers that a message came with make no mark of its letter.
    headers = [("trivium-dlq-mark", b"dropped"), ("trivium-dlq-letter", b"0/0")]
    send(streams.producer, [Event("payloads", b"k", b"\xff", headers) for _ in range(2)])
    streams.until_read()
    assert dlq(streams, "ls")["total"] == 2
    # Without serving nothing is replayed, and nothing waits for ever.
    streams.serving.kill()
    done = streams.project.run("dlq", "replay", "--config", config)
    assert done.returncode not in (0, 1) and "start serving" in done.stderr, done
    assert dlq(streams, "ls")["total"] == 2


def put_letter(streams: Streams, **said: str) -> None:
    """A letter as a worker puts it, of a message that was too large to be put whole."""
    said = {"reason": "wrong_type", "message": "no", "view": VIEW, **said}
    headers = [
        (f"trivium-dlq-{name.replace('_', '-')}", text.encode()) for name, text in said.items()
    ]
    send(streams.producer, [Event(DEAD_LETTERS, b"k", None, headers)])


def test_letters_of_shards_are_chosen_and_it_is_said_where_they_are(streams):
    # A worker of both systems puts the letters of its streams into Kafka's topic, too.
    common = {"first_seen": "2026-01-02T00:00:00Z", "value_bytes": "1048570"}
    for shard, offset in (("000000000003", "7"), ("000000000003", "8"), ("000000000011", "7")):
        put_letter(streams, topic="vehicles", partition=f"shardId-{shard}", offset=offset, **common)
    put_letter(streams, topic="payloads", partition="0", offset="7", **common)
    for options, places in [
        (["--partition", "shardId-000000000003"], ["0/0", "0/1"]),
        (["--partition", "shardId-000000000011"], ["0/2"]),
        (["--partition", "0"], ["0/3"]),
        (["--topic", "vehicles"], ["0/0", "0/1", "0/2"]),
        (["--partition", "11"], []),
    ]:
        found = [letter["place"] for letter in dlq(streams, "ls", *options)["letters"]]
        assert found == places, options

    path = str(streams.workers[0].config)
    answer = streams.project.run("dlq", "replay", "--config", path, "--output", "json")
    assert answer.returncode == 5, (answer.stdout, answer.stderr)
    why = {left["place"]: left["why"] for left in json.loads(answer.stdout)["left"]}
    assert why.keys() == {"0/0", "0/1", "0/2", "0/3"}
    assert "`shardId-000000000011` of Kinesis' stream `vehicles`" in why["0/2"], why
    assert "any more" not in why["0/2"], why
    assert "not where it came from any more" in why["0/3"], why
    assert dlq(streams, "drop", "--partition", "shardId-000000000003") == {"dropped": 2}
    assert [letter["place"] for letter in dlq(streams, "ls")["letters"]] == ["0/2", "0/3"]
