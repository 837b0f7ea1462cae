"""Kinesis as it runs in earnest: a Kinesis API and DynamoDB, `trivium-ingest` in a process of its
own that is killed, shards that are split and merged. Every row is the newest, the dead letters are
the bad messages."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import random

import pytest
import requests
from conftest import PATIENCE_SECONDS, Project, Running, Server
from nodes import INSTALLED, JAVA, Store, free_port
from streams import INGEST, SETTINGS, eventually
from trivium import payloads

EVENTS = int(os.environ.get("TRIVIUM_KINESIS_EVENTS", "4000"))
SEED = int(os.environ.get("TRIVIUM_SEED", "20130713"))
VEHICLES = 200
ROUNDS = 5
CONFIG = {
    "namespace": "fleet",
    "name": "vehicle",
    "version": 1,
    "lane": "stream",
    "description": "Where a vehicle is.",
    "owner": {"team": "fleet", "contact": "fleet@example.com"},
    "urgency_tier": 2,
    "entities": [{"name": "vehicle", "type": "string"}],
    "event_timestamp": "at",
    "source": {"format": "envelope", "system": "kinesis", "topic": "vehicles"},
    "features": [
        {"name": "odometer", "type": "int64", "description": "Kilometres."},
        {"name": "state", "type": "string", "description": "What it does."},
    ],
    "online": True,
}
VIEW = payloads.View(CONFIG)
BASE = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(hours=1)


class Kinesis:
    """kinesalite, and DynamoDB Local for the leases. Both take any credentials."""

    def __init__(self, root) -> None:
        port, leases = free_port(), free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.leases = f"http://127.0.0.1:{leases}"
        script = INSTALLED / "kinesalite/server.js"
        assert script.exists(), f"{script} is missing: run scripts/setup-stores"
        self.running = [
            Store(root, "kinesis", "node", str(script), str(port)),
            Store(
                root,
                "dynamodb",
                *(*JAVA, f"{INSTALLED / 'dynamodb-local'}/*"),
                "software.amazon.dynamodb.services.local.main.ServerRunner",
                *("-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(leases)),
            ),
        ]
        for server, address in zip(self.running, (self.endpoint, self.leases), strict=True):
            server.until(lambda address=address: requests.get(address, timeout=5).status_code > 0)

    def call(self, action: str, **body) -> dict:
        headers = {
            "x-amz-target": f"Kinesis_20131202.{action}",
            "x-amz-date": "20130101T000000Z",
            "content-type": "application/x-amz-json-1.1",
            "authorization": "AWS4-HMAC-SHA256 Credential=local/20130101/us-east-1/kinesis/"
            "aws4_request, SignedHeaders=host, Signature=0",
        }
        answer = requests.post(
            self.endpoint, data=json.dumps(body), headers=headers, timeout=PATIENCE_SECONDS
        )
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else {}

    def create(self, stream: str, shards: int) -> None:
        self.call("CreateStream", StreamName=stream, ShardCount=shards)
        self.until_active(stream)

    def until_active(self, stream: str) -> None:
        def is_active() -> bool:
            return self.describe(stream)["StreamStatus"] == "ACTIVE"

        eventually(f"{stream} is not active", is_active)

    def describe(self, stream: str) -> dict:
        return self.call("DescribeStream", StreamName=stream)["StreamDescription"]

    def open_shards(self, stream: str) -> list[dict]:
        shards = self.describe(stream)["Shards"]
        return [
            each for each in shards if "EndingSequenceNumber" not in each["SequenceNumberRange"]
        ]

    def split(self, stream: str) -> None:
        """The first open shard becomes two."""
        shard = self.open_shards(stream)[0]
        span = shard["HashKeyRange"]
        middle = (int(span["StartingHashKey"]) + int(span["EndingHashKey"])) // 2
        self.call(
            "SplitShard",
            StreamName=stream,
            ShardToSplit=shard["ShardId"],
            NewStartingHashKey=str(middle),
        )
        self.until_active(stream)

    def merge(self, stream: str) -> None:
        """Two neighbours become one."""
        shards = sorted(
            self.open_shards(stream), key=lambda each: int(each["HashKeyRange"]["StartingHashKey"])
        )
        self.call(
            "MergeShards",
            StreamName=stream,
            ShardToMerge=shards[0]["ShardId"],
            AdjacentShardToMerge=shards[1]["ShardId"],
        )
        self.until_active(stream)

    def put(self, stream: str, entries: list[dict]) -> None:
        for start in range(0, len(entries), 200):
            records = [
                each | {"Data": base64.b64encode(each["Data"]).decode()}
                for each in entries[start : start + 200]
            ]
            # What is not taken, because of the shard's rate, is sent again: in order enough, since
            # rows go by event time.
            while records:
                results = self.call("PutRecords", StreamName=stream, Records=records)["Records"]
                records = [
                    each
                    for each, result in zip(records, results, strict=True)
                    if "ErrorCode" in result
                ]

    def read(self, stream: str) -> list[bytes]:
        found = []
        for shard in self.describe(stream)["Shards"]:
            at = self.call(
                "GetShardIterator",
                StreamName=stream,
                ShardId=shard["ShardId"],
                ShardIteratorType="TRIM_HORIZON",
            )["ShardIterator"]
            while at:
                page = self.call("GetRecords", ShardIterator=at, Limit=10_000)
                if not page["Records"]:
                    break
                found += [base64.b64decode(each["Data"]) for each in page["Records"]]
                at = page.get("NextShardIterator")
        return found

    def stop(self) -> None:
        for server in self.running:
            server.stop()


class Lane:
    """Streams, serving, and workers that can be killed."""

    def __init__(self, root, shards: int = 2, workers: int = 1) -> None:
        self.root = root
        self.serving = None
        self.workers: list[Running] = []
        self.kinesis = Kinesis(root)
        try:
            self.kinesis.create("vehicles", shards)
            self.kinesis.create("dead-letters", 1)
            (root / "trivium.toml").write_text(SETTINGS)
            folder = root / "configs/fleet"
            folder.mkdir(parents=True)
            (folder / "vehicle.v1.json").write_text(json.dumps(CONFIG))
            project = Project(root)
            project.ok("apply", "--reason", "kinesis")
            self.serving = Server(project)
            self.config = root / "ingest.toml"
            self.config.write_text(
                f"""
[listen]
http = "127.0.0.1:0"
[registry]
url = "{self.serving.http}"
poll_ms = 200
[serving]
url = "{self.serving.grpc.replace("grpc://", "http://")}"
[kinesis]
endpoint = "{self.kinesis.endpoint}"
lease_endpoint = "{self.kinesis.leases}"
lease_table = "leases"
lease_ms = 3000
commit_ms = 500
shards_ms = 1000
dead_letters = "dead-letters"
"""
            )
            self.workers = [self.start(number) for number in range(workers)]
        except BaseException:
            self.stop()
            raise

    def start(self, number: int) -> Running:
        keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        return Running(
            [INGEST, "--config", str(self.config)],
            self.root / f"worker-{number}.log",
            cwd=self.root,
            env=os.environ | keys,
        )

    def kill_and_restart(self) -> None:
        self.workers[0].kill()
        self.workers[0] = self.start(0)

    def stop(self) -> None:
        for running in (*self.workers, self.serving):
            if running is not None and running.process.poll() is None:
                running.kill()
        self.kinesis.stop()


@pytest.fixture
def lane(tmp_path):
    lane = Lane(tmp_path)
    yield lane
    lane.stop()


@pytest.fixture
def pair(tmp_path):
    pair = Lane(tmp_path, shards=4, workers=2)
    yield pair
    pair.stop()


class Vehicles:
    """Messages, and what has to become of them."""

    def __init__(self) -> None:
        print(f"TRIVIUM_SEED={SEED}")
        self.pick = random.Random(SEED)
        self.newest: dict[str, tuple] = {}
        self.bad: set[bytes] = set()

    def entries(self, numbers: range) -> list[dict]:
        entries = []
        for number in numbers:
            vehicle = f"v{self.pick.randrange(VEHICLES)}"
            # Some come late: what is newer stays. No two of a vehicle are of one time.
            late = self.pick.choice([0, 0, 0, 500_000])
            at = BASE + dt.timedelta(microseconds=number * 1_000 + number % 1_000 - late)
            state = self.pick.choice(["idle", "driving", None])
            message = VIEW.put(
                {"vehicle": vehicle}, {"odometer": number, "state": state}, event_time=at
            )
            if vehicle not in self.newest or self.newest[vehicle][0] < at:
                self.newest[vehicle] = (at, [number, state])
            entries.append(message.kinesis())
            if number % 97 == 0:
                value = b"\xff\xff%d" % number
                self.bad.add(value)
                entries.append({"PartitionKey": vehicle, "Data": value})
        return entries

    def until_done(self, lane: Lane) -> None:
        """Every row is the newest, and the dead letters are the bad messages."""
        assert len(self.newest) == VEHICLES and len(self.bad) > 20
        vehicles = sorted(self.newest)
        body = {"features": [VIEW.name], "entities": [{"vehicle": each} for each in vehicles]}
        wanted = [self.newest[each][1] for each in vehicles]

        def rows() -> list:
            answer = lane.serving.post("/v1/features/online/get", body)
            assert answer.status_code == 200, answer.text
            return [row["values"] for row in answer.json()["rows"]]

        eventually("not all rows are the newest", lambda: rows() == wanted, pause=0.5)

        def letters() -> dict[bytes, str]:
            found = [json.loads(each) for each in lane.kinesis.read("dead-letters")]
            assert all(each["topic"] == "vehicles" for each in found)
            return {base64.b64decode(each["value"]): each["reason"] for each in found}

        def all_there() -> bool:
            return letters().keys() >= self.bad

        eventually("a bad message is no dead letter", all_there, pause=0.5)
        assert letters() == dict.fromkeys(self.bad, "undecodable")


def test_rows_are_the_newest_whatever_becomes_of_shards_and_workers(lane):
    vehicles = Vehicles()
    for part in range(ROUNDS):
        span = range(part * EVENTS // ROUNDS, (part + 1) * EVENTS // ROUNDS)
        lane.kinesis.put("vehicles", vehicles.entries(span))
        if part == 1:
            lane.kinesis.split("vehicles")
        if part in (0, 1, 3):
            lane.kill_and_restart()
        if part == 2:
            lane.kinesis.merge("vehicles")
    assert len(lane.kinesis.describe("vehicles")["Shards"]) == 2 + 2 + 1
    vehicles.until_done(lane)
    # What it goes on with after its death is not more than what it had not told.
    [worker] = lane.workers
    assert worker.process.poll() is None
    assert "panicked" not in worker.log.read_text(errors="replace")


def shards_of(worker: Running) -> dict[str, int | None]:
    """A worker's shards, and how far each is read."""
    partitions = worker.get("/v1/streams/partitions").json()["partitions"]
    return {each["partition"]: each["progress"] for each in partitions}


def test_two_workers_share_the_shards_and_one_takes_over(pair):
    first, second = pair.workers
    every = {f"vehicles/{shard['ShardId']}" for shard in pair.kinesis.open_shards("vehicles")}
    assert len(every) == 4

    def are_shared() -> bool:
        shares = [shards_of(worker).keys() for worker in pair.workers]
        return [len(share) for share in shares] == [2, 2] and shares[0] | shares[1] == every

    eventually("the shards are not shared", are_shared)
    vehicles = Vehicles()
    half = EVENTS // 2
    pair.kinesis.put("vehicles", vehicles.entries(range(half)))

    def have_read() -> bool:
        read = [shards_of(worker).values() for worker in pair.workers]
        return all(progress is not None for each in read for progress in each)

    # Each has a part in it; then one dies with what is under way.
    eventually("a shard is not read", have_read)
    pair.kinesis.put("vehicles", vehicles.entries(range(half, half + half // 4)))
    first.kill()
    pair.kinesis.put("vehicles", vehicles.entries(range(half + half // 4, EVENTS)))
    eventually("it does not take over", lambda: shards_of(second).keys() == every)
    vehicles.until_done(pair)

    # One that comes is given its share, and nobody reads on in the name of the dead.
    pair.workers[0] = pair.start(2)
    eventually("the shards are not shared anew", are_shared)
    pair.kinesis.put("vehicles", vehicles.entries(range(EVENTS, EVENTS + 500)))
    vehicles.until_done(pair)
    for worker in pair.workers:
        assert worker.process.poll() is None
        assert worker.get("/readyz").status_code == 200
        assert "panicked" not in worker.log.read_text(errors="replace")
