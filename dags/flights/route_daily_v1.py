# Made by trivium-daggen 0.1.0: change its sources, not this file.
# from: flights/route_daily.v1.json, flights/route_daily.v1.sql
# sources: sha256:c7ef5de81530711e86eff046375d2ec947d89d3f7134732c84369218416138d8
# content: sha256:144a5cef6b56eea94c831667b0aa6707d0a16fd2a52a3cb5fe541cf42cbd46e1
"""flights/route_daily@1: from SQL to the online store, period by period.

Every task can be run again at any time: what is there already is not written again.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pendulum
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.sensors.bash import BashSensor
from airflow.sdk import (
    DAG,
    Asset,
    CronDataIntervalTimetable,
    TaskGroup,
    chain,
    task,
)
from airflow.sdk.exceptions import AirflowFailException

if TYPE_CHECKING:
    from airflow.sdk import Context

VIEW = "flights/route_daily@1"
PUBLISHED = "trivium://flights/route_daily/v1"
OWNER = "ops-ml"
CONTACT = "ops-ml@example.com"
URGENCY_TIER = 2

TRIVIUM = "trivium"
SHIPPED = Path(__file__).resolve().parent.parent / "_trivium"
DEFINITION = SHIPPED / "definitions" / "c7ef5de81530711e"
RUNNER = SHIPPED / "trivium_spark.py"

# The period is the one that the run's logical date lies in.
LOGICAL_DATE = "{{ logical_date.isoformat() }}"
LAST = "{{ (logical_date + macros.timedelta(seconds=2332800)).isoformat() }}"
RUN_ID = "{{ run_id }}"
PERIOD = f"--definition {shlex.quote(str(DEFINITION))} --at '{LOGICAL_DATE}'"
# The folder of the run, which the first task makes and the others pass on.
RUN = "{{ ti.xcom_pull(task_ids='extract.start') }}"

# Characters of an error that an alert passes on.
ERROR_LENGTH = 8_000

# Exit codes of `trivium` that another try would not change.
IN_VAIN = {5: "the rows do not fit the config", 9: "a quality check failed"}


def alert(context: Context) -> None:
    """Tells the owner that a task has failed for good."""
    instance = context["ti"]
    exception = context.get("exception")
    # Of some, the name is all that they say; no program takes a NUL.
    error = str(exception).replace("\0", " ").strip() or type(exception).__name__
    told = {
        "view": VIEW,
        "owner": OWNER,
        "contact": CONTACT,
        "urgency_tier": URGENCY_TIER,
        "dag_id": instance.dag_id,
        "task_id": instance.task_id,
        "run_id": instance.run_id,
        "logical_date": str(context.get("logical_date")),
        "error": error[:ERROR_LENGTH],
        "log_url": instance.log_url,
    }
    subprocess.run(
        [TRIVIUM, "step", "alert"],
        input=json.dumps(told),
        text=True,
        check=False,
    )


def spark(
    task_id: str,
    job: str,
    inlets: list[Asset] | None = None,
) -> SparkSubmitOperator:
    """A task that runs one job of the run on Spark."""
    return SparkSubmitOperator(
        task_id=task_id,
        conn_id="spark_default",
        application=str(RUNNER),
        application_args=[f"{RUN}/{job}/job.json"],
        name=f"trivium {job} {VIEW}",
        pool="default_pool",
        inlets=inlets,
    )


with DAG(
    dag_id="flights.route_daily.v1",
    description="Traffic and delays between two airports, by day.",
    doc_md=(
        "### flights/route_daily@1\n"
        "\n"
        "Traffic and delays between two airports, by day.\n"
        "\n"
        "Owner: ops-ml (ops-ml@example.com), urgency tier 2.\n"
        "\n"
        "| feature | type | description |\n"
        "| --- | --- | --- |\n"
        "| flights | int64 | Scheduled departures, cancelled ones included. |\n"
        "| arrived | int64 | Flights that arrived where they should. |\n"
        "| carriers | int64 | Carriers that fly the route. |\n"
        "| arr_delay_minutes | int64 | Sum of arrival delays, minutes; early arrivals count negative. |\n"
        "| avg_arr_delay | float64 | Mean arrival delay, minutes. |\n"
        "| min_air_time | int64 | Shortest time in the air, minutes. |\n"
        "| late_share | float64 | Share of arrived flights that were more than 15 minutes late. |\n"
        "| distance | int64 | Distance, miles. |\n"
        "| dest_name | string | Name of the airport of arrival. |\n"
        "| flights_7d | int64 |  |\n"
        "| flights_28d | int64 |  |\n"
        "| avg_arr_delay_7d | float64 |  |\n"
        "| avg_arr_delay_28d | float64 |  |\n"
        "| min_air_time_7d | int64 |  |\n"
        "| min_air_time_28d | int64 |  |\n"
    ),
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2013, 1, 1, 0, 0, 0, tz="UTC"),
    catchup=True,
    max_active_runs=1,
    tags=[
        "flights",
        "network",
        "punctuality",
        "team:ops-ml",
        "tier:2",
        "trivium",
    ],
    default_args={
        "owner": OWNER,
        "retries": 3,
        "retry_delay": timedelta(seconds=300),
        # Each wait is about twice as long as the one before.
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(seconds=3600),
        "execution_timeout": timedelta(seconds=14400),
        "priority_weight": 10,
        "weight_rule": "absolute",
        "pool": "default_pool",
        "on_failure_callback": alert,
    },
):
    wait_for_inputs = BashSensor(
        task_id="wait_for_inputs",
        # What is wrong in itself fails at once (2: the definition; 3: a name); all else may pass.
        bash_command=(
            f"{TRIVIUM} step wait {PERIOD}\n"
            'code=$?; case "$code" in 0 | 2 | 3) exit "$code" ;; *) exit 7 ;; esac'
        ),
        retry_exit_code=7,
        mode="reschedule",
        poke_interval=300,
        timeout=86400,
    )

    with TaskGroup(
        "extract",
        tooltip="The author's SQL and its checks, on Spark.",
    ):
        start = BashOperator(
            task_id="start",
            bash_command=f"{TRIVIUM} step start {PERIOD}",
        )
        run_sql = spark("run_sql", "extract")

        @task(task_id="check_quality")
        def check_quality(run: str) -> None:
            """Nothing of the period is published where a check fails."""
            step = subprocess.run(
                [TRIVIUM, "step", "check", "--run", run],
                capture_output=True,
                text=True,
                check=False,
            )
            print(step.stdout, step.stderr, sep="\n")
            if step.returncode in IN_VAIN:
                why = IN_VAIN[step.returncode]
                raise AirflowFailException(f"{why}: {step.stderr.strip()}")
            step.check_returncode()

        checked = check_quality(RUN)
        chain(start, run_sql, checked)

    with TaskGroup(
        "publish",
        tooltip="The offline store: carryover and rollup, one switch a period.",
    ):
        switch_raw = BashOperator(
            task_id="switch_raw",
            bash_command=f'{TRIVIUM} step raw --run "$RUN"',
            env={"RUN": RUN},
            append_env=True,
        )
        carry_and_roll_up = spark("carry_and_roll_up", "publish")
        switch = BashOperator(
            task_id="switch",
            bash_command=f'{TRIVIUM} step publish --run "$RUN"',
            env={"RUN": RUN},
            append_env=True,
            outlets=[Asset(PUBLISHED)],
        )
        chain(switch_raw, carry_and_roll_up, switch)
        published = switch

    write_online = BashOperator(
        task_id="write_online",
        bash_command=f"{TRIVIUM} materialize {VIEW}",
        # Loads of one view take turns.
        max_active_tis_per_dag=1,
    )
    record = BashOperator(
        task_id="record",
        # The period, and those behind it that were published again.
        bash_command=f"{TRIVIUM} record {VIEW} --from '{LOGICAL_DATE}' --to '{LAST}' --run-id \"$RUN_ID\"",
        env={"RUN_ID": RUN_ID},
        append_env=True,
    )
    finish = BashOperator(
        task_id="finish",
        bash_command=f'{TRIVIUM} step finish --run "$RUN"',
        env={"RUN": RUN},
        append_env=True,
    )

    chain(wait_for_inputs, start)
    chain(checked, switch_raw)
    chain(
        published,
        write_online,
        record,
        finish,
    )
