"""The flights of 2013 as a stream: departures and arrivals in the order in which they happened, and
what it takes to make features of them: a broker, `trivium dev` and a worker."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from confluent_kafka import KafkaException, Producer
from conftest import DATA, PATIENCE_SECONDS, REPO
from streams import GROUP, Event, Steady
from trivium import payloads

VIEWS = ("airport_departures", "airport_arrivals", "plane_live")
TOPICS = {
    "flights.departures": 3,
    "flights.arrivals": 3,
    "flights.planes": 3,
    "flights.windows": 3,
}
PLANE = payloads.View.read(REPO / "configs/flights/plane_live.v1.json")
NEW_YORK = ZoneInfo("America/New_York")
# Of the airports that the data set flies to and does not describe, all are east of it.
PUERTO_RICO = ZoneInfo("America/Puerto_Rico")


@dataclass(frozen=True, slots=True)
class Movement:
    """A flight that leaves or arrives."""

    at: dt.datetime
    is_departure: bool
    flight: str
    carrier: str
    tailnum: str
    origin: str
    dest: str
    # Minutes; none of flights that were diverted.
    delay: int | None
    # The same at departure and at arrival, and of no other flight.
    leg: str

    @property
    def airport(self) -> str:
        return self.origin if self.is_departure else self.dest


def movements(first: dt.date, days: int = 1) -> list[Movement]:
    """Of all flights that were to leave on these days, in the order in which things happened."""
    zones = _zones()
    wanted = {first + dt.timedelta(days=number) for number in range(days)}
    found = []
    with (DATA / "flights.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if dt.date(int(row["year"]), int(row["month"]), int(row["day"])) in wanted:
                found.extend(_of_flight(row, zones))
    # A plane that arrives leaves afterwards.
    found.sort(key=lambda one: (one.at, one.is_departure, one.leg))
    return found


def _zones() -> dict[str, ZoneInfo]:
    with (DATA / "airports.csv").open(newline="") as file:
        named = {row["faa"]: row["tzone"] for row in csv.DictReader(file)}
    return {faa: ZoneInfo(zone) for faa, zone in named.items() if "/" in zone}


def _of_flight(row: dict[str, str], zones: dict[str, ZoneInfo]) -> Iterator[Movement]:
    if row["dep_time"] == "NA":
        return
    scheduled = dt.datetime.fromisoformat(row["time_hour"]) + dt.timedelta(
        minutes=int(row["minute"])
    )
    flight = row["carrier"] + row["flight"]
    same = (flight, row["carrier"], row["tailnum"], row["origin"], row["dest"])
    leg = f"{scheduled:%Y-%m-%dT%H:%M}/{flight}/{row['origin']}"
    left = scheduled + dt.timedelta(minutes=int(row["dep_delay"]))
    yield Movement(left, True, *same, int(row["dep_delay"]), leg)
    if row["arr_time"] == "NA":
        return
    # The clock of the other airport stood so when it arrived, for the first time since it left.
    minutes = int(row["arr_time"]) // 100 * 60 + int(row["arr_time"]) % 100
    there = left.astimezone(zones.get(row["dest"], PUERTO_RICO))
    later = (minutes - there.hour * 60 - there.minute) % (24 * 60)
    arrived = left + dt.timedelta(minutes=later)
    delay = None if row["arr_delay"] == "NA" else int(row["arr_delay"])
    yield Movement(arrived, False, *same, delay, leg)


def messages(movement: Movement) -> list[Event]:
    """What the airport says of a movement, and what becomes of the plane by it."""
    said = {
        "leg": movement.leg,
        "flight": movement.flight,
        "carrier": movement.carrier,
        "airport": {"code": movement.airport},
        "at": f"{movement.at:%Y-%m-%dT%H:%M:%SZ}",
        "delay_minutes": movement.delay,
    }
    topic = "flights.departures" if movement.is_departure else "flights.arrivals"
    # All of an airport is in one partition: its windows are made there.
    event = Event(topic, movement.airport.encode(), json.dumps(said).encode())
    names = ("flight", "origin", "dest")
    plane = PLANE.put(
        {"tailnum": movement.tailnum},
        {name: getattr(movement, name) for name in names}
        | {"in_the_air": movement.is_departure, "delay_minutes": movement.delay},
        event_time=movement.at,
    )
    return [event, Event("flights.planes", plane.key, plane.value)]


class LiveFlights(Steady):
    """Everything that runs."""

    PAYLOAD_TOPICS = ()

    def __init__(self, root: Path) -> None:
        folder = REPO / "configs/flights"
        configs = [json.loads((folder / f"{name}.v1.json").read_text()) for name in VIEWS]
        super().__init__(root, configs, **TOPICS)
        self.workers = [self.new_worker(0, '[windows]\nfolder = "windows"')]

    def is_done(self) -> bool:
        """Whether all that was sent is online: windows are made of it, and their rows are read."""
        groups = {"flights.planes": GROUP} | {
            f"flights.{what}": f"{GROUP}.windows.flights.airport_{what}.v1"
            for what in ("departures", "arrivals")
        }
        with contextlib.suppress(KafkaException):
            if any(
                self.kafka.committed(group, topic) != self.kafka.ends(topic)
                for topic, group in groups.items()
            ):
                return False
            # Transactions leave marks in the topic of rows, so that its end says nothing.
            rows = {
                message.partition(): message.offset() + 1
                for message in self.kafka.read("flights.windows")
            }
            read = self.kafka.committed(GROUP, "flights.windows")
            return all(read[part] >= end for part, end in rows.items())
        return False

    def rows(self, view: str, key: str, entities: Iterable[str]) -> list[tuple[list, str | None]]:
        """Features and event time of each: nothing where there is no row."""
        body = {"features": [view], "entities": [{key: each} for each in entities]}
        answer = self.serving.post("/v1/features/online/get", body)
        assert answer.status_code == 200, answer.text
        found = []
        for row in answer.json()["rows"]:
            found.append((row["values"], (row.get("event_times") or {}).get(view)))
        return found


class Replay(threading.Thread):
    """Sends each movement when it is due on a clock that runs `speed` times as fast as ours."""

    def __init__(self, producer: Producer, all_of_them: list[Movement], speed: float) -> None:
        super().__init__(daemon=True)
        self.producer, self.all_of_them, self.speed = producer, all_of_them, speed
        self.sent = 0
        # The newest movement that the broker has, and since when.
        self.newest: tuple[Movement, float] | None = None
        self.failed: list[str] = []
        self.ended = threading.Event()
        self.begun = 0.0

    def clock(self) -> dt.datetime:
        """Now, where the flights are."""
        passed = dt.timedelta(seconds=(time.monotonic() - self.begun) * self.speed)
        first, last = self.all_of_them[0].at, self.all_of_them[-1].at
        return min(first + passed, last) if self.begun else first

    def run(self) -> None:
        self.begun = time.monotonic()
        first = self.all_of_them[0].at
        for movement in self.all_of_them:
            due = self.begun + (movement.at - first).total_seconds() / self.speed
            while (wait := due - time.monotonic()) > 0:
                self.producer.poll(0)
                if self.ended.wait(min(wait, 0.02)):
                    return
            for event in messages(movement):
                self._send(event, movement)
            self.sent += 1
        self.producer.flush(PATIENCE_SECONDS)
        self.ended.set()

    def _send(self, event: Event, movement: Movement) -> None:
        def told(error, _message) -> None:
            if error is not None:
                self.failed.append(str(error))
            elif event.topic == "flights.planes":
                self.newest = (movement, time.monotonic())

        while True:
            try:
                self.producer.produce(
                    event.topic, key=event.key, value=event.value, on_delivery=told
                )
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def stop(self) -> None:
        self.ended.set()
        self.join(PATIENCE_SECONDS)
