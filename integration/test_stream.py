"""Streams to rows, whatever dies: workers killed, the broker and serving away, events shuffled,
sent twice and bad. In the end every row is that of a sequential computation, nobody has seen one go
back, and the dead letters are the bad messages.

`make test-stream` is the long form: TRIVIUM_STREAM_EVENTS, TRIVIUM_STREAM_KILLS."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import random
import threading
import time

import pytest
import requests
from conftest import PATIENCE_SECONDS, Server
from streams import DEAD_LETTERS, Event, Kafka, Streams, send
from trivium.v1 import payload_pb2, value_pb2

EVENTS = int(os.environ.get("TRIVIUM_STREAM_EVENTS", "200000"))
KILLS = int(os.environ.get("TRIVIUM_STREAM_KILLS", "20"))
SEED = int(os.environ.get("TRIVIUM_SEED", "20130101"))
PARTITIONS = 12
WORKERS = 3
VEHICLES = 3_000
DRIVERS = 300
# Of a hundred events so many are of drivers, which stand in envelopes; the others are JSON.
DRIVERS_SHARE = 10

VEHICLE = "fleet/vehicle@1"
DRIVER = "fleet/driver@1"
OWNER = {"team": "fleet", "contact": "fleet@example.com"}


def feature(name: str, of) -> dict:
    return {"name": name, "type": of, "description": name}


VEHICLE_CONFIG = {
    "namespace": "fleet",
    "name": "vehicle",
    "version": 1,
    "lane": "stream",
    "description": "Where a vehicle is, and how it is.",
    "owner": OWNER,
    "urgency_tier": 2,
    "entities": [{"name": "vehicle", "type": "string"}, {"name": "slot", "type": "int64"}],
    "event_timestamp": "event_ts",
    "source": {
        "format": "json",
        "topic": "vehicles",
        "time_unit": "us",
        "columns": {"event_ts": "at", "speed": "motion.speed", "zone": "$header.zone"},
    },
    "features": [
        feature("odometer", "int64"),
        feature("gear", "int32"),
        feature("speed", "float64"),
        feature("heading", "float32"),
        feature("charging", "bool"),
        feature("state", "string"),
        feature("zone", "string"),
        feature("seal", "bytes"),
        feature("seen", "timestamp"),
        feature("due", "date"),
        feature("toll", {"decimal": {"precision": 12, "scale": 2}}),
        feature("stops", {"list": "int64"}),
    ],
    "online": True,
}
DRIVER_CONFIG = {
    "namespace": "fleet",
    "name": "driver",
    "version": 1,
    "lane": "stream",
    "description": "What a driver is at.",
    "owner": OWNER,
    "urgency_tier": 2,
    "entities": [{"name": "driver", "type": "int64"}],
    "event_timestamp": "event_ts",
    "features": [feature("trips", "int64"), feature("mood", "string")],
    "online": True,
}
# An hour ago; whole, so that texts are equal.
BASE = int(time.time()) * 1_000_000 - 3_600_000_000
# Neighbours of an event come so many places earlier or later.
SHUFFLED = 400


def instant(micros: int) -> str:
    whole, rest = divmod(micros, 1_000_000)
    text = dt.datetime.fromtimestamp(whole, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:06d}Z"


def micros_of(text: str) -> int:
    at = dt.datetime.fromisoformat(text)
    return round((at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1))


def vehicle_event(pick: random.Random, number: int) -> Event:
    vehicle = pick.randrange(VEHICLES)
    at = BASE + number * 1_000 + pick.randrange(1_000)
    value = {
        "vehicle": f"v{vehicle}",
        "slot": vehicle % 7,
        "at": at,
        # Beyond what a double holds.
        "odometer": str(2**60 + number),
        "gear": pick.randrange(-1, 7),
        "motion": {"speed": pick.choice([number / 7, "NaN", "-Infinity", -0.0])},
        "heading": pick.randrange(3600) / 8,
        "charging": pick.random() < 0.5,
        "state": pick.choice(["idle", "süd", "", "driving"]),
        "seal": base64.b64encode(number.to_bytes(4)).decode(),
        "seen": instant(at - pick.randrange(10**9)),
        "due": str(dt.date(2024, 1, 1) + dt.timedelta(days=pick.randrange(500))),
        "toll": f"{pick.randrange(10**6)}.{pick.randrange(100):02d}",
        "stops": [pick.randrange(-5, 5) for _ in range(pick.randrange(4))],
    }
    # Null is not unset.
    if pick.random() < 0.1:
        value["state"] = None
    if pick.random() < 0.1:
        del value["gear"]
    headers = [("zone", b"north"), ("zone", b"zone %d" % (number % 5))]
    return Event("vehicles", f"v{vehicle}".encode(), json.dumps(value).encode(), headers)


def driver_event(pick: random.Random, number: int) -> Event:
    driver = pick.randrange(DRIVERS)
    payload = payload_pb2.Payload(
        view=DRIVER,
        entity={"driver": value_pb2.KeyValue(int64=driver)},
        event_time_micros=BASE + number * 1_000 + pick.randrange(1_000),
    )
    if pick.random() < 0.2:
        payload.delete.SetInParent()
    else:
        payload.put.values["trips"].int64 = number
        payload.put.values["mood"].string = pick.choice(["good", "tired"])
    return Event("payloads", str(driver).encode(), payload.SerializeToString())


def bad_event(pick: random.Random, number: int) -> Event:
    """One that no row can be made of, for each reason."""
    event = vehicle_event(pick, number)
    value = json.loads(event.value)
    reason = pick.choice(
        ["undecodable", "missing", "wrong_type", "out_of_bounds", "refused", "unknown_view"]
    )
    match reason:
        case "undecodable":
            event.value = event.value[:-1]
        case "missing":
            del value["slot"]
        case "wrong_type":
            value["gear"] = str(number)
        case "out_of_bounds":
            value["seen"] = 2**62
        case "refused":
            value["at"] = (int(time.time()) + 10 * 86_400) * 1_000_000
        case "unknown_view":
            payload = payload_pb2.Payload(view="fleet/nobody@1", event_time_micros=BASE)
            event = Event("payloads", b"x", payload.SerializeToString())
    if reason not in ("undecodable", "unknown_view"):
        event.value = json.dumps(value).encode()
    event.bad = reason
    return event


def make_events(pick: random.Random, count: int) -> list[Event]:
    """In the order in which they are sent."""
    placed = []
    for number in range(count):
        roll = pick.random() * 100
        if roll < 0.5:
            event = bad_event(pick, number)
        elif roll < DRIVERS_SHARE:
            event = driver_event(pick, number)
        else:
            event = vehicle_event(pick, number)
        placed.append((number + pick.randrange(SHUFFLED), event))
        if pick.random() < 0.03:
            placed.append((number + pick.randrange(2 * SHUFFLED), event))
    placed.sort(key=lambda each: each[0])
    return [event for _, event in placed]


class Fleet(Streams):
    """Everything that runs, and can be killed."""

    def __init__(self, root, pick: random.Random) -> None:
        self.pick = pick
        super().__init__(root, [VEHICLE_CONFIG, DRIVER_CONFIG], vehicles=PARTITIONS, payloads=3)
        # One has a name of its own in the group: its partitions wait for it.
        self.workers = [
            self.new_worker(number, 'instance = "static"' if number == 0 else "")
            for number in range(WORKERS)
        ]

    def restart_serving(self, seconds: float) -> None:
        if self.pick.random() < 0.5:
            self.serving.kill()
        else:
            self.serving.stop()
        time.sleep(seconds)
        self.start_serving()


@pytest.fixture
def fleet(tmp_path):
    print(f"TRIVIUM_SEED={SEED}")
    fleet = Fleet(tmp_path, random.Random(SEED))
    try:
        yield fleet
    finally:
        fleet.stop()


def entity(vehicle: int) -> dict:
    return {"vehicle": f"v{vehicle}", "slot": vehicle % 7}


class Observer(threading.Thread):
    """Looks at some rows all the time: neither the event time nor the rev of one ever goes back."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{fleet.ports[0]}/v1/features/online/get"
        self.vehicles = range(0, VEHICLES, VEHICLES // 60)
        self.looks = self.changes = 0
        self.wrong: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        body = {"features": [VEHICLE], "entities": [entity(each) for each in self.vehicles]}
        seen: dict[int, tuple[int, int]] = {}
        session = requests.Session()
        while not self.ended.wait(0.01):
            try:
                answer = session.post(self.url, json=body, timeout=5)
            except requests.RequestException:
                time.sleep(0.05)
                continue
            if answer.status_code != 200:
                # It comes up or goes down.
                if answer.status_code < 500:
                    self.wrong.append(answer.text)
                continue
            self.looks += 1
            for vehicle, row in zip(self.vehicles, answer.json()["rows"], strict=True):
                if not row.get("revs"):
                    if vehicle in seen:
                        self.wrong.append(f"v{vehicle} is gone: {row}")
                    continue
                now = (micros_of(row["event_times"][VEHICLE]), int(row["revs"][VEHICLE]))
                before = seen.get(vehicle, (0, 0))
                if now[0] < before[0] or now[1] < before[1]:
                    self.wrong.append(f"v{vehicle} went from {before} to {now}")
                self.changes += now != before
                seen[vehicle] = now

    def end(self) -> None:
        self.ended.set()
        self.join(PATIENCE_SECONDS)


def expected_vehicle(value: dict, headers: list) -> dict[str, tuple]:
    """What is read of each feature, and with which status."""
    row = {}
    for name in (each["name"] for each in VEHICLE_CONFIG["features"]):
        if name == "speed":
            found = value["motion"]["speed"]
        elif name == "zone":
            found = headers[-1][1].decode()
        elif name not in value:
            row[name] = (None, "NOT_FOUND")
            continue
        else:
            found = value[name]
        row[name] = (found, "NULL" if found is None else "PRESENT")
    return row


def sequential(kafka: Kafka, bad: dict[bytes, str]) -> tuple[dict, dict, dict]:
    """The newest of each entity by event time, then by place; and where the bad messages are."""
    vehicles: dict[str, tuple] = {}
    drivers: dict[int, tuple] = {}
    letters: dict[tuple, tuple] = {}
    for message in kafka.read("vehicles"):
        place = message.offset()
        if message.value() in bad:
            at = ("vehicles", str(message.partition()), str(place))
            letters[at] = (message.key(), message.value(), bad[message.value()])
            continue
        value = json.loads(message.value())
        order = (value["at"], place)
        if order > vehicles.get(value["vehicle"], ((0, 0),))[0]:
            row = expected_vehicle(value, message.headers())
            vehicles[value["vehicle"]] = (order, row)
    for message in kafka.read("payloads"):
        place = message.offset()
        if message.value() in bad:
            at = ("payloads", str(message.partition()), str(place))
            letters[at] = (message.key(), message.value(), bad[message.value()])
            continue
        payload = payload_pb2.Payload.FromString(message.value())
        order = (payload.event_time_micros, place)
        driver = payload.entity["driver"].int64
        if order > drivers.get(driver, ((0, 0),))[0]:
            row = None
            if payload.WhichOneof("op") == "put":
                values = payload.put.values
                row = (values["trips"].int64, values["mood"].string)
            drivers[driver] = (order, row)
    return vehicles, drivers, letters


def same(name: str, found, expected) -> bool:
    if name == "seen" and found is not None:
        return micros_of(found) == micros_of(expected)
    if isinstance(expected, float) and isinstance(found, float | int):
        # -0.0 is kept.
        return str(float(found)) == str(expected)
    return type(found) is type(expected) and found == expected


def check_vehicles(serving: Server, expected: dict[str, tuple]) -> None:
    names = [each["name"] for each in VEHICLE_CONFIG["features"]]
    for begin in range(0, VEHICLES, 1_000):
        vehicles = range(begin, min(begin + 1_000, VEHICLES))
        body = {"features": [VEHICLE], "entities": [entity(each) for each in vehicles]}
        answer = serving.post("/v1/features/online/get", body)
        assert answer.status_code == 200, answer.text
        for vehicle, row in zip(vehicles, answer.json()["rows"], strict=True):
            if f"v{vehicle}" not in expected:
                assert set(row["statuses"]) == {"NOT_FOUND"}, row
                continue
            (at, _), wanted = expected[f"v{vehicle}"]
            assert micros_of(row["event_times"][VEHICLE]) == at, (vehicle, row, wanted)
            statuses = row.get("statuses") or ["PRESENT"] * len(names)
            for name, value, status in zip(names, row["values"], statuses, strict=True):
                assert status == wanted[name][1], (vehicle, name, row, wanted)
                assert same(name, value, wanted[name][0]), (vehicle, name, value, wanted[name])


def check_drivers(serving: Server, expected: dict[int, tuple]) -> None:
    body = {"features": [DRIVER], "entities": [{"driver": each} for each in range(DRIVERS)]}
    answer = serving.post("/v1/features/online/get", body)
    assert answer.status_code == 200, answer.text
    for driver, row in enumerate(answer.json()["rows"]):
        _, wanted = expected.get(driver, (None, None))
        if wanted is None:
            assert set(row["statuses"]) == {"NOT_FOUND"}, (driver, row)
        else:
            assert tuple(row["values"]) == wanted, (driver, row, wanted)


def check_letters(kafka: Kafka, expected: dict[tuple, tuple]) -> None:
    """Each bad message is there, as it was, and nothing else; a worker that was killed may have put
    one there twice."""
    found = {}
    for message in kafka.read(DEAD_LETTERS):
        headers = {name: value for name, value in message.headers()}
        said = {
            name.removeprefix("trivium-dlq-"): value.decode()
            for name, value in headers.items()
            if name.startswith("trivium-dlq-")
        }
        for needed in ("message", "help", "first-seen", "time"):
            assert said[needed], said
        at = (said["topic"], said["partition"], said["offset"])
        found[at] = (message.key(), message.value(), said["reason"])
        if at[0] == "vehicles":
            assert headers["zone"].startswith(b"zone "), headers
    assert found == expected


def test_every_event_once_whatever_dies(fleet):
    pick = fleet.pick
    events = make_events(pick, EVENTS)
    bad = {event.value: event.bad for event in events if event.bad}
    good = {event.value for event in events if not event.bad}
    assert not bad.keys() & good and len(set(bad.values())) == 6
    observer = Observer(fleet)
    observer.start()
    rounds = KILLS + 1
    kills = 0
    for number in range(rounds):
        send(
            fleet.producer,
            events[number * len(events) // rounds : (number + 1) * len(events) // rounds],
        )
        if number == rounds - 1:
            break
        time.sleep(pick.uniform(0, 1))
        fleet.restart_worker(pick.randrange(WORKERS), kill=True)
        kills += 1
        if number % 7 == 3:
            fleet.restart_serving(pick.uniform(0, 3))
        if number % 7 == 5:
            fleet.restart_worker(pick.randrange(WORKERS), kill=False)
        if number in (rounds // 3, 2 * rounds // 3):
            fleet.kafka.kill_and_restart()
    fleet.until_read()
    observer.end()
    assert kills == KILLS
    assert not observer.wrong, observer.wrong[:5]
    assert observer.looks > rounds and observer.changes > 100, (observer.looks, observer.changes)

    vehicles, drivers, letters = sequential(fleet.kafka, bad)
    assert {reason for *_, reason in letters.values()} == set(bad.values())
    check_vehicles(fleet.serving, vehicles)
    check_drivers(fleet.serving, drivers)
    check_letters(fleet.kafka, letters)
    for worker in fleet.workers:
        assert worker.get("/readyz").status_code == 200
        worker.stop()
