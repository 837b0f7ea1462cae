"""The batch lane under a live scheduler: a part of `make test-airflow`.

A backfill of five dates, workers that die in the middle of a task, inputs that are waited for. Some
fifteen minutes. Each test runs alone, too.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
from pathlib import Path

import pytest
from airflow_live import Live, Postgres
from batch_checks import check_offline, check_online, check_table, online
from batch_lane import Lane, Metastore, Reader, environments
from conftest import TRIVIUM

# The data clock: the last date is over.
CLOCK = "2013-01-07T00:00:00Z"
FIVE = ["2013-01-01", "2013-01-02", "2013-01-03", "2013-01-04", "2013-01-05"]
# A date that nothing else runs.
WAITED = "2013-01-06"
ENDED = ("success", "failed")
READER = "busy_carriers"


@pytest.fixture(scope="module")
def lane(tmp_path_factory):
    environments()
    root = tmp_path_factory.mktemp("scheduler")
    metastore = Metastore(root / "metastore")
    lane = Lane(root / "project", CLOCK, metastore)
    toml = lane.root / "trivium.toml"
    # A view that reads a view, and a file that says of itself when it is there.
    ready = lane.root / "arrived/{{ ds }}/_SUCCESS"
    text = toml.read_text().replace(
        "[sources.airlines]\n", f'[sources.airlines]\nready = "{ready}"\n'
    )
    toml.write_text(text + '\n[sources.daily]\nview = "flights/carrier_daily@1"\n')
    config = {
        "namespace": "flights",
        "name": READER,
        "version": 1,
        "lane": "batch",
        "description": "Carriers over all airports, by their names.",
        "owner": {"team": "ops", "contact": "ops@example.com"},
        "urgency_tier": 1,
        "entities": [{"name": "carrier", "type": "string"}],
        "event_timestamp": "event_ts",
        "features": [
            {"name": "departures", "type": "int64", "description": "Departures of the day."},
            {"name": "carrier_name", "type": "string", "description": "Its name."},
        ],
        "schedule": {"every": "1d", "start": "2013-01-01"},
        "online": True,
    }
    folder = lane.root / "configs/flights"
    (folder / f"{READER}.v1.json").write_text(json.dumps(config, indent=2))
    (folder / f"{READER}.v1.sql").write_text(
        "SELECT d.carrier, TIMESTAMP '{{ period_end }}' AS event_ts,\n"
        "  sum(d.flights) AS departures, max(a.name) AS carrier_name\n"
        "FROM daily d LEFT JOIN airlines a ON a.carrier = d.carrier\n"
        "WHERE d.event_ts = TIMESTAMP '{{ period_end }}'\n"
        "GROUP BY d.carrier\n"
    )
    lane.project.ok("apply", "--reason", "a view that reads a view")
    lane.project.ok("dags", "generate", "--out", str(lane.dags))
    lane.serve()
    yield lane
    lane.stop()
    metastore.stop()


@pytest.fixture(scope="module")
def live(lane):
    postgres = Postgres(lane.root / "postgres")
    live = Live(lane, postgres)
    live.postgres = postgres
    try:
        live.start()
        yield live
    finally:
        live.stop()
        postgres.stop()


def unpaused(live: Live, view: str) -> str:
    dag = f"flights.{view}.v1"
    live.until("DAG", lambda: live.knows(dag))
    live.command("dags", "unpause", dag, "-y")
    return dag


def instance(live: Live, dag: str, date: str, task: str) -> tuple[str, int]:
    """The state and the number of tries of a task, as Airflow's database has them."""
    found = live.postgres.rows(
        "SELECT ti.state, ti.try_number FROM task_instance ti "
        "JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id "
        f"WHERE ti.dag_id = '{dag}' AND ti.task_id = '{task}' "
        f"AND dr.logical_date = '{date} 00:00:00+00'"
    )
    return (found[0][0], int(found[0][1])) if found else ("", 0)


def ended(live: Live, dag: str, date: str, patience: float = 900) -> None:
    """Waits for the end of a run, which must be a good one."""

    def state() -> str:
        found = live.postgres.rows(
            f"SELECT state FROM dag_run WHERE dag_id = '{dag}' "
            f"AND logical_date = '{date} 00:00:00+00'"
        )
        return found[0][0] if found and found[0][0] in ENDED else ""

    assert live.until(f"end of {dag} {date}", state, patience=patience) == "success"


def test_a_scheduler_backfills_five_dates(lane, live, reference):
    """What a platform runs: nobody touches the DAG but to ask for the dates."""
    dag = unpaused(live, "carrier_daily")
    arguments = ("--from", FIVE[0], "--to", FIVE[-1], "--airflow")
    said = lane.project.run(
        *("backfill", "flights/carrier_daily@1", *arguments), env=live.environment
    )
    assert said.returncode == 0, said.stderr
    with Reader(lane, "carrier_daily") as reader:
        for date in FIVE:
            ended(live, dag, date, patience=1800)
    assert reader.reads > 0
    late = lane.root / "late.jsonl"
    live.until("call that the runs are late", late.exists)
    told = json.loads(late.read_text().splitlines()[0])
    assert told["view"] == "flights/carrier_daily@1" and told["owner"] == "ops-ml"
    check_offline(lane, reference, "carrier_daily", FIVE)
    check_online(lane, reference, "carrier_daily", FIVE[-1])
    check_table(lane, "carrier_daily", FIVE)


def processes(lane: Lane, *words: str) -> list[int]:
    """Those of the lane whose arguments have all of these words."""
    found, ours = [], str(lane.root).encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if all(word in line for word in words) and ours in (process / "environ").read_bytes():
                found.append(int(process.name))
    return sorted(found)


# Task -> its date.
WORKERS = {"extract.run_sql": FIVE[0], "write_online": FIVE[1]}


@pytest.mark.parametrize("task", list(WORKERS))
def test_a_worker_dies_in_the_middle_of_a_task(lane, live, reference, task):
    """kill -9 of the executor's process: Airflow misses its heartbeat, and tries again."""
    view, date = "route_daily", WORKERS[task]
    dates = FIVE[: FIVE.index(date) + 1]
    lane.publish(view, dates[:-1])
    dag = unpaused(live, view)
    state = lane.root / ".trivium/runs/flights" / view / "v1" / f"ds={date}"
    frozen = lane.server
    live.run_date(dag, date)
    with Reader(lane, view) as reader:
        if task == "write_online":
            # Serving takes the call and does not answer: the task is under way until it is killed.
            live.until(
                "task before", lambda: instance(live, dag, date, "publish.switch")[0] == "success"
            )
            frozen.send_signal(signal.SIGSTOP)
            words = (
                "materialize",
                f"flights/{view}@1",
                Path(TRIVIUM).name,
            )
            try:
                found = live.until("loader", lambda: processes(lane, *words))
                # The shell that BashOperator starts has these words, too: the innermost counts.
                chain = max((live.chain_of(one) for one in found), key=len)
                # All of it: the worker, and what it started.
                for process in reversed(chain):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
            finally:
                frozen.send_signal(signal.SIGCONT)
        else:
            live.until("Spark's attempt", lambda: next(state.glob("*/extract/attempt-*"), None))
            found = processes(lane, "org.apache.spark", f"{state}/", "/extract/job.json")
            chain = max((live.chain_of(one) for one in found), key=len)
            spark = [one for one in chain if one in found]
            # Only the worker and the task's own process: Spark is left without anybody, and writes
            # on beside the one that the next try starts.
            for process in reversed(chain):
                if process not in spark:
                    os.kill(process, signal.SIGKILL)
        # The worker and the task's process at least, beside what was run.
        assert len(chain) >= 3, chain
        ended(live, dag, date)
    assert reader.reads > 0
    assert instance(live, dag, date, task) == ("success", 2)
    check_offline(lane, reference, view, dates)
    check_online(lane, reference, view, date)


def test_inputs_that_come_late_are_waited_for(lane, live, reference):
    """Of a view that reads a view, and of a source with `ready`: each holds the run up alone."""
    found, errors, warnings, _ = lane.loaded()
    dag = f"flights.{READER}.v1"
    assert dag in found
    assert (errors, warnings) == ({}, [])
    unpaused(live, READER)
    live.run_date(dag, WAITED)

    def looks() -> int:
        """How often it has looked in vain."""
        ((count,),) = live.postgres.rows(
            "SELECT count(*) FROM task_reschedule tr JOIN task_instance ti ON ti.id = tr.ti_id "
            "JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id "
            f"WHERE ti.dag_id = '{dag}' AND ti.task_id = 'wait_for_inputs' "
            f"AND dr.logical_date = '{WAITED} 00:00:00+00'"
        )
        return int(count)

    def logged() -> str:
        logs = (lane.root / "airflow-live/logs").glob(f"dag_id={dag}/*/task_id=wait_for_inputs/*")
        return "\n".join(log.read_text() for log in logs)

    folder = lane.root / ".trivium/lake/flights" / READER / "v1"
    live.until("first look", looks)
    assert f"flights/carrier_daily@1 ds={WAITED}" in logged()
    lane.publish("carrier_daily", [WAITED])
    before = looks()
    # The first may have been under way while the view was published.
    live.until("look for the file", lambda: looks() >= before + 2)
    assert f"arrived/{WAITED}/_SUCCESS" in logged()
    assert not folder.exists(), "run before its input was there"
    assert instance(live, dag, WAITED, "extract.start")[1] == 0
    arrived = lane.root / f"arrived/{WAITED}/_SUCCESS"
    arrived.parent.mkdir(parents=True)
    arrived.touch()
    ended(live, dag, WAITED)
    assert instance(live, dag, WAITED, "wait_for_inputs") == ("success", 1)

    day, expected = dt.date.fromisoformat(WAITED), {}
    for (carrier, _), on in reference.raw["carrier_daily"].items():
        for row in on.get(day, []):
            expected[carrier] = expected.get(carrier, 0) + row.values["flights"]
    rows = lane.rows(READER, WAITED).to_pylist()
    assert {row["carrier"]: row["departures"] for row in rows} == expected
    assert len(rows) == len(expected) > 5
    names = {row["carrier"]: row["carrier_name"] for row in rows}
    assert names["AA"] == "American Airlines Inc."
    asked = [{"carrier": carrier} for carrier in expected]
    served = [values for values, _ in online(lane, READER, ["departures"], asked)]
    assert served == [{"departures": departures} for departures in expected.values()]
