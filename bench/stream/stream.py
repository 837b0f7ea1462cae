"""Events of Kafka to rows that can be read: how many, how fresh. `make bench-stream`.

Throughput: a topic of 12 partitions is filled; then a worker with a group of its own reads it from
its beginning, and counts as done when its progress stands at the end: in the process of the store
(`trivium dev --ingest`), and as `trivium-ingest`, which writes through gRPC. In turns with a
consumer of librdkafka that only counts, in one run. Feast's push path takes batches of the same
rows, without any Kafka. A node behind Valkey stands on DynamoDB Local, which bounds it.

Freshness: events come at a share of the rate that was measured. Beside them fifty a second are of
entities that a client looks at until it sees them: from when the event was due until it was read.

Kafka runs as its own scripts start it, not as the tests do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import TopicPartition

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "integration"))

from nodes import Node, Stores  # noqa: E402
from streams import Event, Streams, Worker  # noqa: E402

PARTITIONS = 12
VIEW = "fleet/vehicle@1"
PROBE = "probe"
# A second.
PROBES = 50


def feature(name: str, of: str) -> dict:
    return {"name": name, "type": of, "description": name}


CONFIG = {
    "namespace": "fleet",
    "name": "vehicle",
    "version": 1,
    "lane": "stream",
    "description": "Where a vehicle is, and how it is.",
    "owner": {"team": "fleet", "contact": "fleet@example.com"},
    "urgency_tier": 2,
    "entities": [{"name": "vehicle", "type": "string"}],
    "event_timestamp": "event_ts",
    "source": {
        "format": "json",
        "topic": "vehicles",
        "time_unit": "us",
        "columns": {"event_ts": "at"},
    },
    "features": [
        feature("odometer", "int64"),
        feature("speed", "float64"),
        feature("state", "string"),
        feature("charging", "bool"),
    ],
    "online": True,
}


class Bench(Streams):
    """With a broker that is started as Kafka's own scripts do."""

    BROKER_JAVA = (
        *("java", "-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"),
        *("-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"),
        *("-XX:MaxInlineLevel=15", "-Djava.awt.headless=true", "-cp"),
    )


def processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def event(vehicle: str, number: int) -> Event:
    value = (
        f'{{"vehicle":"{vehicle}","at":{time.time_ns() // 1000},"odometer":{number},'
        f'"speed":{number / 7:.6f},"state":"driving","charging":true}}'
    )
    return Event("vehicles", vehicle.encode(), value.encode())


class Progress:
    """A group's, asked by one client: many would take the processor from those they look at."""

    def __init__(self, streams: Streams, group: str):
        self.ends = streams.kafka.ends("vehicles")
        self.consumer = streams.kafka.consumer(group)

    def is_at_the_end(self) -> bool:
        asked = [TopicPartition("vehicles", number) for number in self.ends]
        found = self.consumer.committed(asked, timeout=60)
        return all(each.offset >= self.ends[each.partition] for each in found)

    def wait(self, seconds: float = 300) -> Iterator[None]:
        """Until the topic is read as far as it was written; gives the word between two looks."""
        until = time.monotonic() + seconds
        while not self.is_at_the_end():
            assert time.monotonic() < until, "the topic is not read"
            time.sleep(0.05)
            yield
        self.consumer.close()


def measured(streams: Streams, group: str, events: int, run: dict[int, float]) -> dict:
    """What reading to the end took; `run` has the processes, and what each had used before."""
    progress = Progress(streams, group)
    begun = time.monotonic()
    # Progress is committed five times a second: so late the end may be seen.
    sizes = [sum(map(resident, run)) for _ in progress.wait()]
    took = time.monotonic() - begun
    used = sum(processor(pid) - before for pid, before in run.items())
    quarter = max(1, len(sizes) // 4)
    return {
        "rate": events / took,
        "per_processor": events / used,
        "memory": [max(sizes[:quarter]), max(sizes[-quarter:])],
    }


def anew(streams: Streams, group: str | None = None) -> None:
    """Serving on an empty store; with a worker of this group in its process, where one is named."""
    streams.serving.stop()
    shutil.rmtree(streams.root / ".trivium/online", ignore_errors=True)
    streams.start_serving(streams.lanes_within(group=group) if group else None)


def in_one_process(streams: Streams, group: str, events: int) -> dict:
    """The topic from its beginning, by `trivium dev --ingest`."""
    anew(streams, group)
    return measured(streams, group, events, {streams.serving.process.pid: 0.0})


def through_grpc(streams: Streams, group: str, events: int) -> dict:
    """The topic from its beginning, by `trivium-ingest`."""
    anew(streams)
    serving = streams.serving.process.pid
    before = processor(serving)
    worker = streams.new_worker(0, group=group)
    try:
        return measured(streams, group, events, {serving: before, worker.process.pid: 0.0})
    finally:
        worker.stop()


def behind_valkey(load: str, root: Path, events: int, entities: int) -> dict:
    """`trivium-ingest` into `trivium-serving` on DynamoDB Local and Valkey."""
    streams = Bench(root, [CONFIG], vehicles=PARTITIONS)
    streams.serving.stop()
    stores = Stores(root)
    try:
        node = Node(streams.project, stores, clock="")
        try:
            Load(load, streams, 0, events, entities).end()
            pid = node.process.pid
            before = processor(pid)
            registry = f"sqlite:{root / '.trivium/registry.db'}"
            worker = Worker(root, 0, streams.kafka, registry, node.grpc, "", "node")
            try:
                return measured(streams, "node", events, {pid: before, worker.process.pid: 0.0})
            finally:
                worker.stop()
        finally:
            node.stop()
    finally:
        stores.stop()
        streams.stop()


def count_only(command: str, brokers: str, events: int) -> dict:
    done = subprocess.run(
        [command, "--brokers", brokers, "--topic", "vehicles", "--messages", str(events)],
        check=True,
        capture_output=True,
        text=True,
    )
    said = json.loads(done.stdout)
    return {"rate": events / said["seconds"], "per_processor": events / said["processor"]}


def feast(python: str, rows: int, entities: int) -> dict:
    with tempfile.TemporaryDirectory(prefix="trivium-bench-feast-") as folder:
        script = Path(__file__).with_name("feast_push.py")
        done = subprocess.run(
            [python, str(script), folder, str(rows), "1000", str(entities)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "FEAST_USAGE": "False"},
        )
    said = json.loads(done.stdout.splitlines()[-1])
    return {"rate": rows / said["seconds"], "per_processor": rows / said["processor"]}


class Load:
    """`stream-load`: so many events a second, evenly; 0 as many as go."""

    def __init__(self, command: str, streams: Streams, rate: float, events: int, entities: int):
        options = {
            "brokers": streams.kafka.brokers,
            "topic": "vehicles",
            "rate": rate,
            "events": events,
            "entities": entities,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        self.process = subprocess.Popen([command, *words], stdout=subprocess.PIPE, text=True)

    def end(self) -> dict:
        """Waits until all is sent."""
        said, _ = self.process.communicate()
        assert self.process.returncode == 0, "the load was not sent"
        return json.loads(said)


def freshness(load: str, streams: Streams, rate: float, seconds: float, entities: int) -> dict:
    """Milliseconds until probes can be read, under so many events a second.

    Probes are sent when they are due, each of an entity of its own, however long others take.
    """
    under = Load(load, streams, rate, int(rate * seconds), entities)
    waits, pending = [], {}
    due = time.monotonic()
    until = due + seconds
    # The first seconds are not those of a worker that runs.
    warm = due + min(3.0, seconds / 4)
    named = time.time_ns() // 1_000_000
    number = 0
    while pending or due < until:
        now = time.monotonic()
        while due <= min(now, until):
            number += 1
            name = f"{PROBE}-{named}-{number}"
            probe = event(name, number)
            streams.producer.produce(probe.topic, key=probe.key, value=probe.value)
            pending[name] = (number, due)
            due += 1 / PROBES
        streams.producer.poll(0)
        names = list(pending)
        body = {
            "features": [f"{VIEW}:odometer"],
            "entities": [{"vehicle": name} for name in names],
        }
        rows = streams.serving.post("/v1/features/online/get", body).json()["rows"] if names else []
        seen = time.monotonic()
        for name, row in zip(names, rows, strict=True):
            sent, made = pending[name]
            if row["values"][0] == sent:
                del pending[name]
                if made > warm:
                    waits.append((seen - made) * 1000)
            else:
                assert seen - made < 60, "a probe is not read"
        time.sleep(0.002)
    sent = under.end()
    streams.producer.flush(60)
    waits.sort()
    return {
        "probes": len(waits),
        "events_s": round(sent["sent"] / sent["seconds"]),
        "p50": statistics.median(waits),
        "p99": waits[min(len(waits) - 1, int(len(waits) * 0.99))],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count-only", required=True, help="the consumer that only counts")
    parser.add_argument("--load", required=True, help="the command that sends events")
    parser.add_argument("--feast", help="Feast's Python; without it Feast is left out")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--feast-rows", type=int, default=20_000)
    parser.add_argument("--valkey-events", type=int, default=20_000, help="0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20, help="of each load of freshness")
    parser.add_argument("--out", type=Path, default=REPO / "bench/out/stream.jsonl")
    args = parser.parse_args()
    lines = []

    def tell(case: str, against: str, unit: str, ours: float, theirs: float | None, **more) -> None:
        ratio = None if theirs is None else ours / theirs
        lines.append(
            {
                "bench": "stream",
                "case": case,
                "against": against,
                "ours": round(ours, 3),
                "theirs": None if theirs is None else round(theirs, 3),
                "unit": unit,
                "ratio": None if ratio is None else round(ratio, 4),
                "load1": round(os.getloadavg()[0], 2),
                **more,
            }
        )
        shown = "" if theirs is None else f"{theirs:>14,.0f} {ratio:>9.3f}"
        print(f"{case:<44} {against:<12} {ours:>12,.0f} {shown:>24} {unit}", flush=True)

    with tempfile.TemporaryDirectory(prefix="trivium-bench-stream-") as folder:
        streams = Bench(Path(folder), [CONFIG], vehicles=PARTITIONS)
        try:
            Load(args.load, streams, 0, args.events, args.entities).end()
            one, two, floor = [], [], []
            for number in range(args.rounds):
                floor.append(count_only(args.count_only, streams.kafka.brokers, args.events))
                one.append(in_one_process(streams, f"one-{number}", args.events))
                two.append(through_grpc(streams, f"two-{number}", args.events))

            def median(of: list[dict], what: str) -> float:
                return statistics.median(each[what] for each in of)

            print(f"{'':<44} {'against':<12} {'ours':>12} {'theirs':>14} {'ratio':>9}")
            pushed = None
            if args.feast:
                pushed = feast(args.feast, args.feast_rows, args.entities)

            def compare(case: str, ours: list[dict]) -> None:
                for what, unit in (("rate", "events/s"), ("per_processor", "events/processor-s")):
                    more = {"memory_mib": ours[-1]["memory"]} if what == "rate" else {}
                    more["turns"] = [round(each[what]) for each in ours]
                    tell(case, "count-only", unit, median(ours, what), median(floor, what), **more)
                    if pushed:
                        tell(case, "feast-push", unit, median(ours, what), pushed[what])

            compare(f"embedded, one process, {args.events} events", one)
            compare(f"embedded, gRPC, {args.events} events", two)
            if args.valkey_events:
                root = Path(folder) / "valkey"
                root.mkdir()
                behind = behind_valkey(args.load, root, args.valkey_events, args.entities)
                compare(f"DynamoDB Local, Valkey, {args.valkey_events} events", [behind])
            for within, turns in (("one process", one), ("gRPC", two)):
                group = "fresh-" + within.replace(" ", "-")
                anew(streams, group if within == "one process" else None)
                worker = None if within == "one process" else streams.new_worker(0, group=group)
                for _ in Progress(streams, group).wait():
                    pass
                for share in (0.01, 0.5, 0.9):
                    rate = median(turns, "rate") * share
                    seen = freshness(args.load, streams, rate, args.seconds, args.entities)
                    for quantile in ("p50", "p99"):
                        case = f"freshness {quantile} at {share:.0%}, {within}"
                        tell(case, "", "ms", seen[quantile], None, **seen)
                    for _ in Progress(streams, group).wait():
                        pass
                if worker:
                    worker.stop()
        finally:
            streams.stop()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("a") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
