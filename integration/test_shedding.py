"""Serving that has too much at once, under a worker: it is left alone for as long as it asks,
nothing is a dead letter, and in the end all rows are there."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import time

import pytest
import requests
from conftest import PATIENCE_SECONDS, SERVING, Running
from nodes import INSTALLED, JAVA, Store, free_port
from streams import DEAD_LETTERS, GROUP, Event, Steady, Worker, eventually

LANES = 4
# What all bodies may hold together, and what somebody else holds: less is left than any request of
# the worker needs.
BUDGET = 1 << 20
HELD = BUDGET - (4 << 10)
# Each message is a larger request than what goes through always, and all of them at once fit.
TEXT_BYTES = 20 << 10
ROWS_OF_A_LANE = 8
# What a node that sheds asks for, and how much of it may come on top at random.
ASKED_MS = 1_000
AGAIN = "rows are not taken now; they are sent again"
BASE = (int(time.time()) - 3_600) * 1_000_000
VIEW = "fleet/note@1"
CONFIG = {
    "namespace": "fleet",
    "name": "note",
    "version": 1,
    "lane": "stream",
    "description": "What somebody wrote.",
    "owner": {"team": "fleet", "contact": "fleet@example.com"},
    "urgency_tier": 2,
    "entities": [{"name": "number", "type": "int64"}],
    "event_timestamp": "at",
    "source": {"format": "json", "topic": "notes", "time_unit": "us"},
    "features": [{"name": "text", "type": "string", "description": "All of it."}],
    "online": True,
}


class Narrow(Running):
    """`trivium-serving` whose requests may hold little together."""

    def __init__(self, root, registry: str) -> None:
        port = free_port()
        endpoint = f"http://127.0.0.1:{port}"
        self.table = Store(
            root,
            "dynamodb",
            *(*JAVA, f"{INSTALLED / 'dynamodb-local'}/*"),
            "software.amazon.dynamodb.services.local.main.ServerRunner",
            *("-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)),
        )
        self.table.until(lambda: requests.get(endpoint, timeout=5).status_code > 0)
        config = root / "serving.toml"
        config.write_text(
            f"""
registry.url = "{registry}"
listen = {{ http = "127.0.0.1:0", grpc = "127.0.0.1:0" }}

[dynamodb]
table = "notes"
region = "eu-central-1"
endpoint = "{endpoint}"
attempt_timeout_ms = 20000
limit_ms = 60000

[limits]
body_bytes_under_way_max = {BUDGET}
request_ms_max = {PATIENCE_SECONDS * 2_000}
"""
        )
        command = [SERVING, "--config", str(config)]
        keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        try:
            subprocess.run(
                [*command, "stores", "init"],
                check=True,
                timeout=PATIENCE_SECONDS,
                cwd=root,
                env=keys,
            )
            super().__init__(command, root / "node.log", cwd=root, env=keys)
        except BaseException:
            self.table.stop()
            raise

    def metric(self, name: str) -> int:
        return metric(self, name)

    def stop(self) -> None:
        super().stop()
        self.table.stop()

    @contextlib.contextmanager
    def hold(self):
        """Sends a body but for its end: what is there of it is held until the caller goes."""
        host, port = self.http.removeprefix("http://").split(":")
        head = (
            f"POST /v1/features/online/get HTTP/1.1\r\nHost: {host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {HELD + 1}\r\n\r\n"
        )
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(head.encode() + b" " * HELD)

            def is_held() -> bool:
                return self.metric("trivium_body_bytes_under_way") >= HELD

            eventually("the body does not come", is_held)
            yield


def metric(running: Running, name: str) -> int:
    """The sum over all labels."""
    found = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", running.get("/metrics").text, re.M)
    return int(sum(map(float, found)))


class Shed(Steady):
    """A worker that writes to such a node."""

    def __init__(self, root) -> None:
        super().__init__(root, [CONFIG], notes=LANES)
        try:
            self.node = Narrow(root, self.serving.http)
        except BaseException:
            super().stop()
            raise

    def new_worker(self, number: int, extra: str = "", group: str = GROUP) -> Worker:
        nodes = (self.serving.http, self.node.grpc)
        return Worker(self.root, number, self.kafka, *nodes, extra, group)

    def stop(self) -> None:
        super().stop()
        self.node.stop()


@pytest.fixture
def shed(tmp_path):
    shed = Shed(tmp_path)
    try:
        yield shed
    finally:
        shed.stop()


def note(number: int) -> Event:
    text = f"{number} " + "x" * TEXT_BYTES
    value = {"number": number, "at": BASE + number, "text": text}
    return Event("notes", b"", json.dumps(value).encode())


def texts(node: Running, count: int) -> list:
    body = {"features": [VIEW], "entities": [{"number": number} for number in range(count)]}
    answer = node.post("/v1/features/online/get", body)
    assert answer.status_code == 200, answer.text
    return [row["values"][0] for row in answer.json()["rows"]]


def pauses(worker: Worker) -> list[int]:
    """How long the worker waited each time, in milliseconds, as it logged it."""
    lines = [json.loads(line)["fields"] for line in worker.log.read_text().splitlines()]
    again = [fields for fields in lines if fields.get("message") == AGAIN]
    assert all("too many bytes" in fields["why"] for fields in again), again
    return [fields["pause_ms"] for fields in again]


def test_who_sheds_is_left_alone_and_gets_all_rows(shed):
    count = LANES * ROWS_OF_A_LANE
    for number in range(count):
        event = note(number)
        shed.producer.produce("notes", event.value, partition=number % LANES)
    shed.producer.flush(PATIENCE_SECONDS)
    refused = "trivium_shed_requests_total"
    with shed.node.hold():
        worker = shed.new_worker(0, '[log]\nformat = "json"')
        shed.workers = [worker]
        eventually("nothing is shed", lambda: shed.node.metric(refused), pause=0.02)
        begun, first = time.monotonic(), shed.node.metric(refused)
        eventually("it does not come again", lambda: shed.node.metric(refused) >= 4 * LANES)
        last = shed.node.metric(refused)
        seconds = time.monotonic() - begun
        # A slower machine sends fewer. One that sends them all at once is the busy loop.
        assert last - first <= LANES * (seconds * 1_000 / ASKED_MS + 1), (first, last, seconds)
        # Whoever asks how it goes is told: the partitions wait, and are not stopped.
        shown = worker.partitions()
        assert len(shown) == LANES and all(each["waiting_bytes"] > 0 for each in shown), shown
        assert texts(shed.node, count) == [None] * count
        assert set(shed.kafka.committed(GROUP, "notes").values()) == {0}
    shed.until_read()
    assert texts(shed.node, count) == [json.loads(note(n).value)["text"] for n in range(count)]
    assert shed.kafka.ends(DEAD_LETTERS) == {0: 0}
    # Each time it was left alone for as long as it asked, and no request was lost sight of.
    waited = pauses(worker)
    assert len(waited) == shed.node.metric(refused)
    assert len(waited) == metric(worker, "trivium_ingest_retries_total")
    assert min(waited) >= ASKED_MS, waited
    assert max(waited) <= 10_000 and len(set(waited)) > 1, waited
    assert metric(worker, "trivium_ingest_dead_letters_total") == 0
