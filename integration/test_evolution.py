"""A view changes in place: what was stored stays right, what comes after has the new shape."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from conftest import Project

BATCH = "flights/carrier_daily@1"
DIRECT = "flights/ground_stop@1"
AA_JFK = ("-e", "carrier=AA", "-e", "origin=JFK")
RUN = ("run", BATCH, "--from", "2013-01-01", "--to", "2013-01-05")


@pytest.fixture
def project(tmp_path) -> Project:
    project = Project.flights(tmp_path / "project", "2013-01-06T12:00:00Z")
    edit(project, "carrier_daily", lambda view: feature(view, "destinations").update(type="int32"))
    narrow(project, "count(DISTINCT dest)", "CAST(count(DISTINCT dest) AS INT)")
    edit(
        project, "ground_stop", lambda view: feature(view, "expected_minutes").update(type="int32")
    )
    project.ok("apply", "--reason", "before the change")
    return project


def feature(view: dict, name: str) -> dict:
    return next(feature for feature in view["features"] if feature["name"] == name)


def edit(project: Project, name: str, change) -> None:
    path = project.root / f"configs/flights/{name}.v1.json"
    view = json.loads(path.read_text())
    change(view)
    path.write_text(json.dumps(view, indent=2))


def narrow(project: Project, old: str, new: str) -> None:
    path = project.root / "configs/flights/carrier_daily.v1.sql"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def classes(project: Project) -> dict[str, str]:
    changes = project.json("plan")["changes"]
    return {change["subject"]: change["class"] for change in changes}


def get(project: Project, *args: str) -> dict[str, tuple]:
    """Feature → value and status."""
    answer = project.json("get", *args)
    (row,) = answer["rows"]
    statuses = row.get("statuses") or ["PRESENT"] * len(row["values"])
    names = [name.rpartition(":")[2] for name in answer["features"]]
    return dict(zip(names, zip(row["values"], statuses, strict=True), strict=True))


def test_batch(project):
    project.ok(*RUN)
    project.ok("materialize", BATCH)
    before = get(project, BATCH, *AA_JFK)
    assert before["destinations"][1] == "PRESENT"

    edit(project, "carrier_daily", lambda view: feature(view, "destinations").update(type="int64"))
    edit(
        project,
        "carrier_daily",
        lambda view: view["features"].append(
            {
                "name": "longest_flight",
                "type": "float64",
                "description": "Miles of the longest flight.",
                "default": -1.0,
            }
        ),
    )
    narrow(
        project,
        "AS INT) AS destinations",
        "AS INT) AS destinations, max(distance) AS longest_flight",
    )
    assert classes(project) == {BATCH: "compatible"}
    project.ok("apply", "--reason", "a feature more, a type wider")

    # The stored rows are the old ones: what they never held is unset, so the default.
    old = get(project, BATCH, *AA_JFK)
    assert old.pop("longest_flight") == (-1.0, "NOT_FOUND")
    assert old == before

    # The history as well, from partitions without the column.
    frame = project.root / "events.csv"
    frame.write_text("carrier,origin,event_timestamp\nAA,JFK,2013-01-05T12:00:00Z\n")
    history = ("history", "--entities", str(frame), "--features", BATCH, "--out")
    project.ok(*history, str(project.root / "old.parquet"))
    (row,) = pq.read_table(project.root / "old.parquet").to_pylist()
    assert row["carrier_daily__longest_flight"] is None
    assert row["carrier_daily__flights"] is not None

    # One day anew: old and new partitions side by side.
    project.ok("run", BATCH, "--from", "2013-01-05", "--to", "2013-01-05")
    project.ok("materialize", BATCH)
    new = get(project, BATCH, *AA_JFK)
    miles, status = new.pop("longest_flight")
    assert (status, miles > 100) == ("PRESENT", True)
    assert new == before
    frame.write_text(
        "carrier,origin,event_timestamp\nAA,JFK,2013-01-05T12:00:00Z\nAA,JFK,2013-01-06T12:00:00Z\n"
    )
    project.ok(*history, str(project.root / "new.parquet"))
    rows = pq.read_table(project.root / "new.parquet").to_pylist()
    assert [row["carrier_daily__longest_flight"] for row in rows] == [None, miles]
    again = project.json("materialize", BATCH)["views"][0]
    assert again["rows_written"] == 0, again


def test_direct(project):
    project.ok("put", DIRECT, "-e", "origin=JFK", "--set", "expected_minutes=30")
    too_large = project.run(
        "put", DIRECT, "-e", "origin=LGA", "--set", "expected_minutes=3000000000"
    )
    assert too_large.returncode == 2, too_large.stderr
    edit(
        project, "ground_stop", lambda view: feature(view, "expected_minutes").update(type="int64")
    )
    edit(
        project,
        "ground_stop",
        lambda view: view["features"].insert(
            0, {"name": "authority", "type": "string", "description": "Who said so."}
        ),
    )
    assert classes(project) == {DIRECT: "compatible"}
    project.ok("apply", "--reason", "wider")
    old = get(project, DIRECT, "-e", "origin=JFK")
    assert old["expected_minutes"] == (30, "PRESENT")
    assert old["authority"] == (None, "NOT_FOUND")
    # Merged into a row of the old shape: the others keep their values.
    project.ok("put", DIRECT, "-e", "origin=JFK", "--set", "authority=FAA")
    merged = get(project, DIRECT, "-e", "origin=JFK")
    assert merged["authority"] == ("FAA", "PRESENT")
    assert merged["expected_minutes"] == (30, "PRESENT")
    project.ok("put", DIRECT, "-e", "origin=LGA", "--set", "expected_minutes=3000000000")
    assert get(project, DIRECT, "-e", "origin=LGA")["expected_minutes"][0] == 3000000000


def remove_arrivals(project: Project) -> None:
    def without(view: dict) -> None:
        view["features"].remove(feature(view, "avg_arr_delay"))

    edit(project, "carrier_daily", without)
    narrow(project, ",\n  avg(arr_delay) AS avg_arr_delay", "")


def narrow_flights(project: Project) -> None:
    edit(project, "carrier_daily", lambda view: feature(view, "flights").update(type="int32"))
    narrow(project, "count(*) AS flights", "CAST(count(*) AS INT) AS flights")


def count_destinations(project: Project) -> None:
    edit(
        project,
        "carrier_daily",
        lambda view: view["rollup"]["features"].update(destinations="max"),
    )


def lengthen_ttl(project: Project) -> None:
    edit(project, "carrier_daily", lambda view: view.update(ttl="15d"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (remove_arrivals, "breaking"),
        (count_destinations, "behaviour"),
        (narrow_flights, "breaking"),
        (lengthen_ttl, "behaviour"),
    ],
)
def test_what_readers_would_not_survive_is_refused(project, change, expected):
    """A feature less, a narrower type, another meaning: not in place."""
    accepted = project.json("show", BATCH)
    change(project)
    refused = project.run("apply", "--reason", "no")
    assert refused.returncode == 5, (refused.stdout, refused.stderr)
    assert expected in refused.stdout, refused.stdout
    assert project.json("show", BATCH) == accepted
