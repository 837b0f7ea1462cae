"""Streams to rows, whatever dies: workers killed, the broker and serving away, events shuffled,
sent twice and bad. In the end every row is that of a sequential computation, nobody has seen one go
back, the dead letters are the bad messages, and the history has every row once.

`make test-stream` is the long form: TRIVIUM_STREAM_EVENTS, TRIVIUM_STREAM_KILLS."""

from __future__ import annotations

import os
import random
import time

import pytest
from fleet import (
    BAD,
    CONFIGS,
    DRIVER,
    DRIVERS,
    VEHICLE,
    VEHICLES,
    Observer,
    check_history,
    check_letters,
    check_online,
    check_training_sets,
    make_events,
    sequential,
)
from streams import Streams, send

EVENTS = int(os.environ.get("TRIVIUM_STREAM_EVENTS", "200000"))
KILLS = int(os.environ.get("TRIVIUM_STREAM_KILLS", "20"))
SEED = int(os.environ.get("TRIVIUM_SEED", "20130101"))
PARTITIONS = 12
WORKERS = 3


class Fleet(Streams):
    """Everything that runs, and can be killed."""

    def __init__(self, root, pick: random.Random) -> None:
        self.pick = pick
        super().__init__(root, list(CONFIGS.values()), vehicles=PARTITIONS, payloads=3)
        self.lake = root / ".trivium/lake"
        history = f'[history]\nlake = "{self.lake}"\ncommit_ms = 2000\n'
        # One has a name of its own in the group: its partitions wait for it.
        self.workers = [
            self.new_worker(number, ('instance = "static"\n' if number == 0 else "") + history)
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


def test_every_event_once_whatever_dies(fleet):
    pick = fleet.pick
    events = make_events(pick, EVENTS)
    bad = {event.value: event.bad for event in events if event.bad}
    good = {event.value for event in events if not event.bad}
    assert not bad.keys() & good and set(bad.values()) == set(BAD)
    observer = Observer(fleet.ports[0])
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
    assert observer.deletes > rounds and observer.returns > rounds

    computed = sequential(fleet.kafka, bad)
    assert {reason for *_, reason in computed.letters.values()} == set(bad.values())
    check_online(fleet.serving, computed, {VEHICLE: VEHICLES, DRIVER: DRIVERS})
    check_letters(fleet.kafka, computed.letters)
    check_history(fleet.lake, computed)
    check_training_sets(fleet.project, fleet.serving, computed, pick)
    for worker in fleet.workers:
        assert worker.get("/readyz").status_code == 200
        worker.stop()
