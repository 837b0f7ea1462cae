# Made by trivium-daggen 0.1.0: change its sources, not this file.
# from: flights/plane_utilisation.v1.json, flights/plane_utilisation.v1.sql
# sources: sha256:5fbb77166a77ea6494f909d3421afd0d4cd37d766406558ebc7b0943f777dce3
# content: sha256:960478e8e31f77e7f9f2656e9dd2ed739b6fa1e4b7c47cbdafea8d353e54011f
"""flights/plane_utilisation@1: from SQL to the online store, period by period.

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

VIEW = "flights/plane_utilisation@1"
PUBLISHED = "trivium://flights/plane_utilisation/v1"
OWNER = "fleet"
CONTACT = "fleet@example.com"
URGENCY_TIER = 3

TRIVIUM = "trivium"
SHIPPED = Path(__file__).resolve().parent.parent / "_trivium"
DEFINITION = SHIPPED / "definitions" / "5fbb77166a77ea64"
RUNNER = SHIPPED / "trivium_spark.py"

# The period is the one that the run's logical date lies in.
LOGICAL_DATE = "{{ logical_date.isoformat() }}"
LAST = "{{ (logical_date + macros.timedelta(seconds=518400)).isoformat() }}"
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
    dag_id="flights.plane_utilisation.v1",
    description="How much a plane was used, by day, and what kind of plane it is.",
    doc_md=(
        "### flights/plane_utilisation@1\n"
        "\n"
        "How much a plane was used, by day, and what kind of plane it is.\n"
        "\n"
        "Owner: fleet (fleet@example.com), urgency tier 3.\n"
        "\n"
        "| feature | type | description |\n"
        "| --- | --- | --- |\n"
        "| flights | int64 | Flights that left New York. |\n"
        "| air_minutes | int64 | Time in the air, minutes. |\n"
        "| miles | int64 | Distance flown, miles. |\n"
        "| avg_arr_delay | float64 | Mean arrival delay, minutes. |\n"
        "| last_carrier | string | Carrier that flew it; the last in the alphabet where there were several. |\n"
        "| manufacturer | string | Who built it; null where the registry does not know the plane. |\n"
        "| seats | int64 | Seats; null where the registry does not know the plane. |\n"
        "| age_years | int64 | Years since it was built; null where unknown. |\n"
        "| flights_7d | int64 |  |\n"
        "| air_minutes_7d | int64 |  |\n"
        "| miles_7d | int64 |  |\n"
    ),
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2013, 1, 1, 0, 0, 0, tz="UTC"),
    catchup=True,
    max_active_runs=1,
    tags=[
        "fleet",
        "flights",
        "team:fleet",
        "tier:3",
        "trivium",
    ],
    default_args={
        "owner": OWNER,
        "retries": 2,
        "retry_delay": timedelta(seconds=900),
        # Each wait is about twice as long as the one before.
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(seconds=7200),
        "execution_timeout": timedelta(seconds=28800),
        "priority_weight": 1,
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
        poke_interval=900,
        timeout=172800,
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
