"""Carryover's end and every kind of window, on Spark and locally, against a loop in Python."""

from __future__ import annotations

import base64
import datetime as dt
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from batch_lane import SPARK, pyspark
from conftest import Project
from sketches import sketch

VIEW = "shop/visitor_daily@1"
DAYS = [f"2024-01-0{number}" for number in range(1, 8)]
# Much shorter than the days that there are.
WINDOWS = (2, 3)
MAX_PERIODS = 2

CONFIG = {
    "namespace": "shop",
    "name": "visitor_daily",
    "version": 1,
    "lane": "batch",
    "description": "What a visitor looked at and paid, by day.",
    "owner": {"team": "growth", "contact": "growth@example.com"},
    "urgency_tier": 2,
    "entities": [{"name": "visitor", "type": "string"}],
    "event_timestamp": "event_ts",
    "features": [
        {"name": "visits", "type": "int64", "description": "Visits."},
        {"name": "paid", "type": "int64", "description": "Visits that were paid for."},
        {"name": "spent", "type": "float64", "description": "Euros."},
        {"name": "least", "type": "float64", "description": "The smallest payment."},
        {"name": "most", "type": "float64", "description": "The largest payment."},
        {"name": "payment", "type": "float64", "description": "Mean of payments."},
        {"name": "pages", "type": "int64", "description": "Pages looked at."},
        {"name": "pages_sketch", "type": "bytes", "description": "The same, as a sketch."},
    ],
    "schedule": {"every": "1d", "start": DAYS[0]},
    "ttl": "30d",
    "carryover": {"mode": "last_value", "max_periods": MAX_PERIODS},
    "rollup": {
        "windows": [f"{days}d" for days in WINDOWS],
        "features": {
            "visits": "sum",
            "paid": "count",
            "spent": "sum",
            "least": "min",
            "most": "max",
            "payment": {"mean": {"sum": "spent", "count": "paid"}},
            "pages": {"approx_distinct": {"sketch": "pages_sketch"}},
        },
    },
    "online": True,
    "quality": [{"check": "unique", "columns": ["visitor"]}],
}
SQL = """
SELECT
  visitor,
  TIMESTAMP '{{ period_end }}' AS event_ts,
  count(*) AS visits,
  count(amount) AS paid,
  sum(amount) AS spent,
  min(amount) AS least,
  max(amount) AS most,
  avg(amount) AS payment,
  count(DISTINCT page) AS pages,
  hll_sketch_agg(page) AS pages_sketch
FROM visits
WHERE day = DATE '{{ ds }}'
GROUP BY visitor
"""
SETTINGS = """
[project]
configs = "configs"
data_dir = ".trivium"
[clock]
data = "2024-01-08T00:00:00Z"
[sources.visits]
format = "csv"
path = "data/visits.csv"
[spark]
submit = "{submit}"
master = "local[2]"
[spark.conf]
"spark.sql.shuffle.partitions" = "1"
"spark.ui.enabled" = "false"
"""

# (day, visitor) -> the visits' payments and pages. Payments are quarters: their sums are exact.
Visits = dict[tuple[int, str], list[tuple[float | None, str]]]


def visits() -> Visits:
    found: Visits = {}
    for day in range(7):
        # Always there, with other payments and pages each day.
        found[(day, "always")] = [
            ((day * 7 + at) / 4 - 3, f"page {day * 3 + at}") for at in range(5)
        ]
        # Comes and never pays, but once.
        found[(day, "miser")] = [(0.25 if day == 3 else None, "page 1"), (None, f"page {day}")]
    # On one day, carried over for two, and gone.
    found[(0, "once")] = [(1.5, "page 1"), (2.5, "page 2"), (None, "page 2")]
    # Gone for longer than is carried, and back.
    found[(0, "returns")] = [(-1.25, "page 7")]
    found[(4, "returns")] = [(8.0, "page 8"), (None, "page 9")]
    # Comes late, and is carried to the end.
    found[(5, "late")] = [(3.0, "page 5")]
    return found


def second_day_again() -> Visits:
    """An old day of which the rows have changed: more, fewer and other ones."""
    changed = visits()
    changed[(1, "always")] = [(-40.0, "page 99"), (40.25, "page 98"), (None, "page 97")]
    changed[(1, "once")] = [(9.5, "page 40")]
    changed[(1, "new")] = [(6.25, "page 1")]
    del changed[(1, "miser")]
    return changed


def write(project: Project, what: Visits) -> None:
    lines = ["day,visitor,amount,page"]
    for (day, visitor), rows in what.items():
        for amount, page in rows:
            lines.append(f"{DAYS[day]},{visitor},{'' if amount is None else amount},{page}")
    (project.root / "data/visits.csv").write_text("\n".join(lines) + "\n")


def expected(what: Visits) -> dict[tuple[int, str], dict]:
    """Every published row, straight from the visits: no partials, nothing merged."""
    rows = {}
    for day in range(len(DAYS)):
        for visitor in {name for _, name in what}:
            back = [n for n in range(MAX_PERIODS + 1) if (day - n, visitor) in what]
            if not back:
                continue
            row = summary(what[(day - back[0], visitor)])
            row["carried_from"] = DAYS[day - back[0]] if back[0] else None
            for length in WINDOWS:
                days = [what.get((day - n, visitor), []) for n in range(length)]
                inside = summary([visit for one in days for visit in one])
                for name in CONFIG["rollup"]["features"]:
                    row[f"{name}_{length}d"] = inside[name]
            rows[(day, visitor)] = row
    return rows


def summary(some: list[tuple[float | None, str]]) -> dict:
    if not some:
        return dict.fromkeys(["visits", "paid", "spent", "least", "most", "payment", "pages"])
    paid = [amount for amount, _ in some if amount is not None]
    pages = frozenset(page for _, page in some)
    return {
        "visits": len(some),
        "paid": len(paid),
        "spent": sum(paid) if paid else None,
        "least": min(paid, default=None),
        "most": max(paid, default=None),
        "payment": sum(paid) / len(paid) if paid else None,
        "pages": len(pages),
        "pages_sketch": sketch(pages),
    }


def pointers(project: Project) -> dict[tuple[str, str], dict]:
    lake = project.root / ".trivium/lake/shop/visitor_daily/v1"
    found = {}
    for layer in ("", "_raw"):
        for day in DAYS:
            found[(layer, day)] = json.loads((lake / layer / f"ds={day}/_current.json").read_text())
    return found


def hashes(project: Project) -> dict[tuple[str, str], str]:
    return {key: pointer["content_hash"] for key, pointer in pointers(project).items()}


def published(project: Project) -> dict[tuple[int, str], dict]:
    lake = project.root / ".trivium/lake/shop/visitor_daily/v1"
    found = {}
    for day, date in enumerate(DAYS):
        pointer = json.loads((lake / f"ds={date}/_current.json").read_text())
        rows = pq.read_table(lake / f"ds={date}" / pointer["run"]).to_pylist()
        assert len(rows) == pointer["rows"]
        for row in rows:
            assert (day, row["visitor"]) not in found, "doubled"
            end = dt.datetime.fromisoformat(f"{date}T00:00:00+00:00") + dt.timedelta(days=1)
            assert row.pop("event_ts") == end
            row.pop("_sequence", None)
            row["pages_sketch"] = base64.b64encode(row["pages_sketch"]).decode()
            if row["carried_from"]:
                row["carried_from"] = row["carried_from"].date().isoformat()
            found[(day, row.pop("visitor"))] = row
    return found


def holds(project: Project, what: Visits) -> None:
    """The partitions are what a loop over the visits gives."""
    ours, theirs = published(project), expected(what)
    assert ours.keys() == theirs.keys()
    for key, row in theirs.items():
        # Quotients alone may differ in their last bit.
        means = {name for name in row if name.startswith("payment")}
        assert {n: v for n, v in ours[key].items() if n not in means} == {
            n: v for n, v in row.items() if n not in means
        }, key
        assert {n: ours[key][n] for n in means} == pytest.approx({n: row[n] for n in means}), key


def online(project: Project, what: Visits, upto: int) -> set[str]:
    """What is served after some days; who is there."""
    names = [name for name in next(iter(expected(what).values())) if name != "carried_from"]
    visitors = sorted({name for _, name in what})
    with project.dev() as server:
        answer = server.post(
            "/v1/features/online/get",
            {
                "features": [f"{VIEW}:{name}" for name in names],
                "entities": [{"visitor": name} for name in visitors],
            },
        )
    assert answer.status_code == 200, answer.text
    there = set()
    for visitor, row in zip(visitors, answer.json()["rows"], strict=True):
        theirs = expected(what).get((upto, visitor))
        if theirs is None:
            assert set(row["statuses"]) == {"NOT_FOUND"}, visitor
            continue
        there.add(visitor)
        assert row["values"] == pytest.approx([theirs[name] for name in names]), visitor
    return there


@pytest.fixture
def projects(tmp_path: Path, monkeypatch) -> tuple[Project, Project]:
    """Two of the same: one for Spark, one for the local engine."""
    monkeypatch.setenv("SPARK_HOME", str(pyspark()))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", str(SPARK / "bin/python"))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    root = tmp_path / "spark"
    (root / "configs/shop").mkdir(parents=True)
    (root / "data").mkdir()
    settings = SETTINGS.format(submit=f"{pyspark()}/bin/spark-submit")
    (root / "trivium.toml").write_text(settings)
    (root / "configs/shop/visitor_daily.v1.json").write_text(json.dumps(CONFIG, indent=2))
    (root / "configs/shop/visitor_daily.v1.sql").write_text(SQL)
    project = Project(root)
    write(project, visits())
    project.ok("apply")
    shutil.copytree(root, tmp_path / "local")
    return project, Project(tmp_path / "local")


def test_windows_and_carryover_on_both_engines(projects):
    spark, local = projects
    whole = ("run", VIEW, "--from", DAYS[0], "--to", DAYS[-1])
    local.ok(*whole)
    holds(local, visits())
    spark.ok(*whole, "--engine", "spark")
    before = pointers(spark)
    assert {pointer["source"]["engine"] for pointer in before.values()} == {"spark"}
    assert hashes(spark) == hashes(local)
    holds(spark, visits())

    # Online, who is carried over is there, and gone once its periods are over.
    spark.ok("materialize", VIEW, "--to", DAYS[2])
    assert "once" in online(spark, visits(), 2)
    spark.ok("materialize", VIEW)
    assert online(spark, visits(), 6) == {"always", "miser", "returns", "late"}

    # An old day anew: what looks back on it follows, and nothing else is touched.
    second = ("run", VIEW, "--from", DAYS[1], "--to", DAYS[1])
    for project in projects:
        write(project, second_day_again())
    local.ok(*second)
    spark.ok(*second, "--engine", "spark")
    after = pointers(spark)
    assert hashes(spark) == hashes(local)
    holds(spark, second_day_again())
    changed = {key for key in after if after[key]["content_hash"] != before[key]["content_hash"]}
    assert changed == {("_raw", DAYS[1]), *(("", day) for day in DAYS[1:4])}
    assert {key for key in after if after[key] != before[key]} == changed
    spark.ok("materialize", VIEW)
    assert online(spark, second_day_again(), 6) == {"always", "miser", "returns", "late"}

    # And as it was: the rows before, to the byte of their hash.
    write(local, visits())
    local.ok(*second)
    assert hashes(local) == {key: one["content_hash"] for key, one in before.items()}
