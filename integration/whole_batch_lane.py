"""The whole of the batch lane, in the real thing: `make test-airflow`.

Every view for three dates; every task of a DAG killed once; a scheduler with a backfill of five
dates; three hundred DAGs. Some twenty minutes.
"""

from __future__ import annotations

import ast
import datetime as dt
import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
import requests
from airflow_live import Live, Postgres
from batch_lane import AIRFLOW, Lane, Metastore, Reader, environments, hive
from conftest import CACHE, Project
from reference import VIEWS
from sketches import shown

CLOCK = "2013-01-09T00:00:00Z"
THREE = ["2013-01-01", "2013-01-02", "2013-01-03"]
FIVE = ["2013-01-04", "2013-01-05", "2013-01-06", "2013-01-07", "2013-01-08"]
TASKS = [
    "wait_for_inputs",
    "extract.start",
    "extract.run_sql",
    "extract.check_quality",
    "publish.switch_raw",
    "publish.carry_and_roll_up",
    "publish.switch",
    "publish.update_table",
    "write_online",
    "tag",
    "record",
    "finish",
]


OLDEST = CACHE / "venvs/airflow-oldest/bin"
# Of some of three hundred DAGs: with cron's timetables and with the other.
SPANS = ["1d", "1h", "15m", "7d", "2d", "10d"]
# The task before.
BEFORE = {"write_online": "publish.update_table", "tag": "write_online", "record": "tag"}


@pytest.fixture(scope="module")
def metastore(tmp_path_factory):
    environments()
    metastore = Metastore(tmp_path_factory.mktemp("metastore") / "hive")
    yield metastore
    metastore.stop()


@pytest.fixture(scope="module")
def lane(tmp_path_factory, metastore):
    lane = Lane(tmp_path_factory.mktemp("whole") / "project", CLOCK, metastore)
    lane.serve()
    yield lane
    lane.stop()


def same(ours, theirs) -> bool:
    if isinstance(theirs, float) or isinstance(ours, float):
        return ours == pytest.approx(theirs, rel=1e-12, nan_ok=True)
    return shown(ours) == theirs


def check_offline(lane: Lane, reference, view: str, dates: list[str]) -> None:
    """Every row of these partitions, against a calculation of its own."""
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
    assert seen.keys() == expected.keys(), view
    for key, values in expected.items():
        wrong = {n: (seen[key][n], values[n]) for n in names if not same(seen[key][n], values[n])}
        assert not wrong, (view, key, wrong)


def check_online(lane: Lane, reference, view: str, last: str) -> None:
    names, keys = reference.features(view), VIEWS[view].keys
    entities = reference.entities(view)
    for at in range(0, len(entities), 500):
        some = entities[at : at + 500]
        answer = requests.post(
            f"http://127.0.0.1:{lane.http_port}/v1/features/online/get",
            json={
                "features": [f"flights/{view}@1:{name}" for name in names],
                "entities": [dict(zip(keys, entity, strict=True)) for entity in some],
            },
            timeout=120,
        ).json()
        for entity, row in zip(some, answer["rows"], strict=True):
            values, _ = reference.online(view, entity, dt.date.fromisoformat(last))
            for name, ours in zip(names, row["values"], strict=True):
                assert same(ours, values[name]), (view, entity, name, ours, values[name])


@pytest.mark.parametrize("view", list(VIEWS))
def test_three_dates(lane, reference, view):
    for date in THREE:
        lane.start(view, date).succeeds()
    check_offline(lane, reference, view, THREE)
    table = hive(lane, f"SELECT ds, count(*) FROM flights.{view}_v1 GROUP BY ds")
    assert {ds: rows for ds, rows in table} == {
        date: lane.pointer(view, date)["rows"] for date in THREE
    }


@pytest.mark.parametrize("view", list(VIEWS))
def test_the_local_engine_gives_the_same_partitions(lane, tmp_path, view):
    lane.equals_local(view, THREE, tmp_path / "local", CLOCK)


@pytest.mark.parametrize("task", ["write_online", "tag", "record"])
def test_serving_is_killed_in_every_task_that_asks_it(lane, reference, task):
    """It takes the call, does not answer, and dies."""
    view, date = "carrier_daily", THREE[-1]
    folder = lane.root / ".trivium/lake/flights" / view / "v1"
    for layer in (folder, folder / "_raw"):
        shutil.rmtree(layer / f"ds={date}", ignore_errors=True)
    run = lane.start(view, date)
    run.in_task(BEFORE[task])
    if task == "write_online":
        lane.server.send_signal(signal.SIGSTOP)
        run.in_task(task)
    else:
        run.in_task(task)
        lane.server.send_signal(signal.SIGSTOP)
    time.sleep(1)
    lane.kill_server()
    lane.serve()
    said = run.succeeds()
    if task == "write_online":
        assert said.count(f"starting task_id={task} ") >= 2
    check_offline(lane, reference, view, THREE)


def test_two_versions_run_side_by_side(lane, reference):
    """The second is its own: DAG, partitions, table, rows online; the first stays as it was."""
    configs = lane.root / "configs/flights"
    document = json.loads((configs / "carrier_daily.v1.json").read_text())
    document["version"] = 2
    (configs / "carrier_daily.v2.json").write_text(json.dumps(document))
    sql = (configs / "carrier_daily.v1.sql").read_text()
    assert sql.count("count(*) AS flights") == 1
    sql = sql.replace("count(*) AS flights", "count(*) + 1000 AS flights")
    (configs / "carrier_daily.v2.sql").write_text(sql)
    before = [lane.pointer("carrier_daily", date) for date in THREE]
    lane.restarted(lambda: lane.project.ok("apply", "--reason", "another version"))
    lane.project.ok("dags", "generate", "--out", str(lane.dags))
    runs = [lane.start("carrier_daily", THREE[0], version) for version in (1, 2)]
    for run in runs:
        run.succeeds()
    assert [lane.pointer("carrier_daily", date) for date in THREE] == before
    table = "SELECT sum(flights), count(*) FROM flights.carrier_daily_v{} WHERE ds = '{}'"
    (first,) = hive(lane, table.format(1, THREE[0]))
    (second,) = hive(lane, table.format(2, THREE[0]))
    assert second == [first[0] + 1000 * first[1], first[1]]
    check_offline(lane, reference, "carrier_daily", THREE)


@pytest.mark.parametrize("task", TASKS)
def test_airflow_is_killed_in_every_task(lane, reference, task):
    """Killed with all that it started, and run again: as if nothing had been."""
    view, date = "carrier_daily", THREE[-1]
    # The date is begun anew, so that there is something to lose.
    folder = lane.root / ".trivium/lake/flights" / view / "v1"
    for layer in (folder, folder / "_raw"):
        shutil.rmtree(layer / f"ds={date}", ignore_errors=True)
    with Reader(lane, view):
        run = lane.start(view, date)
        run.in_task(task)
        if task == "extract.run_sql":
            run.until_spark_writes("extract")
        elif task == "publish.carry_and_roll_up":
            run.until_spark_writes("publish")
        elif task == "publish.update_table":
            time.sleep(5)
        run.kill_worker()
        lane.start(view, date).succeeds()
    check_offline(lane, reference, view, THREE)


@pytest.mark.parametrize(
    "task", ["extract.run_sql", "publish.carry_and_roll_up", "publish.update_table"]
)
def test_spark_is_killed_in_every_job(lane, reference, task):
    view, date = "route_daily", THREE[-1]
    run = lane.start(view, date)
    run.in_task(task)
    time.sleep(4)
    run.kill_spark()
    said = run.succeeds()
    assert said.count(f"starting task_id={task} ") >= 2
    check_offline(lane, reference, view, THREE)


def test_a_scheduler_backfills_five_dates(lane, reference, tmp_path):
    """What a platform runs: nobody touches the DAG but to ask for the dates."""
    # Whoever is to be told of late runs: all of these are, by years.
    late = tmp_path / "late.txt"
    (tmp_path / "company.py").write_text(
        "import json\n"
        "def late(**said):\n"
        f"    with open({str(late)!r}, 'a') as file:\n"
        "        said.pop('context', None)\n"
        "        file.write(json.dumps(said) + '\\n')\n"
    )
    toml = lane.root / "trivium.toml"
    whole = toml.read_text()
    toml.write_text(whole.replace("[airflow]\n", '[airflow]\ndeadline_callback = "company.late"\n'))
    lane.project.ok("dags", "generate", "--out", str(lane.dags))
    postgres = Postgres(tmp_path / "postgres")
    live = Live(lane, postgres, {"PYTHONPATH": str(tmp_path)})
    try:
        live.start()
        dag = "flights.carrier_daily.v1"
        live.until("DAG", lambda: live.knows(dag))
        live.command("dags", "unpause", dag, "-y")
        arguments = ("--from", FIVE[0], "--to", FIVE[-1], "--airflow")
        said = lane.project.run(
            *("backfill", "flights/carrier_daily@1", *arguments), env=live.environment
        )
        assert said.returncode == 0, said.stderr
        with Reader(lane, "carrier_daily"):
            live.until(
                "end of the backfill",
                lambda: all(live.runs(dag).get(date) in ("success", "failed") for date in FIVE),
                patience=1800,
            )
        states = live.runs(dag)
        assert {states[date] for date in FIVE} == {"success"}, states
        live.until("call that the runs are late", late.exists)
        told = json.loads(late.read_text().splitlines()[0])
        assert told["view"] == "flights/carrier_daily@1" and told["owner"] == "ops-ml"
    finally:
        live.stop()
        postgres.stop()
        toml.write_text(whole)
        lane.project.ok("dags", "generate", "--out", str(lane.dags))
    check_offline(lane, reference, "carrier_daily", THREE + FIVE)
    check_online(lane, reference, "carrier_daily", FIVE[-1])


def test_a_table_of_which_a_column_was_widened_is_made_anew(lane):
    """By a run without Airflow, which moves the table as a DAG does."""
    table, date = "flights.carrier_daily_v1", THREE[0]
    lake = lane.root / ".trivium/lake/flights/carrier_daily/v1"
    hive(lane, f"DROP TABLE {table}")
    hive(
        lane,
        f"CREATE EXTERNAL TABLE {table} (carrier STRING, flights INT) "
        f"PARTITIONED BY (ds STRING) STORED AS PARQUET LOCATION 'file://{lake}'",
    )
    arguments = ("flights/carrier_daily@1", "--date", date, "--engine", "spark")
    done = lane.project.run("run", *arguments, env=lane.environment)
    assert done.returncode == 0, done.stderr[-4000:]
    rows = lane.rows("carrier_daily", date)
    (found,) = hive(lane, f"SELECT sum(flights), count(*) FROM {table} WHERE ds = '{date}'")
    assert found == [sum(rows.column("flights").to_pylist()), rows.num_rows]


def test_the_oldest_airflow_runs_them_too(lane):
    """3.2.0, as docs/batch.md says: loaded without a remark, and run."""
    before = [lane.pointer("carrier_daily", date) for date in THREE]
    newest = lane.environment
    lane.environment = newest | {
        "AIRFLOW_HOME": str(lane.root / "airflow-oldest"),
        "PATH": newest["PATH"].replace(str(AIRFLOW), str(OLDEST)),
    }
    try:
        assert lane.airflow("version").split()[-1] == "3.2.0"
        lane.airflow("db", "migrate")
        dags, errors, warnings, _ = lane.loaded(OLDEST)
        assert "flights.carrier_daily.v1" in dags
        assert (errors, warnings) == ({}, [])
        lane.start("carrier_daily", THREE[0]).succeeds()
    finally:
        lane.environment = newest
    assert [lane.pointer("carrier_daily", date) for date in THREE] == before


def test_three_hundred_dags(tmp_path, lane):
    """All parse, for Python, ruff and Airflow; what parsing costs is printed."""
    project = Project.flights(tmp_path / "project")
    configs = project.root / "configs/flights"
    for stem in ("carrier_daily", "route_daily", "plane_utilisation"):
        document = json.loads((configs / f"{stem}.v1.json").read_text())
        for at in range(100):
            document["name"] = f"{stem}_{at}"
            if stem == "plane_utilisation":
                document["schedule"]["every"] = SPANS[at % len(SPANS)]
                document.pop("rollup", None)
            (configs / f"{stem}_{at}.v1.json").write_text(json.dumps(document))
            shutil.copy(configs / f"{stem}.v1.sql", configs / f"{stem}_{at}.v1.sql")
        for ending in ("json", "sql"):
            (configs / f"{stem}.v1.{ending}").unlink()
    for name in (
        "airport_weather.v1.json",
        "airport_weather.v1.sql",
        "delay_model.v1.service.json",
    ):
        (configs / name).unlink()
    project.ok("dags", "generate")
    dags = project.root / "dags"
    files = sorted(dags.glob("flights/*.py"))
    assert len(files) == 300
    for file in files:
        ast.parse(file.read_text())
    for check in (["format", "--check", "--isolated"], ["check", "--isolated"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, str(dags)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    loaded, errors, warnings, seconds = lane.loaded(dags=dags)
    count = len(loaded)
    assert (count, errors, warnings) == (300, {}, [])
    print(f"\nDagBag: {count} files in {seconds:.1f} CPU-s, {seconds / count * 1000:.0f} ms a file")
