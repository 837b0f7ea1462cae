"""Definitions change while a worker runs: each takes effect in it, and it is never started anew."""

from __future__ import annotations

import json
import time

import pytest
from streams import Event, Steady, eventually, send

BASE = (int(time.time()) - 3_600) * 1_000_000
SECOND = 1_000_000
TRUCK = "depot/truck@1"


def config(name: str, version: int = 1, features: dict | None = None, **more) -> dict:
    return {
        "namespace": "depot",
        "name": name,
        "version": version,
        "lane": "stream",
        "description": "What is in the yard.",
        "owner": {"team": "depot", "contact": "depot@example.com"},
        "urgency_tier": 2,
        "entities": [{"name": name, "type": "string"}],
        "event_timestamp": "at",
        "features": [
            {"name": feature, "type": of, "description": feature}
            for feature, of in (features or {"load": "int64"}).items()
        ],
        "online": True,
        **more,
    }


def source(topic: str, **columns: str) -> dict:
    placed = {"columns": columns} if columns else {}
    return {"format": "json", "topic": topic, "time_unit": "us", **placed}


def event(topic: str, who: str, at: int, **value) -> Event:
    value |= {"at": BASE + at * SECOND}
    return Event(topic, who.encode(), json.dumps(value).encode())


class Depot(Steady):
    """One worker; topics that no view names yet."""

    def __init__(self, root) -> None:
        super().__init__(root, [], payloads=1, arrivals=3, departures=3, weights=2, computed=2)
        self.worker = self.new_worker(0, '[windows]\nfolder = "windows"')
        self.workers = [self.worker]

    def sources(self) -> set[str]:
        """What the worker reads."""
        return {each["partition"].partition("/")[0] for each in self.worker.partitions()}

    def values(self, view: str, *who: str) -> list:
        key = view.partition("/")[2].partition("@")[0]
        body = {"features": [view], "entities": [{key: each} for each in who]}
        answer = self.serving.post("/v1/features/online/get", body)
        assert answer.status_code in (200, 404), answer.text
        return [row["values"] for row in answer.json().get("rows", [])]

    def until_are(self, view: str, **rows: list) -> None:
        def are() -> bool:
            return self.values(view, *rows) == list(rows.values())

        eventually(f"rows of {view} are not {rows}", are)


@pytest.fixture
def depot(tmp_path):
    depot = Depot(tmp_path)
    try:
        yield depot
    finally:
        depot.stop()


def test_changes_take_effect_in_a_worker_that_runs(depot):
    eventually("no partition has come", lambda: depot.sources() == {"payloads"})

    # A view on a topic that was not read: what was sent before counts, too.
    trucks = [f"t{number}" for number in range(9)]
    send(depot.producer, [event("arrivals", each, 1, truck=each, load=1) for each in trucks])
    depot.apply([config("truck", source=source("arrivals"))])
    depot.until_are(TRUCK, **{each: [1] for each in trucks})
    assert depot.sources() == {"payloads", "arrivals"}

    # A feature more, without a default: it is read of the messages from now on.
    features = {"load": "int64", "driver": "string"}
    depot.apply([config("truck", features=features, source=source("arrivals"))])

    def has_feature() -> bool:
        send(depot.producer, [event("arrivals", "t0", 2, truck="t0", load=2, driver="Ada")])
        return depot.values(TRUCK, "t0") == [[2, "Ada"]]

    eventually("the feature is not read", has_feature)

    # Another topic, in place: the one before it is not read any more.
    depot.apply([config("truck", features=features, source=source("departures"))])
    send(depot.producer, [event("departures", each, 3, truck=each, load=3) for each in trucks])
    depot.until_are(TRUCK, **{each: [3, None] for each in trucks})
    eventually("a topic is read in vain", lambda: "arrivals" not in depot.sources())
    send(depot.producer, [event("arrivals", each, 4, truck=each, load=4) for each in trucks])

    # Another place of a column is another version: refused in place, and beside the old one fine.
    moved = source("departures", load="freight.load")
    with pytest.raises(AssertionError, match="needs a new version"):
        depot.apply([config("truck", features=features, source=moved)])
    depot.apply(
        [
            config("truck", features=features, source=source("departures")),
            config("truck", 2, features=features, source=moved),
        ]
    )
    eventually("the version is not known", lambda: bool(depot.values("depot/truck@2", "t1")))

    def are_both() -> bool:
        value = {"truck": "t1", "load": 5, "freight": {"load": 50}}
        send(depot.producer, [event("departures", "t1", 5, **value)])
        return depot.values("depot/truck@2", "t1") == [[50, None]]

    eventually("the new version has no row", are_both)
    depot.until_are(TRUCK, t1=[5, None], t2=[3, None])

    # Windows, of which none were computed.
    window = {
        "size": "60s",
        "columns": [{"name": "tons", "type": "int64"}],
        "features": {"weighings": "count", "tons": {"sum": "tons"}},
        "payload_topic": "computed",
    }
    scale = config(
        "scale",
        features={"weighings": "int64", "tons": "int64"},
        source=source("weights"),
        window=window,
    )
    weighings = [event("weights", "s", at, scale="s", tons=at) for at in (0, 10, 20, 700)]
    send(depot.producer, weighings[:2])
    depot.apply([scale])
    eventually("its windows are not computed", lambda: {"weights", "computed"} <= depot.sources())
    send(depot.producer, weighings[2:])
    ends = {(BASE // SECOND + at) // 60 for at in (0, 10, 20)}
    last = [at for at in (0, 10, 20) if (BASE // SECOND + at) // 60 == max(ends)]
    depot.until_are("depot/scale@1", s=[len(last), sum(last)])

    # A view that is gone from the files stays what it is, and so do the others.
    (depot.root / "configs/depot/truck.v1.json").unlink()
    depot.project.ok("apply", "--reason", "one file less")
    send(depot.producer, [event("departures", "t3", 6, truck="t3", load=6, freight={"load": 60})])
    depot.until_are(TRUCK, t3=[6, None])
    depot.until_are("depot/truck@2", t3=[60, None])

    # All by the worker that was there. What came to the topic that it left is nowhere.
    assert depot.worker.process.poll() is None
    assert depot.worker.get("/readyz").status_code == 200
    assert depot.values(TRUCK, "t0", "t4") == [[3, None], [3, None]]
    assert not list(depot.kafka.read("dead-letters"))
