"""Workers that sleep with messages under way until their partitions are others' and their entities
have newer rows, and then wake up: no row goes back, and the history has every row once."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import threading

import pytest
from fleet import (
    BASE,
    CONFIGS,
    DRIVER,
    VEHICLE,
    Observer,
    check_history,
    check_online,
    driver_event,
    sequential,
    vehicle_event,
)
from streams import Event, Streams, Worker, eventually, send

SEED = int(os.environ.get("TRIVIUM_SEED", "20130104"))
TOPICS = {"vehicles": 8, "payloads": 4}
ENTITIES = {VEHICLE: 180, DRIVER: 180}
# The last ones are let alone until all are awake.
EARLY, LATE = range(150), range(150, 180)
# Names in the group: none, one that it keeps, and one that a newer worker takes.
NAMES = ("", "kept", "taken")
WRITTEN = re.compile(r"online_rows_written_total\{.*\} (\d+)")


class Gate:
    """A way to serving that can be shut: what a worker sends waits in it, and arrives later."""

    def __init__(self, port: int) -> None:
        self.serving = ("127.0.0.1", port)
        self.open = threading.Event()
        self.open.set()
        self.held = 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                worker, _ = self.server.accept()
                serving = socket.create_connection(self.serving)
                for ends in ((worker, serving, True), (serving, worker, False)):
                    threading.Thread(target=self.pass_on, args=ends, daemon=True).start()

    def pass_on(self, source: socket.socket, to: socket.socket, is_gated: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_gated and not self.open.is_set():
                    self.held += len(data)
                    self.open.wait()
                to.sendall(data)
        for end in (source, to):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Sleepers(Streams):
    """A worker that stays awake, and some that will sleep."""

    def __init__(self, root) -> None:
        super().__init__(root, list(CONFIGS.values()), **TOPICS)
        self.lake = root / ".trivium/lake"
        self.gates = [Gate(self.ports[1]) for _ in NAMES]
        self.awake = self.new_worker(len(NAMES), self.settings("awake", 300))
        # They have read much that they have not committed to the history when they fall asleep.
        self.sleepers = [
            self.new_worker(number, self.settings(name, 5_000), door=self.gates[number].port)
            for number, name in enumerate(NAMES)
        ]
        self.workers = [self.awake, *self.sleepers]

    def settings(self, name: str, commit_ms: int) -> str:
        instance = f'instance = "{name}"\n' if name else ""
        return f'{instance}[history]\nlake = "{self.lake}"\ncommit_ms = {commit_ms}\n'

    def written(self) -> int:
        """Rows that serving was sent, whatever became of them."""
        return sum(int(count) for count in WRITTEN.findall(self.serving.get("/metrics").text))

    def stop(self) -> None:
        super().stop()
        for gate in self.gates:
            gate.open.set()
            gate.server.close()


def shared_by(workers: list[Worker]) -> bool:
    """Whether each partition is one worker's, and each worker has some."""
    have = [[each["partition"] for each in worker.partitions()] for worker in workers]
    every = sorted(f"{topic}/{number}" for topic in TOPICS for number in range(TOPICS[topic]))
    return sorted(sum(have, [])) == every and all(have)


def events(pick: random.Random, numbers: range, entities: range, tied: int = 0) -> list[Event]:
    """So many of each entity, each later than those before: a third of them by place alone, with
    `tied`, the number whose event time they have."""
    sent = []
    for number in numbers:
        for each in entities:
            at = BASE + (tied if tied and each % 3 == 0 else number) * 1_000
            sent.append(vehicle_event(pick, number, each, at))
            sent.append(driver_event(pick, number, each, at))
    return sent


@pytest.fixture
def streams(tmp_path):
    print(f"TRIVIUM_SEED={SEED}")
    streams = Sleepers(tmp_path)
    try:
        yield streams
    finally:
        streams.stop()


def test_whoever_wakes_up_late_changes_nothing(streams):
    pick = random.Random(SEED)
    eventually("not all have partitions", lambda: shared_by(streams.workers))
    observer = Observer(streams.ports[0], ENTITIES[VEHICLE], ENTITIES[DRIVER])
    observer.start()
    send(streams.producer, events(pick, range(3), EARLY))
    streams.until_read()

    # They get messages, and what they write of them does not arrive; then more comes, and waits.
    for gate in streams.gates:
        gate.open.clear()
    send(streams.producer, events(pick, range(3, 6), EARLY))

    def are_under_way() -> bool:
        lanes = [each for worker in streams.sleepers for each in worker.partitions()]
        return all(each["busy_seconds"] is not None for each in lanes)

    eventually("nothing is under way", are_under_way)
    waiting = [waiting_bytes(worker) for worker in streams.sleepers]
    send(streams.producer, events(pick, range(6, 9), EARLY))
    for worker, before in zip(streams.sleepers, waiting, strict=True):
        eventually(
            "nothing waits",
            lambda worker=worker, before=before: waiting_bytes(worker) > before,
        )
    assert all(gate.held > 0 for gate in streams.gates)
    for worker in streams.sleepers:
        worker.process.send_signal(signal.SIGSTOP)

    # Who is awake gets all of it, beside the one that has come in a sleeper's name.
    successor = streams.new_worker(len(NAMES) + 1, streams.settings("taken", 300))
    streams.workers.append(successor)
    eventually("partitions stay with sleepers", lambda: shared_by([streams.awake, successor]))
    send(streams.producer, events(pick, range(9, 12), EARLY, tied=8))
    streams.until_read()

    # What was on its way arrives; then they wake up, and go on where they were.
    for gate in streams.gates:
        before = streams.written()
        gate.open.set()
        eventually("nothing arrives late", lambda before=before: streams.written() > before)
    for worker in streams.sleepers:
        worker.process.send_signal(signal.SIGCONT)
    unnamed, kept, taken = streams.sleepers
    # Its name is another's: it ends, and says so.
    eventually("it works on in another's name", lambda: taken.process.poll() is not None)
    assert taken.process.returncode == 5, taken.log.read_text()
    eventually(
        "those that are back have no partitions",
        lambda: shared_by([streams.awake, successor, unnamed, kept]),
    )
    send(streams.producer, events(pick, range(12, 13), LATE))
    streams.until_read()
    observer.end()
    assert not observer.wrong, observer.wrong[:5]
    assert observer.changes > 100 and observer.deletes > 0, (observer.changes, observer.deletes)

    computed = sequential(streams.kafka, {})
    check_online(streams.serving, computed, ENTITIES)
    check_history(streams.lake, computed)
    assert not list(streams.kafka.read("dead-letters"))


def waiting_bytes(worker: Worker) -> int:
    return sum(each["waiting_bytes"] for each in worker.partitions())
