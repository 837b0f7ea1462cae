"""What the batch lane has left, held against calculations that share nothing with the platform."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import lineage_schemas
import pytest
import requests
from batch_lane import Lane, hive
from reference import DAY, VIEWS, Reference, midnight
from sketches import shown

# Entities of one request.
ENTITIES_MAX = 500


def same(ours, theirs) -> bool:
    if isinstance(theirs, float) or isinstance(ours, float):
        return ours == pytest.approx(theirs, rel=1e-12, nan_ok=True)
    return shown(ours) == theirs


def check_offline(lane: Lane, reference: Reference, view: str, dates: Sequence[str]) -> None:
    """Every row of these partitions."""
    names, keys = reference.features(view), VIEWS[view].keys
    expected = {}
    for entity in reference.entities(view):
        for date in dates:
            for row in reference.published(view, entity, dt.date.fromisoformat(date)):
                expected[(date, *entity, row.event_time)] = row.values
    seen = {}
    for date in dates:
        rows = lane.rows(view, date).to_pylist()
        for row in rows:
            seen[(date, *(row[key] for key in keys), row["event_ts"])] = row
        assert lane.pointer(view, date)["rows"] == len(rows)
    assert len(seen) == sum(lane.pointer(view, date)["rows"] for date in dates), "nothing doubled"
    assert seen.keys() == expected.keys(), view
    for key, values in expected.items():
        wrong = {n: (seen[key][n], values[n]) for n in names if not same(seen[key][n], values[n])}
        assert not wrong, (view, key, wrong)


def online(lane: Lane, view: str, names: Iterable[str], asked: list[dict], version: int = 1):
    """Each entity's values and statuses, by feature."""
    names = list(names)
    for at in range(0, len(asked), ENTITIES_MAX):
        answer = requests.post(
            f"http://127.0.0.1:{lane.http_port}/v1/features/online/get",
            json={
                "features": [f"flights/{view}@{version}:{name}" for name in names],
                "entities": asked[at : at + ENTITIES_MAX],
            },
            timeout=120,
        )
        assert answer.status_code == 200, answer.text
        for row in answer.json()["rows"]:
            statuses = row.get("statuses") or ["PRESENT"] * len(names)
            yield (
                dict(zip(names, row["values"], strict=True)),
                dict(zip(names, statuses, strict=True)),
            )


def check_online(
    lane: Lane,
    reference: Reference,
    view: str,
    last: str,
    entities: Sequence[tuple] | None = None,
) -> None:
    """Every entity that ever was, or these, after the partitions up to a day."""
    names, keys = reference.features(view), VIEWS[view].keys
    entities = entities or reference.entities(view)
    asked = [dict(zip(keys, entity, strict=True)) for entity in entities]
    there = 0
    seen = online(lane, view, names, asked)
    for entity, (found, said) in zip(entities, seen, strict=True):
        values, statuses = reference.online(view, entity, dt.date.fromisoformat(last))
        assert said == statuses, (view, entity)
        wrong = {n: (found[n], values[n]) for n in names if not same(found[n], values[n])}
        assert not wrong, (view, entity, wrong)
        there += "NOT_FOUND" not in said.values()
    assert there > 0, view


def check_table(lane: Lane, view: str, dates: Sequence[str]) -> None:
    """Any Spark reads the partitions' rows from the table."""
    # Whatever is counted in each view.
    column = "temperature" if view == "airport_weather" else "flights"
    those = ", ".join(f"'{date}'" for date in dates)
    table = hive(
        lane,
        f"SELECT ds, count(*), sum({column}) FROM flights.{view}_v1 "
        f"WHERE ds IN ({those}) GROUP BY ds ORDER BY ds",
    )
    expected = []
    for date in dates:
        rows = lane.rows(view, date)
        values = [value for value in rows.column(column).to_pylist() if value is not None]
        expected.append([date, rows.num_rows, pytest.approx(sum(values))])
    assert table == expected


def published_rows(reference: Reference, view: str, date: str) -> list[dict]:
    """The rows of one partition, keys and times among their columns."""
    day = dt.date.fromisoformat(date)
    return [
        dict(zip(VIEWS[view].keys, entity, strict=True))
        | {"event_ts": row.event_time}
        | {name: row.values[name] for name in reference.features(view)}
        for entity in reference.entities(view)
        for row in reference.published(view, entity, day)
    ]


# Of times and texts neither edges nor means; of keys not even lengths (docs/catalog.md).
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def statistics(rows: list[dict], column: str) -> dict:
    """What docs/catalog.md promises of a column."""
    values = [row[column] for row in rows if row[column] is not None]
    nulls = len(rows) - len(values)
    found = {
        "count": len(rows),
        "null_count": nulls,
        "null_fraction": nulls / len(rows),
        "distinct": {"count": len(set(values)), "exact": True},
    }
    if values and all(type(value) in (int, float) for value in values):
        ordered = sorted(values)
        found |= {"min": ordered[0], "max": ordered[-1], "mean": sum(values) / len(values)}
        # The nearest rank: the least value that this share does not exceed.
        found["quantiles"] = {
            str(share): ordered[max(math.ceil(round(share * 100) * len(ordered) / 100), 1) - 1]
            for share in QUANTILES
        }
    return found


def alike(ours: object, theirs: object) -> bool:
    if isinstance(theirs, dict):
        return isinstance(ours, dict) and all(
            key in ours and alike(ours[key], theirs[key]) for key in theirs
        )
    if isinstance(theirs, (int, float)) and not isinstance(theirs, bool):
        return ours == pytest.approx(theirs, rel=1e-9)
    return ours == theirs


def recorded(lane: Lane, view: str) -> list[dict]:
    """The registry's records of a view's partitions, the newest first."""
    answer = requests.get(
        f"http://127.0.0.1:{lane.http_port}/v1/partitions",
        params={"view": f"flights/{view}@1"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["partitions"]


def check_record(lane: Lane, reference: Reference, view: str, date: str) -> None:
    """The registry's record of a partition: rows, and every column's statistics."""
    start = int(midnight(dt.date.fromisoformat(date)).timestamp()) * 1_000_000
    (record,) = [one for one in recorded(lane, view) if int(one["start_micros"]) == start]
    assert int(record["end_micros"]) == start + int(DAY.total_seconds()) * 1_000_000
    rows = published_rows(reference, view, date)
    assert record["rows"] == len(rows)
    assert record["engine"] == "spark"
    told = {one["column"]: one for one in record["statistics"]}
    columns = [*VIEWS[view].keys, "event_ts", *reference.features(view)]
    assert set(columns) == told.keys() - {"carried_from"}
    numbers = 0
    for column in columns:
        expected = statistics(rows, column)
        assert alike(told[column], expected), (view, date, column, told[column], expected)
        numbers += "mean" in expected
        if column in VIEWS[view].sketches:
            lengths = [len(base64.b64decode(row[column])) for row in rows if row[column]]
            edges = told[column]["lengths"]
            assert (edges["min"], edges["max"]) == (min(lengths), max(lengths))
        elif column in VIEWS[view].keys:
            assert not {"min", "max", "mean", "lengths"} & told[column].keys()
    assert numbers > 0, "no number was compared"


def check_amundsen(lane: Lane, reference: Reference, view: str, first: str, last: str) -> None:
    """The catalog's files: the statistics, of the newest partition; the watermarks."""
    current = lane.root / "catalog/flights" / view / "v1/current"
    stats = read_csv(current / "nodes/Stat_0.csv")
    rows = published_rows(reference, view, last)
    table = f"trivium://lake.flights/{view}_v1"
    seen = {}
    for row in stats:
        column, kind = row["KEY"].removeprefix(f"{table}/").rstrip("/").split("/")
        assert row["stat_type"] == kind
        day = dt.date.fromisoformat(last)
        edges = [str(int(midnight(at).timestamp())) for at in (day, day + DAY)]
        assert [row["start_epoch"], row["end_epoch"]] == edges
        seen[(column, kind)] = row["stat_val"]
    compared = 0
    for column in [*VIEWS[view].keys, *reference.features(view)]:
        expected = statistics(rows, column)
        expected["distinct_count"] = expected["distinct"]["count"]
        expected["median"] = expected.get("quantiles", {}).get("0.5")
        if column in VIEWS[view].keys:
            expected = {name: expected[name] for name in ("count", "null_count", "distinct_count")}
        for kind in ("count", "null_count", "distinct_count", "min", "max", "mean", "median"):
            if expected.get(kind) is None:
                assert (column, kind) not in seen, (view, column, kind)
                continue
            ours = float(seen[(column, kind)])
            assert ours == pytest.approx(expected[kind], rel=1e-9), (view, column, kind)
            compared += 1
    assert compared > len(reference.features(view)) * 3
    marks = {row["KEY"] for row in read_csv(current / "nodes/Watermark_0.csv")}
    assert marks == {f"{table}/low_watermark/", f"{table}/high_watermark/"}
    shown = {row["partition_value"] for row in read_csv(current / "nodes/Watermark_0.csv")}
    assert shown == {first, last}


def read_csv(path: Path) -> list[dict]:
    with path.open(encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))


def check_lineage(lane: Lane) -> dict[str, int]:
    """Every event is what OpenLineage publishes; how many of each kind there are."""
    counts: dict[str, int] = {}
    for line in (lane.root / "openlineage.jsonl").read_text().splitlines():
        event = json.loads(line)
        assert lineage_schemas.errors(event) == [], event
        counts[event["eventType"]] = counts.get(event["eventType"], 0) + 1
    return counts
