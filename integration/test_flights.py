"""Every value of the example, against a calculation of its own over the raw files."""

from __future__ import annotations

import datetime as dt
import json
import math
import random
import shutil

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Project
from reference import DAY, VIEWS, midnight
from sketches import shown

# The first days (nothing before them), window and carryover edges, both clock changes, the gaps in
# the weather, the last days, and some in between.
CUTOFFS = [
    dt.date(2013, month, day)
    for month, day in [
        (1, 1),
        (1, 2),
        (1, 7),
        (1, 8),
        (1, 30),
        (1, 31),
        (2, 9),
        (3, 10),
        (4, 15),
        (5, 26),
        (6, 30),
        (7, 4),
        (8, 13),
        (9, 2),
        (10, 23),
        (11, 3),
        (11, 29),
        (12, 25),
        (12, 30),
        (12, 31),
    ]
]
ENTITIES_MAX = 500


def equal(ours, theirs) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    if isinstance(theirs, float) or isinstance(ours, float):
        return math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=1e-12)
    return shown(ours) == theirs


@pytest.mark.parametrize("cutoff", CUTOFFS, ids=str)
def test_online_values(year, reference, tmp_path, cutoff):
    """A fresh store, materialized up to a day, holds what that day's end should show."""
    clock = midnight(cutoff + DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    project = Project.flights(tmp_path / "project", clock)
    # The same registry and lake, an online store of its own.
    shutil.copytree(
        year.root / ".trivium",
        project.root / ".trivium",
        ignore=shutil.ignore_patterns("lake", "online"),
    )
    (project.root / ".trivium/lake").symlink_to(year.root / ".trivium/lake")
    project.ok("materialize", "--to", str(cutoff))
    with project.dev() as server:
        for view, shape in VIEWS.items():
            names = reference.features(view)
            entities = reference.entities(view)
            for start in range(0, len(entities), ENTITIES_MAX):
                some = entities[start : start + ENTITIES_MAX]
                check_rows(server, reference, view, shape, names, some, cutoff)


def check_rows(server, reference, view, shape, names, entities, cutoff):
    answer = server.post(
        "/v1/features/online/get",
        {
            "features": [f"flights/{view}@1:{name}" for name in names],
            "entities": [dict(zip(shape.keys, entity, strict=True)) for entity in entities],
        },
    )
    assert answer.status_code == 200, answer.text
    rows = answer.json()["rows"]
    assert len(rows) == len(entities)
    for entity, row in zip(entities, rows, strict=True):
        values, statuses = reference.online(view, entity, cutoff)
        found = dict(zip(names, row["values"], strict=True))
        said = dict(zip(names, row.get("statuses") or ["PRESENT"] * len(names), strict=True))
        assert said == statuses, (view, entity)
        wrong = {n: (found[n], values[n]) for n in names if not equal(found[n], values[n])}
        assert not wrong, (view, entity, wrong)


PAIRS = 1_000


@pytest.fixture(scope="module")
def frame(reference) -> pd.DataFrame:
    """Random flights that were and were not, at random instants, boundaries among them."""
    pick = random.Random(20130101)
    entities = {view: reference.entities(view) for view in VIEWS}
    rows = []
    for number in range(PAIRS):
        carrier, origin = pick.choice(entities["carrier_daily"])
        # Many of these routes do not exist: rows without a match stay.
        dest = pick.choice(entities["route_daily"])[1]
        (tailnum,) = pick.choice(entities["plane_utilisation"])
        day = reference.first + pick.randrange(366) * DAY
        offset = pick.choice(
            [0, 1, -1, pick.randrange(86_400_000_000), 3_600_000_000 * pick.randrange(24)]
        )
        at = midnight(day) + dt.timedelta(microseconds=offset)
        rows.append((number, carrier, origin, dest, tailnum, at))
    # Doubled rows stay doubled, and nothing is sorted.
    rows += pick.sample(rows, 50)
    pick.shuffle(rows)
    columns = ["number", "carrier", "origin", "dest", "tailnum", "event_timestamp"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture(scope="module")
def training(year, frame, tmp_path_factory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("history")
    schema = pa.schema(
        [("number", pa.int64())]
        + [(name, pa.string()) for name in ("carrier", "origin", "dest", "tailnum")]
        + [("event_timestamp", pa.timestamp("us", "UTC"))]
    )
    pq.write_table(pa.Table.from_pandas(frame, schema=schema), folder / "events.parquet")
    year.ok(
        "history",
        "--entities",
        str(folder / "events.parquet"),
        "--features",
        ",".join(f"flights/{view}@1" for view in VIEWS),
        "--out",
        str(folder / "training.parquet"),
    )
    return pq.read_table(folder / "training.parquet")


def column_of(table: pa.Table, view: str, feature: str) -> list:
    """Columns are named as the answer names features; whichever spelling, it must be one."""
    wanted = f"flights/{view}@1:{feature}"
    names = [n for n in table.column_names if n == wanted or n == f"{view}__{feature}"]
    assert len(names) == 1, (wanted, table.column_names)
    return table.column(names[0]).to_pylist()


def test_history_keeps_the_frame(frame, training):
    assert training.column("number").to_pylist() == frame["number"].tolist()
    assert training.column("event_timestamp").to_pylist() == [
        at.to_pydatetime() for at in frame["event_timestamp"]
    ]


@pytest.mark.parametrize("view", VIEWS)
def test_history_brute_force(reference, frame, training, view):
    """A loop over all of an entity's rows, for each row of the frame."""
    shape = VIEWS[view]
    timelines: dict[tuple, list] = {}
    names = reference.features(view)
    ours = {name: column_of(training, view, name) for name in names}
    for index, record in enumerate(frame.itertuples()):
        entity = tuple(getattr(record, key) for key in shape.keys)
        if entity not in timelines:
            timelines[entity] = reference.timeline(view, entity, reference.last)
        at = record.event_timestamp.to_pydatetime()
        best = None
        for row in timelines[entity]:
            if at - shape.ttl <= row.event_time <= at:
                best = row
        for name in names:
            expected = best.values[name] if best else None
            assert equal(ours[name][index], expected), (view, entity, at, name)


@pytest.mark.parametrize("view", VIEWS)
def test_history_asof(reference, frame, training, view):
    """DuckDB's ASOF JOIN over the same published rows."""
    shape = VIEWS[view]
    names = reference.features(view)
    wanted = {tuple(row) for row in frame[list(shape.keys)].itertuples(index=False)}
    published = pd.DataFrame(
        [
            {**dict(zip(shape.keys, entity, strict=True)), "at": row.event_time, **row.values}
            for entity in sorted(wanted)
            for row in reference.timeline(view, entity, reference.last)
        ]
    )
    for name in names:
        # pandas would make floats of integers with nulls.
        if published[name].dtype == object or published[name].isna().any():
            published[name] = published[name].astype(
                "string" if published[name].map(type).eq(str).any() else "Float64"
            )
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    db.register("frame", frame.reset_index(names="place"))
    db.register("published", published)
    keys = " AND ".join(f"f.{key} = p.{key}" for key in shape.keys)
    ttl = f"INTERVAL {int(shape.ttl.total_seconds())} SECOND"
    columns = ", ".join(
        f"CASE WHEN p.at >= f.event_timestamp - {ttl} THEN p.{name} END AS {name}" for name in names
    )
    joined = db.execute(
        f"SELECT f.place, {columns} FROM frame f ASOF LEFT JOIN published p "
        f"ON {keys} AND f.event_timestamp >= p.at ORDER BY f.place"
    ).fetchall()
    assert len(joined) == len(frame)
    for number, name in enumerate(names, start=1):
        for ours, row in zip(column_of(training, view, name), joined, strict=True):
            assert equal(ours, row[number]), (view, name, row[0])


def test_rest_history_is_the_same(year, frame, training):
    """`POST /v1/features/historical` answers what the command writes."""
    some = frame.head(50)
    with year.dev() as server:
        answer = server.post(
            "/v1/features/historical",
            {
                "features": ["flights/carrier_daily@1:flights_7d"],
                "entities": [
                    {
                        "carrier": row.carrier,
                        "origin": row.origin,
                        "event_timestamp": row.event_timestamp.isoformat(),
                    }
                    for row in some.itertuples()
                ],
            },
        )
    assert answer.status_code == 200, answer.text
    expected = column_of(training, "carrier_daily", "flights_7d")[: len(some)]
    rows = [json.loads(json.dumps(row)) for row in answer.json()["rows"]]
    assert [row["values"][-1] for row in rows] == expected
