"""Vehicles and drivers as a stream: their views, messages good and bad, and what all of it comes to
by a sequential computation: rows online, rows of the history, training sets, dead letters."""

from __future__ import annotations

import base64
import datetime as dt
import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import requests
from conftest import PATIENCE_SECONDS, Project, Server
from streams import DEAD_LETTERS, Event, Kafka, eventually
from trivium import Client
from trivium.v1 import payload_pb2, value_pb2

VEHICLES = 3_000
DRIVERS = 300
# Of a hundred events so many are of drivers, which stand in envelopes; the others are JSON.
DRIVERS_SHARE = 10
# Neighbours of an event come so many places earlier or later.
SHUFFLED = 400
BAD = (
    "undecodable",
    "missing",
    "wrong_type",
    "out_of_bounds",
    "too_large",
    "refused",
    "unknown_view",
)

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
CONFIGS = {VEHICLE: VEHICLE_CONFIG, DRIVER: DRIVER_CONFIG}
FEATURES = {view: [each["name"] for each in config["features"]] for view, config in CONFIGS.items()}
# An hour ago; whole, so that texts are equal.
BASE = int(time.time()) * 1_000_000 - 3_600_000_000
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def instant(micros: int) -> str:
    whole, rest = divmod(micros, 1_000_000)
    text = dt.datetime.fromtimestamp(whole, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:06d}Z"


def micros_of(text: str) -> int:
    return round((dt.datetime.fromisoformat(text) - EPOCH) / dt.timedelta(microseconds=1))


def vehicle_event(
    pick: random.Random, number: int, vehicle: int | None = None, at: int | None = None
) -> Event:
    vehicle = pick.randrange(VEHICLES) if vehicle is None else vehicle
    at = BASE + number * 1_000 + pick.randrange(1_000) if at is None else at
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


def driver_event(
    pick: random.Random, number: int, driver: int | None = None, at: int | None = None
) -> Event:
    driver = pick.randrange(DRIVERS) if driver is None else driver
    payload = payload_pb2.Payload(
        view=DRIVER,
        entity={"driver": value_pb2.KeyValue(int64=driver)},
        event_time_micros=BASE + number * 1_000 + pick.randrange(1_000) if at is None else at,
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
    reason = pick.choice(BAD)
    match reason:
        case "undecodable":
            event.value = event.value[:-1]
        case "missing":
            del value["slot"]
        case "wrong_type":
            value["gear"] = str(number)
        case "out_of_bounds":
            value["seen"] = 2**62
        case "too_large":
            # A key that no store takes.
            value["vehicle"] = f"v{number}-" + "x" * 3_000
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


def entity(view: str, number: int) -> dict:
    if view == VEHICLE:
        return {"vehicle": f"v{number}", "slot": number % 7}
    return {"driver": number}


class Observer(threading.Thread):
    """Looks at rows all the time, at some of them always and at the others in turns: neither the
    event time nor the rev of one ever goes back, and what was deleted is back only as something
    newer."""

    ALWAYS = 40
    IN_TURNS = 40

    def __init__(self, port: int, vehicles: int = VEHICLES, drivers: int = DRIVERS) -> None:
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{port}/v1/features/online/get"
        self.counts = {VEHICLE: vehicles, DRIVER: drivers}
        self.turn = self.looks = self.changes = self.deletes = self.returns = 0
        # The event time and the rev of each row that was seen, and which of them are deleted.
        self.seen: dict[tuple[str, int], tuple[int, int]] = {}
        self.gone: set[tuple[str, int]] = set()
        self.wrong: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        session = requests.Session()
        while not self.ended.wait(0.01):
            for view in CONFIGS:
                self.look(session, view)
            self.turn += 1

    def watched(self, view: str) -> list[int]:
        count = self.counts[view]
        begin = self.turn * self.IN_TURNS
        always = range(0, count, -(-count // self.ALWAYS))
        return [*always, *((begin + each) % count for each in range(self.IN_TURNS))]

    def look(self, session: requests.Session, view: str) -> None:
        watched = self.watched(view)
        body = {"features": [view], "entities": [entity(view, each) for each in watched]}
        try:
            answer = session.post(self.url, json=body, timeout=5)
        except requests.RequestException:
            time.sleep(0.05)
            return
        if answer.status_code != 200:
            # It comes up or goes down.
            if answer.status_code < 500:
                self.wrong.append(answer.text)
            return
        self.looks += 1
        for number, row in zip(watched, answer.json()["rows"], strict=True):
            self.take(view, number, row)

    def take(self, view: str, number: int, row: dict) -> None:
        one = (view, number)
        before = self.seen.get(one)
        if not row.get("revs"):
            if before and view == VEHICLE:
                self.wrong.append(f"{one} is gone: {row}")
            elif before and one not in self.gone:
                self.deletes += 1
                self.gone.add(one)
            return
        now = (micros_of(row["event_times"][view]), int(row["revs"][view]))
        if before and (now[0] < before[0] or now[1] < before[1]):
            self.wrong.append(f"{one} went from {before} to {now}")
        if one in self.gone:
            self.returns += 1
            self.gone.remove(one)
            if now[1] == before[1]:
                self.wrong.append(f"{one} was deleted, and is back as {now}")
        self.changes += now != before
        self.seen[one] = now

    def end(self) -> None:
        self.ended.set()
        self.join(PATIENCE_SECONDS)


def plain(value: dict, headers: list) -> tuple:
    """The features of a vehicle's message as Python has them; unset is null. Floats are texts:
    NaN is not itself."""
    speed = repr(float(value["motion"]["speed"]))
    zone = headers[-1][1].decode()
    return (
        int(value["odometer"]),
        value.get("gear"),
        speed,
        repr(float(value["heading"])),
        value["charging"],
        value["state"],
        zone,
        base64.b64decode(value["seal"]),
        micros_of(value["seen"]),
        (dt.date.fromisoformat(value["due"]) - EPOCH.date()).days,
        Decimal(value["toll"]),
        tuple(value["stops"]),
    )


@dataclass
class Newest:
    """An entity's newest row. `found` is none where that is a delete; `unset` are features that it
    does not have."""

    order: tuple[int, int]
    found: tuple | None
    unset: frozenset[str] = frozenset()


@dataclass
class Computed:
    """What messages come to, one after the other."""

    newest: dict[str, dict[int, Newest]] = field(
        default_factory=lambda: {view: {} for view in CONFIGS}
    )
    # By view: how often each row is in the history; of millions only their hashes.
    history: dict[str, Counter] = field(
        default_factory=lambda: {view: Counter() for view in CONFIGS}
    )
    # Of some entities all rows.
    versions: dict[tuple[str, int], list[Newest]] = field(default_factory=lambda: defaultdict(list))
    letters: dict[tuple, tuple] = field(default_factory=dict)

    def add(self, view: str, number: int, row: Newest) -> None:
        at, place = row.order
        deleted = row.found is None
        values = row.found or (None,) * len(FEATURES[view])
        self.history[view][hash((number, at, place, deleted, *values))] += 1
        before = self.newest[view].get(number)
        if before is None or row.order > before.order:
            self.newest[view][number] = row
        if view == DRIVER or number % 50 == 0:
            self.versions[view, number].append(row)


def sequential(kafka: Kafka, bad: dict[bytes, str]) -> Computed:
    """All that was sent: rows go by event time, then by place."""
    computed = Computed()
    for topic in ("vehicles", "payloads"):
        for message in kafka.read(topic):
            place = message.offset()
            if message.value() in bad:
                at = (topic, str(message.partition()), str(place))
                computed.letters[at] = (message.key(), message.value(), bad[message.value()])
            elif topic == "vehicles":
                value = json.loads(message.value())
                unset = frozenset({"gear"} - value.keys())
                row = Newest((value["at"], place), plain(value, message.headers()), unset)
                computed.add(VEHICLE, int(value["vehicle"].removeprefix("v")), row)
            else:
                payload = payload_pb2.Payload.FromString(message.value())
                found = None
                if payload.WhichOneof("op") == "put":
                    values = payload.put.values
                    found = (values["trips"].int64, values["mood"].string)
                row = Newest((payload.event_time_micros, place), found)
                computed.add(DRIVER, payload.entity["driver"].int64, row)
    return computed


# How REST shows a value, by its type; null is null.
SHOWN = {
    "int64": int,
    "int32": int,
    "float64": lambda value: repr(float(value)),
    "float32": lambda value: repr(float(value)),
    "bytes": base64.b64decode,
    "timestamp": micros_of,
    "date": lambda value: (dt.date.fromisoformat(value) - EPOCH.date()).days,
    "list": tuple,
    "decimal": Decimal,
}
# As JSON has them; beyond 2^53, whole numbers are texts.
JSON_TYPES = {"int64": str, "int32": int, "bool": bool, "list": list}


def read_value(of, value):
    if value is None:
        return None
    kind = of if isinstance(of, str) else next(iter(of))
    if kind in ("float64", "float32"):
        assert isinstance(value, float | int) or value in ("NaN", "-Infinity"), value
    elif kind == "int64" and abs(int(value)) < 2**53:
        assert type(value) is int, value
    else:
        assert type(value) is JSON_TYPES.get(kind, str), (kind, value)
    return SHOWN.get(kind, lambda value: value)(value)


def check_online(serving: Server, computed: Computed, counts: dict[str, int]) -> None:
    """Every row that is served is the newest of its entity, in values, types and statuses."""
    for view, count in counts.items():
        for begin in range(0, count, 1_000):
            numbers = range(begin, min(begin + 1_000, count))
            body = {"features": [view], "entities": [entity(view, each) for each in numbers]}
            answer = serving.post("/v1/features/online/get", body)
            assert answer.status_code == 200, answer.text
            for number, row in zip(numbers, answer.json()["rows"], strict=True):
                check_row(view, number, row, computed.newest[view].get(number))


def check_row(view: str, number: int, row: dict, wanted: Newest | None) -> None:
    about = (view, number, row, wanted)
    if wanted is None or wanted.found is None:
        assert set(row["statuses"]) == {"NOT_FOUND"}, about
        return
    assert micros_of(row["event_times"][view]) == wanted.order[0], about
    types = [each["type"] for each in CONFIGS[view]["features"]]
    statuses = row.get("statuses") or ["PRESENT"] * len(types)
    for at, name in enumerate(FEATURES[view]):
        value = wanted.found[at]
        is_null = "NOT_FOUND" if name in wanted.unset else "NULL"
        assert statuses[at] == (is_null if value is None else "PRESENT"), (name, *about)
        assert read_value(types[at], row["values"][at]) == value, (name, *about)


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


def history_files(lake: Path, view: str) -> dict[Path, int]:
    """The files of a view's history that count, and their rows: the newest checkpoint, and the
    commits behind it, as `docs/streams.md` says."""
    folder = lake / view.replace("@", "/v")
    commits = folder / "_commits"
    number, files = 0, {}
    for checkpoint in sorted(commits.glob("*.checkpoint.json"))[-1:]:
        state = json.loads(checkpoint.read_text())
        number, files = state["number"], dict(state["files"])
    while (commit := commits / f"{number + 1:020}.json").exists():
        number += 1
        change = json.loads(commit.read_text())["change"]
        files.update((each["path"], each) for each in change.get("added", []))
        for path in change.get("removed", []):
            del files[path]
    return {folder / path: each["rows"] for path, each in files.items()}


def plain_column(column: pa.ChunkedArray) -> list:
    """A column's values as `plain` has them."""
    of = column.type
    if pa.types.is_timestamp(of):
        assert (of.unit, of.tz) == ("us", "UTC"), of
        return column.cast(pa.int64()).to_pylist()
    if pa.types.is_date32(of):
        return column.cast(pa.int32()).to_pylist()
    values = column.to_pylist()
    if pa.types.is_floating(of):
        return [value if value is None else repr(value) for value in values]
    if pa.types.is_list(of):
        return [value if value is None else tuple(value) for value in values]
    return values


def numbers_of(view: str, table: pa.Table) -> list[int]:
    if view == DRIVER:
        return table["driver"].to_pylist()
    numbers = [int(name.removeprefix("v")) for name in table["vehicle"].to_pylist()]
    assert [each % 7 for each in numbers] == table["slot"].to_pylist()
    return numbers


def check_history(lake: Path, computed: Computed) -> None:
    """Every row is in the history, and once; waits until the last has come."""
    for view, wanted in computed.history.items():
        count = wanted.total()
        eventually(
            f"not all rows of {view} are in the history",
            lambda view=view, count=count: sum(history_files(lake, view).values()) >= count,
            pause=0.5,
        )
        files = history_files(lake, view)
        found = Counter()
        for path in files:
            table = pq.read_table(path, partitioning=None)
            names = ("event_ts", "_sequence", "_deleted", *FEATURES[view])
            columns = [plain_column(table[name]) for name in names]
            rows = zip(numbers_of(view, table), *columns, strict=True)
            found.update(hash(row) for row in rows)
        missing, more = wanted - found, found - wanted
        assert not missing and not more, (view, count, missing.total(), more.total())


def asked_at(view: str, numbers: Iterable[int], times: Iterable[int]) -> pa.Table:
    """An entity frame."""
    entities = pa.Table.from_pylist([entity(view, each) for each in numbers])
    at = pa.array(list(times), pa.timestamp("us", "UTC"))
    return entities.append_column("event_timestamp", at)


def training_set(project: Project, view: str, frame: pa.Table) -> pa.Table:
    """What `trivium history` gives, by feature."""
    entities, out = (project.root / f"{name}.parquet" for name in ("frame", "training"))
    pq.write_table(frame, entities)
    files = ("--entities", str(entities), "--out", str(out))
    project.ok("history", "--features", view, *files)
    table = pq.read_table(out)
    prefix = view.partition("/")[2].partition("@")[0]
    return table.select([f"{prefix}__{name}" for name in FEATURES[view]])


def check_training_sets(
    project: Project, serving: Server, computed: Computed, pick: random.Random
) -> None:
    """Training sees what serving sees, in values and types; and of the past, what was the newest
    then."""
    now = BASE + 3_600_000_000
    with Client(serving.grpc) as client:
        for view in CONFIGS:
            numbers = sorted(computed.newest[view])
            training = training_set(project, view, asked_at(view, numbers, [now] * len(numbers)))
            online = pa.concat_tables(
                client.batch_get(
                    [view],
                    [entity(view, each) for each in numbers[begin : begin + 1_000]],
                    deadline=PATIENCE_SECONDS,
                ).to_arrow()
                for begin in range(0, len(numbers), 1_000)
            )
            for name, ours, theirs in zip(
                FEATURES[view], online.columns, training.columns, strict=True
            ):
                # gRPC brings decimals as texts: how many digits they may have is not in them.
                if pa.types.is_decimal(theirs.type):
                    assert theirs.type == pa.decimal128(12, 2) and ours.type.scale == 2
                else:
                    assert ours.type == theirs.type, (view, name)
                assert plain_column(ours) == plain_column(theirs), (view, name)

            sampled = [each for of, each in computed.versions if of == view]
            times = [pick.choice(computed.versions[view, each]).order[0] for each in sampled]
            training = training_set(project, view, asked_at(view, sampled, times))
            found = zip(*(plain_column(column) for column in training.columns), strict=True)
            for number, at, row in zip(sampled, times, found, strict=True):
                versions = [each for each in computed.versions[view, number] if each.order[0] <= at]
                wanted = max(versions, key=lambda each: each.order).found
                assert row == (wanted or (None,) * len(row)), (view, number, at)
