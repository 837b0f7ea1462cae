# Made by trivium-daggen 0.1.0: change its sources, not this file.
# from: flights/airport_weather.v1.json, flights/airport_weather.v1.sql
# sources: sha256:c6fc1fd77371b40002e370e16a6b1e1b6aa765c6ab3827793465bafb27280051
# content: sha256:aa22e8f8f9158347e15b0661a9a5dedc578ccc407b862b74bdf09ef69f6a56d3
"""flights/airport_weather@1: from SQL to the online store, period by period.

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

VIEW = "flights/airport_weather@1"
PUBLISHED = "trivium://flights/airport_weather/v1"
OWNER = "ops-ml"
CONTACT = "ops-ml@example.com"
URGENCY_TIER = 1

TRIVIUM = "trivium"
SHIPPED = Path(__file__).resolve().parent.parent / "_trivium"
DEFINITION = SHIPPED / "definitions" / "c6fc1fd77371b400"
RUNNER = SHIPPED / "trivium_spark.py"

# The period is the one that the run's logical date lies in.
LOGICAL_DATE = "{{ logical_date.isoformat() }}"
LAST = LOGICAL_DATE
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
    dag_id="flights.airport_weather.v1",
    description="Weather at an origin airport, by hour.",
    doc_md=(
        "### flights/airport_weather@1\n"
        "\n"
        "Weather at an origin airport, by hour.\n"
        "\n"
        "Owner: ops-ml (ops-ml@example.com), urgency tier 1.\n"
        "\n"
        "| feature | type | description |\n"
        "| --- | --- | --- |\n"
        "| temperature | float64 | Air temperature, \xb0F. |\n"
        "| dew_point | float64 | Dew point, \xb0F. |\n"
        "| humidity | float64 | Relative humidity, percent. |\n"
        "| wind_direction | int64 | Where the wind comes from, degrees. |\n"
        "| wind_speed | float64 | Wind speed, miles an hour. |\n"
        "| wind_gust | float64 | Gust speed, miles an hour; null without gusts. |\n"
        "| precipitation | float64 | Precipitation in the hour, inches. |\n"
        "| pressure | float64 | Sea level pressure, millibars. |\n"
        "| visibility | float64 | Visibility, miles. |\n"
    ),
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2013, 1, 1, 0, 0, 0, tz="UTC"),
    catchup=True,
    max_active_runs=4,
    tags=[
        "flights",
        "team:ops-ml",
        "tier:1",
        "trivium",
        "weather",
    ],
    default_args={
        "owner": OWNER,
        "retries": 4,
        "retry_delay": timedelta(seconds=60),
        # Each wait is about twice as long as the one before.
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(seconds=1200),
        "execution_timeout": timedelta(seconds=7200),
        "priority_weight": 100,
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
        poke_interval=120,
        timeout=43200,
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
