"""`trivium dlq`: what could not become a row is listed, shown, replayed and dropped."""

from __future__ import annotations

import json
import time

import pytest
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


def values(streams: Streams, view: str, who: int) -> list:
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
