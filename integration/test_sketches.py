"""Windows of distinct values, from an author's two files to what is served."""

from __future__ import annotations

import base64
import json

import pyarrow.parquet as pq
import pytest
from conftest import Project
from sketches import sketch

VIEW = "shop/customer_daily@1"
CONFIG = "configs/shop/customer_daily.v1.json"
SQL = "configs/shop/customer_daily.v1.sql"
FIRST, LAST = "2024-01-05", "2024-01-07"
# Day -> the items that customer 1 looked at; of many days more than a sketch keeps one by one.
ITEMS = {
    "2024-01-05": range(300),
    "2024-01-06": range(250, 260),
    "2024-01-07": range(200, 600),
}


@pytest.fixture
def shop(tmp_path) -> Project:
    """The shop of `trivium init`, with the items that customers looked at."""
    Project(tmp_path).ok("init", "shop")
    project = Project(tmp_path / "shop")
    text = (project.root / "trivium.toml").read_text()
    source = '[sources.looks]\nformat = "csv"\npath = "data/looks.csv"\n\n[lint]'
    (project.root / "trivium.toml").write_text(text.replace("[lint]", source))
    path = project.root / CONFIG
    view = json.loads(path.read_text())
    view["features"] = [
        {"name": "items", "type": "int64", "description": "Items looked at."},
        {"name": "items_sketch", "type": "bytes", "description": "The same, as a sketch."},
    ]
    view["rollup"] = {
        "windows": ["2d", "3d"],
        "features": {"items": {"approx_distinct": {"sketch": "items_sketch"}}},
    }
    view["quality"] = []
    path.write_text(json.dumps(view, indent=2))
    author(project, "hll_sketch_agg(item)")
    (project.root / "configs/shop/churn_model.v1.service.json").unlink()
    look(project, ITEMS)
    return project


# The day is written as a text, since `2024-01-05` would be read as a date.
def author(project: Project, made_by: str) -> None:
    (project.root / SQL).write_text(
        "SELECT customer_id, TIMESTAMP '{{ period_end }}' AS event_ts,\n"
        f"  count(DISTINCT item) AS items, {made_by} AS items_sketch\n"
        "FROM looks WHERE day = 'day {{ ds }}' GROUP BY customer_id\n"
    )


def look(project: Project, items: dict[str, range]) -> None:
    lines = ["day,customer_id,item"]
    lines += [f"day {day},1,item{item}" for day in items for item in items[day]]
    # Customer 2 is there on the first day only.
    lines += [f"day {FIRST},2,item{item}" for item in (1, 2, 2)]
    (project.root / "data/looks.csv").write_text("\n".join(lines) + "\n")


def published(project: Project, day: str, layer: str = "") -> dict[int, dict]:
    folder = project.root / ".trivium/lake/shop/customer_daily/v1" / layer / f"ds={day}"
    run = json.loads((folder / "_current.json").read_text())["run"]
    rows = pq.read_table(folder / run).to_pylist()
    return {row["customer_id"]: row for row in rows}


def pointer(project: Project, day: str, layer: str = "") -> dict:
    folder = project.root / ".trivium/lake/shop/customer_daily/v1" / layer / f"ds={day}"
    return json.loads((folder / "_current.json").read_text())


def test_windows_follow_a_rewritten_day(shop):
    shop.ok("apply")
    shop.ok("run", "--from", FIRST, "--to", LAST)
    rows = published(shop, "2024-01-06")
    # Few enough to be exact.
    assert (rows[1]["items"], rows[1]["items_2d"], rows[1]["items_3d"]) == (10, 300, 300)
    assert (rows[2]["items_2d"], rows[2]["items_3d"]) == (2, 2), "carried over"
    assert published(shop, LAST)[2]["items_2d"] is None, "nothing in two days"
    last = published(shop, LAST)[1]
    assert last["items_3d"] == pytest.approx(600, rel=0.05)
    small = frozenset(f"item{item}" for item in ITEMS["2024-01-06"])
    expected = base64.b64decode(sketch(small))
    assert published(shop, "2024-01-06", "_raw")[1]["items_sketch"] == expected

    # Online, as any feature.
    shop.ok("materialize")
    answer = shop.json("get", VIEW, "--entity", "customer_id=1")
    names = [name.rpartition(":")[2] for name in answer["features"]]
    served = dict(zip(names, answer["rows"][0]["values"], strict=True))
    assert served["items_3d"] == last["items_3d"]

    # The same rows in another order: the same partitions, though the engine's bytes differ.
    before = [pointer(shop, day, layer) for day in ITEMS for layer in ("", "_raw")]
    look(shop, {day: items[::-1] for day, items in reversed(ITEMS.items())})
    shop.ok("run", "--from", FIRST, "--to", LAST)
    assert [pointer(shop, day, layer) for day in ITEMS for layer in ("", "_raw")] == before

    # The first day anew: the windows behind it say so.
    look(shop, ITEMS | {FIRST: range(5)})
    shop.ok("run", "--from", FIRST, "--to", FIRST)
    rows = published(shop, "2024-01-06")
    assert (rows[1]["items_2d"], rows[1]["items_3d"]) == (15, 15)
    again = published(shop, LAST)[1]
    assert again["items_2d"] == last["items_2d"]
    assert again["items_3d"] == pytest.approx(405, rel=0.05)


@pytest.mark.parametrize(
    ("made_by", "said"),
    [
        ("CAST('sketch' AS BINARY)", "no sketch of distinct values: 6 bytes"),
        ("CAST('a text of some bytes' AS BINARY)", "no sketch of distinct values: its head"),
        ("X''", "no sketch of distinct values: 0 bytes"),
    ],
)
def test_what_is_no_sketch_is_not_published(shop, made_by, said):
    author(shop, made_by)
    shop.ok("apply")
    done = shop.run("run", "--from", FIRST, "--to", LAST)
    assert done.returncode != 0
    told = " ".join(done.stderr.split())
    for part in (
        VIEW,
        f"ds={FIRST}",
        "column `items_sketch`",
        "customer_id",
        said,
        "hll_sketch_agg",
    ):
        assert part in told, (part, done.stderr)
    assert not (shop.root / ".trivium/lake/shop/customer_daily/v1/_raw" / f"ds={FIRST}").exists()


def test_sizes_that_are_none_and_sizes_that_differ(shop):
    author(shop, "hll_sketch_agg(item, 3)")
    done = shop.run("test", VIEW, "--date", FIRST)
    assert done.returncode != 0
    assert "`lgConfigK` is between 4 and 21, not 3" in " ".join(done.stderr.split()), done.stderr

    # No window of one entity is merged from two sizes.
    sized = (
        "CASE WHEN '{{ ds }}' = '2024-01-06' THEN hll_sketch_agg(item, 10) "
        "ELSE hll_sketch_agg(item) END"
    )
    author(shop, sized)
    shop.ok("apply")
    shop.ok("run", "--from", FIRST, "--to", FIRST)
    done = shop.run("run", "--from", "2024-01-06", "--to", "2024-01-06")
    assert done.returncode != 0
    told = " ".join(done.stderr.split())
    assert "column `items_sketch`" in told, done.stderr
    assert "`lgConfigK` 10, and one of 12 in period ds=2024-01-05" in told, done.stderr


def test_the_registry_asks_for_a_new_version(shop):
    shop.ok("apply")
    author(shop, "hll_sketch_agg(item, 14)")
    done = shop.run("plan", "--output", "json")
    (change,) = json.loads(done.stdout)["changes"]
    assert (change["subject"], change["class"]) == (VIEW, "behaviour")
    view = json.loads((shop.root / CONFIG).read_text())
    view["rollup"]["features"]["items"]["approx_distinct"]["sketch"] = "items"
    (shop.root / CONFIG).write_text(json.dumps(view, indent=2))
    done = shop.run("validate")
    assert done.returncode == 2
    assert "`items` is int64, a sketch is bytes" in " ".join(done.stderr.split()), done.stderr
