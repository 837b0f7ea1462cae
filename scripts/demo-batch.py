#!/usr/bin/env python
"""The flights' DAGs in an Airflow that one can open and look at: `make demo-batch`.

Starts a Hive metastore, PostgreSQL, Airflow's scheduler and web page, and serving, all of them on
this machine; runs each DAG for three dates of 2013 on Spark; and stays until Ctrl-C. `--once` ends
when the runs have.
"""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO / "integration"), str(REPO / "sdks/python/src")]

from airflow_live import Live, Postgres  # noqa: E402
from batch_lane import Lane, Metastore, environments  # noqa: E402
from conftest import CACHE  # noqa: E402

VIEWS = ("airport_weather", "carrier_daily", "plane_utilisation", "route_daily")
FIRST, LAST = "2013-01-01", "2013-01-03"


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    environments()
    # Also where a shell has started it in the background, and would ignore the first.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    root = CACHE / "demo-batch"
    shutil.rmtree(root, ignore_errors=True)
    say(f"demo-batch: starting in {root}")
    running = []
    try:
        metastore = Metastore(root / "metastore")
        running.append(metastore)
        lane = Lane(root / "project", "2013-01-04T00:00:00Z", metastore)
        running.append(lane)
        lane.serve()
        postgres = Postgres(root / "postgres")
        running.append(postgres)
        live = Live(lane, postgres)
        running.append(live)
        live.start()
        page = f"http://127.0.0.1:{live.port}"
        dags = {view: f"flights.{view}.v1" for view in VIEWS}
        live.until("DAGs", lambda: all(live.knows(dag) for dag in dags.values()))
        say(f"demo-batch: Airflow is at {page} (no password); the DAGs:")
        for dag in dags.values():
            say(f"  {page}/dags/{dag}")
            live.command("dags", "unpause", dag, "-y")
            live.command(
                *("backfill", "create", "--dag-id", dag, "--max-active-runs", "1"),
                *("--from-date", FIRST, "--to-date", LAST),
            )
        say(f"demo-batch: running {FIRST} to {LAST} of each, some ten minutes on two cores;")
        say("  the run of yesterday waits for its input: the data clock stands in 2013")
        for view, dag in dags.items():
            live.until(
                f"end of {dag}",
                lambda dag=dag: all(
                    live.runs(dag).get(date) in ("success", "failed") for date in (FIRST, LAST)
                ),
                patience=3600,
            )
            rows = [lane.pointer(view, date)["rows"] for date in (FIRST, LAST)]
            say(f"  {dag}: {live.runs(dag)}; rows on {FIRST}: {rows[0]}, on {LAST}: {rows[1]}")
        say("demo-batch: what is online:")
        say(
            lane.project.ok(
                *("get", "flights/carrier_daily@1", "--entity", "carrier=AA"),
                *("--entity", "origin=JFK", "--server", f"grpc://127.0.0.1:{lane.grpc_port}"),
            )
        )
        if "--once" not in sys.argv[1:]:
            say(f"demo-batch: {page} stays until Ctrl-C")
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        say("demo-batch: ending")
    finally:
        for part in reversed(running):
            part.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
