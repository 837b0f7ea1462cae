"""Events of Kafka to rows that can be read: how many, how fresh. `make bench-stream`.

Throughput: a topic of 12 partitions is filled; then a worker with a group of its own reads it from
its beginning, and counts as done when its progress stands at the end. In turns with a consumer of
librdkafka that only counts, in one run. Feast's push path takes batches of the same rows, without
any Kafka.

Freshness: events come at a share of the rate that was measured. Beside them one event in every
tenth of a second is of an entity that a client looks at until it sees the new value: from when
the event was made until it was read.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "integration"))

from streams import Event, Streams, eventually, send  # noqa: E402

PARTITIONS = 12
VIEW = "fleet/vehicle@1"
PROBE = "probe"


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


def vehicle_of(number: int, entities: int) -> str:
    return f"v{number * 7919 % entities}"


class Turn:
    """A worker with a group of its own, on a store of its own."""

    def __init__(self, streams: Streams, number: int) -> None:
        self.streams, self.group = streams, f"turn-{number}"
        streams.serving.stop()
        shutil.rmtree(streams.root / ".trivium/online", ignore_errors=True)
        streams.start_serving()

    def throughput(self, events: int) -> dict:
        """Reads the topic from its beginning."""
        streams = self.streams
        serving = streams.serving.process.pid
        before = processor(serving)
        begun = time.monotonic()
        worker = streams.new_worker(0, group=self.group)
        pid = worker.process.pid
        sizes = []

        def is_done() -> bool:
            sizes.append(resident(pid) + resident(serving))
            # Progress is committed five times a second: so late the end may be seen.
            return streams.is_read(self.group)

        try:
            eventually("the topic is not read", is_done, pause=0.05)
            took = time.monotonic() - begun
            used = processor(pid) + processor(serving) - before
        finally:
            worker.stop()
        quarter = max(1, len(sizes) // 4)
        return {
            "rate": events / took,
            "per_processor": events / used,
            "memory": [max(sizes[:quarter]), max(sizes[-quarter:])],
        }


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


class Load(threading.Thread):
    """Sends so many events a second, evenly."""

    def __init__(self, streams: Streams, rate: float, entities: int) -> None:
        super().__init__(daemon=True)
        self.streams, self.rate, self.entities = streams, rate, entities
        self.ended = threading.Event()
        self.sent = 0

    def run(self) -> None:
        producer = self.streams.producer
        begun = time.monotonic()
        while not self.ended.wait(0.005):
            due = int((time.monotonic() - begun) * self.rate)
            for number in range(self.sent, due):
                each = event(vehicle_of(number, self.entities), number)
                producer.produce(each.topic, key=each.key, value=each.value)
            self.sent = max(self.sent, due)
            producer.poll(0)


def freshness(streams: Streams, rate: float, seconds: float, entities: int) -> dict:
    """Milliseconds until probes can be read, under so many events a second."""
    load = Load(streams, rate, entities)
    load.start()
    body = {"features": [f"{VIEW}:odometer"], "entities": [{"vehicle": PROBE}]}
    waits = []
    until = time.monotonic() + seconds
    number = time.time_ns() // 1_000_000
    # The first seconds are not those of a worker that runs.
    warm = time.monotonic() + min(3.0, seconds / 4)
    while time.monotonic() < until:
        number += 1
        probe = event(PROBE, number)
        made = time.monotonic()
        streams.producer.produce(probe.topic, key=probe.key, value=probe.value)
        streams.producer.poll(0)
        while True:
            answer = streams.serving.post("/v1/features/online/get", body).json()
            if answer["rows"][0]["values"][0] == number:
                break
            assert time.monotonic() - made < 60, "a probe is not read"
            time.sleep(0.001)
        if made > warm:
            waits.append((time.monotonic() - made) * 1000)
        time.sleep(random.uniform(0.05, 0.15))
    load.ended.set()
    load.join()
    streams.producer.flush(60)
    waits.sort()
    return {
        "probes": len(waits),
        "events": load.sent,
        "p50": statistics.median(waits),
        "p99": waits[min(len(waits) - 1, int(len(waits) * 0.99))],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count-only", required=True, help="the consumer that only counts")
    parser.add_argument("--feast", help="Feast's Python; without it Feast is left out")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--feast-rows", type=int, default=20_000)
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
        streams = Streams(Path(folder), [CONFIG], vehicles=PARTITIONS)
        try:
            events = [event(vehicle_of(n, args.entities), n) for n in range(args.events)]
            send(streams.producer, events)
            del events
            ours, floor = [], []
            for number in range(args.rounds):
                floor.append(count_only(args.count_only, streams.kafka.brokers, args.events))
                ours.append(Turn(streams, number).throughput(args.events))

            def median(of: list[dict], what: str) -> float:
                return statistics.median(each[what] for each in of)

            print(f"{'':<44} {'against':<12} {'ours':>12} {'theirs':>14} {'ratio':>9}")
            pushed = None
            if args.feast:
                pushed = feast(args.feast, args.feast_rows, args.entities)
            for what, unit in (("rate", "events/s"), ("per_processor", "events/processor-s")):
                case = f"embedded {args.events} events {args.entities} entities"
                memory = {"memory_mib": ours[-1]["memory"]} if what == "rate" else {}
                turns = [round(each[what]) for each in ours]
                tell(
                    case,
                    "count-only",
                    unit,
                    median(ours, what),
                    median(floor, what),
                    turns=turns,
                    **memory,
                )
                if pushed:
                    tell(case, "feast-push", unit, median(ours, what), pushed[what])
            rate = median(ours, "rate")
            worker = streams.new_worker(0, group="fresh")
            eventually("the topic is not read", lambda: streams.is_read("fresh"), pause=0.2)
            for share in (0.01, 0.5, 0.9):
                seen = freshness(streams, rate * share, args.seconds, args.entities)
                for quantile in ("p50", "p99"):
                    case = f"freshness {quantile} at {share:.0%} of saturation"
                    tell(case, "", "ms", seen[quantile], None, **seen)
                eventually("the load is not read", lambda: streams.is_read("fresh"), pause=0.2)
            worker.stop()
        finally:
            streams.stop()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("a") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
