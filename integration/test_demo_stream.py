"""`make demo-stream`, in short: a day of flights as a stream, and what is online in the end beside
a computation in plain Python over the same messages, with nothing shared with Trivium."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import CACHE, DATA, PATIENCE_SECONDS, REPO, TRIVIUM
from live_flights import LiveFlights, messages, movements
from streams import eventually, send
from trivium.v1 import payload_pb2

DAY = dt.date(2013, 7, 10)
SEED = int(os.environ.get("TRIVIUM_SEED", "20130710"))
SLIDE, SIZE = dt.timedelta(minutes=5), dt.timedelta(hours=1)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
WINDOWS = {
    "airport_departures": ("flights.departures", "origin"),
    "airport_arrivals": ("flights.arrivals", "dest"),
}


@pytest.fixture
def live(tmp_path):
    live = LiveFlights(tmp_path)
    try:
        yield live
    finally:
        live.stop()


def last_window(events: list[dict], watermark: dt.datetime) -> tuple[dt.datetime, list[dict]]:
    """The last one with an event in it whose end the partition's time has reached."""
    end = EPOCH + (watermark - EPOCH) // SLIDE * SLIDE
    while True:
        inside = [each for each in events if end - SIZE <= each["at"] < end]
        if inside:
            return end, inside
        end -= SLIDE
        assert end > EPOCH + dt.timedelta(days=365 * 43), "no event at all"


def row(view: str, inside: list[dict]) -> list:
    delays = [each["delay_minutes"] for each in inside if each["delay_minutes"] is not None]
    mean = sum(delays) / len(delays) if delays else None
    last = (
        len({each["carrier"] for each in inside})
        if view == "airport_departures"
        else max(inside, key=lambda each: (each["at"], each["place"]))["flight"]
    )
    return [len(inside), mean, max(delays, default=None), last]


def expected_windows(live: LiveFlights, view: str) -> dict[str, tuple[dt.datetime, list]]:
    topic, _ = WINDOWS[view]
    watermarks: dict[int, dt.datetime] = {}
    airports: dict[tuple[int, str], dict[str, dict]] = defaultdict(dict)
    for message in live.kafka.read(topic):
        event = json.loads(message.value())
        event["at"] = dt.datetime.fromisoformat(event["at"])
        event["place"] = message.offset()
        part = message.partition()
        watermarks[part] = max(watermarks.get(part, EPOCH), event["at"])
        # What was sent twice counts once.
        airports[part, event["airport"]["code"]].setdefault(event["leg"], event)
    expected = {}
    for (part, airport), events in airports.items():
        # An airport all of whose flights are in windows that are still open has no row yet.
        first = min(event["at"] for event in events.values())
        if EPOCH + ((first - EPOCH) // SLIDE + 1) * SLIDE > watermarks[part]:
            continue
        end, inside = last_window(list(events.values()), watermarks[part])
        expected[airport] = (end, row(view, inside))
    return expected


def planes(live: LiveFlights) -> dict[str, tuple[dt.datetime, list]]:
    """Each plane's newest message: by event time, then by its place."""
    newest: dict[str, tuple] = {}
    for message in live.kafka.read("flights.planes"):
        payload = payload_pb2.Payload.FromString(message.value())
        plane = payload.entity["tailnum"].string
        order = (payload.event_time_micros, message.offset())
        if plane not in newest or newest[plane][0] < order:
            newest[plane] = (order, payload.put.values)
    found = {}
    for plane, ((micros, _), values) in newest.items():
        delay = values["delay_minutes"]
        told = [
            values["in_the_air"].bool,
            *(values[name].string for name in ("flight", "origin", "dest")),
            None if delay.WhichOneof("kind") == "null" else delay.int64,
        ]
        found[plane] = (EPOCH + dt.timedelta(microseconds=micros), told)
    return found


def online(live: LiveFlights, view: str, key: str, entities) -> dict:
    found = {}
    rows = live.rows(f"flights/{view}@1", key, entities)
    for entity, (values, at) in zip(entities, rows, strict=True):
        if at is not None:
            found[entity] = (dt.datetime.fromisoformat(at), values)
    return found


def check(live: LiveFlights, view: str, key: str, expected: dict) -> None:
    """What is online is this in the end; a mean may differ in its last digits."""
    wanted = {
        entity: (at, [pytest.approx(each) if isinstance(each, float) else each for each in values])
        for entity, (at, values) in expected.items()
    }
    entities = sorted(wanted)
    found: dict = {}

    def is_so() -> bool:
        found.update(online(live, view, key, entities))
        return all(entity in found and found[entity] == wanted[entity] for entity in entities)

    try:
        eventually(view, is_so, pause=0.5)
    except AssertionError:
        wrong = {
            entity: (found.get(entity), expected[entity])
            for entity in entities
            if found.get(entity) != wanted[entity]
        }
        pytest.fail(f"{view}: found and expected: {wrong}")


def test_a_days_features_are_those_of_plain_python(live):
    pick = random.Random(SEED)
    print(f"TRIVIUM_SEED={SEED}")
    flights = movements(DAY)
    sent = []
    for movement in flights:
        for event in messages(movement):
            # Producers that try again send twice.
            sent.extend([event] * (2 if pick.random() < 0.1 else 1))
    send(live.producer, sent)

    for view, (_, key) in WINDOWS.items():
        expected = expected_windows(live, view)
        assert len(expected) == (3 if view == "airport_departures" else 82), len(expected)
        check(live, view, key, expected)
    expected = planes(live)
    assert len(expected) > 600
    check(live, "plane_live", "tailnum", expected)
    assert not list(live.kafka.read("dead-letters"))


def test_movements_are_those_of_the_data():
    """Every flight that left on a day leaves and arrives, in order, and at the minutes it did."""
    with (DATA / "flights.csv").open(newline="") as file:
        rows = [
            each
            for each in csv.DictReader(file)
            if (each["month"], each["day"]) == (str(DAY.month), str(DAY.day))
        ]
    flights = movements(DAY)
    assert [one.at for one in flights] == sorted(one.at for one in flights)
    left = {one.leg: one for one in flights if one.is_departure}
    arrived = {one.leg: one for one in flights if not one.is_departure}
    assert len(left) == sum(each["dep_time"] != "NA" for each in rows) > 800
    assert len(arrived) == sum(each["arr_time"] != "NA" for each in rows) > 800
    for leg, one in arrived.items():
        # Nobody is in the air for less than half an hour, or for more than eleven.
        hours = (one.at - left[leg].at) / dt.timedelta(hours=1)
        assert 0.5 < hours < 11, one
    # UA1545, NY 05:17 to Houston 08:30 its time, an hour behind.
    [first, last] = [
        one for one in movements(dt.date(2013, 1, 1)) if one.leg == "2013-01-01T10:15/UA1545/EWR"
    ]
    assert (first.at.isoformat(), first.delay) == ("2013-01-01T10:17:00+00:00", 2)
    assert (last.at.isoformat(), last.delay) == ("2013-01-01T14:30:00+00:00", 11)


def test_the_demo_shows_features_that_change(tmp_path):
    """The script itself, a day in seconds; Ctrl-C ends it and everything that it started."""
    with demo(tmp_path, "--days", "1", "--speed", "20000") as running:
        out = running.communicate(timeout=PATIENCE_SECONDS * 2)[0]
    assert running.returncode == 0, out
    assert "1,733 movements" in out.splitlines()[-1], out
    last = out[out.rindex("flights/airport_departures@1 ") :]
    for airport in ("EWR", "JFK", "LGA", "LAX"):
        [line] = [line for line in last.splitlines() if line.startswith(f"  {airport} ")]
        assert int(line.split()[1]) > 0, last
    assert re.search(r"[1-9]\d* changes seen online", out), out

    with demo(tmp_path, "--speed", "100") as running:
        for line in running.stdout:
            if "seen online" in line:
                break
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        assert running.wait(PATIENCE_SECONDS) == 0 and "ending" in rest, rest
    assert str(tmp_path) not in processes(), "something that the demo started is still there"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--day", "2014-01-01"), "of 2013"),
        (("--speed", "0"), "give a number above 0"),
        (("--minutes", "nan"), "give a number above 0"),
    ],
)
def test_arguments_that_make_no_sense(tmp_path, wrong, said):
    with demo(tmp_path, *wrong) as running:
        out = running.communicate(timeout=PATIENCE_SECONDS)[0]
    assert running.returncode == 2 and said in out and "Traceback" not in out


@contextlib.contextmanager
def demo(root: Path, *args: str):
    """The script, told to end where a test does not wait for it."""
    folder = root / "cache"
    folder.mkdir(exist_ok=True)
    for name in ("data", "servers"):
        if not (folder / name).exists():
            (folder / name).symlink_to(CACHE / name)
    running = subprocess.Popen(
        [sys.executable, str(REPO / "scripts/demo-stream.py"), *args],
        env=os.environ | {"TRIVIUM": TRIVIUM, "TRIVIUM_CACHE": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.terminate()
            running.communicate(timeout=PATIENCE_SECONDS)


def processes() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
