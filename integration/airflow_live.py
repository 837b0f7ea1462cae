"""A live Airflow: scheduler, API server and DAG processor, on a PostgreSQL of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from batch_lane import Lane, free_port
from conftest import PATIENCE_SECONDS

POSTGRES = Path("/usr/lib/postgresql/15/bin")


class Postgres:
    """PostgreSQL in a folder; it refuses to run as root, so root runs it as `postgres`."""

    def __init__(self, root: Path) -> None:
        assert (POSTGRES / "initdb").exists(), "PostgreSQL is missing: run scripts/airflow-env live"
        self.root, self.port = root, free_port()
        root.mkdir(parents=True)
        self.user = []
        if os.getuid() == 0:
            # Its folder must be reachable for it, whatever the parents' modes are.
            self.root = Path(f"/var/tmp/trivium-postgres-{os.getpid()}-{self.port}")
            self.root.mkdir(mode=0o700)
            shutil.chown(self.root, "postgres", "postgres")
            self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.data = self.root / "data"
        self._run("initdb", "-D", str(self.data), "-U", "airflow", "--auth=trust", "-N")
        self._run(
            *("pg_ctl", "-D", str(self.data), "-l", str(self.root / "log"), "-w", "start"),
            *("-o", f"-p {self.port} -k {self.root} -c listen_addresses=127.0.0.1 -c fsync=off"),
        )
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "airflow", "airflow")

    def _run(self, program: str, *args: str) -> None:
        subprocess.run(
            [*self.user, str(POSTGRES / program), *args],
            check=True,
            cwd=self.root,
            stdout=subprocess.DEVNULL,
        )

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/airflow"

    def rows(self, sql: str) -> list[list[str]]:
        """What Airflow's own database has."""
        done = subprocess.run(
            [
                *(str(POSTGRES / "psql"), "-h", "127.0.0.1", "-p", str(self.port)),
                *("-U", "airflow", "-d", "airflow", "-At", "-F", "\t", "-c", sql),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def stop(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")
        if self.user:
            shutil.rmtree(self.root, ignore_errors=True)


class Live:
    """Airflow's three processes over a lane's DAGs."""

    def __init__(
        self, lane: Lane, postgres: Postgres, further: dict[str, str] | None = None
    ) -> None:
        self.lane, self.port = lane, free_port()
        # All three must agree on it.
        secret = "integration-test-" + "0123456789abcdef" * 4
        self.environment = lane.environment | {
            "AIRFLOW_HOME": str(lane.root / "airflow-live"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API_AUTH__JWT_SECRET": secret,
            "AIRFLOW__API__SECRET_KEY": secret,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{self.port}",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "2",
            **(further or {}),
        }
        self.processes: list[subprocess.Popen] = []
        self.command("db", "migrate")

    def command(self, *args: str) -> str:
        done = subprocess.run(
            ["airflow", *args],
            env=self.environment,
            cwd=self.lane.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS * 5,
        )
        assert done.returncode == 0, f"airflow {' '.join(args)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self) -> None:
        for args in (["api-server"], ["dag-processor"], ["scheduler", "--skip-serve-logs"]):
            log = (self.lane.root / f"airflow-{args[0]}.log").open("ab")
            self.processes.append(
                subprocess.Popen(
                    ["airflow", *args],
                    env=self.environment,
                    cwd=self.lane.root,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def until(self, what: str, happened, patience: float = PATIENCE_SECONDS * 8) -> object:
        deadline = time.monotonic() + patience
        while True:
            found = happened()
            if found:
                return found
            dead = [process.args for process in self.processes if process.poll() is not None]
            assert not dead, f"{dead} ended; see the logs in {self.lane.root}"
            assert time.monotonic() < deadline, f"no {what}; see the logs in {self.lane.root}"
            time.sleep(1)

    def listed(self, *args: str) -> list[dict]:
        """What a command lists; lines of the log may stand around it."""
        said = self.command(*args, "--output", "json")
        lines = [line for line in said.splitlines() if re.fullmatch(r"\[(\{.*\})?\]", line)]
        assert lines, said
        return json.loads(lines[-1])

    def knows(self, dag: str) -> bool:
        listed = self.listed("dags", "list")
        return any(one["dag_id"] == dag for one in listed)

    def runs(self, dag: str) -> dict[str, str]:
        """State by logical date."""
        listed = self.listed("dags", "list-runs", dag)
        return {run["logical_date"][:10]: run["state"] for run in listed if run["logical_date"]}

    def run_date(self, dag: str, date: str) -> None:
        """Asks for one date, as `airflow backfill` does: beside what the schedule has under way."""

        def created() -> bool:
            try:
                self.command(
                    *("backfill", "create", "--dag-id", dag, "--max-active-runs", "1"),
                    *("--from-date", date, "--to-date", date),
                )
            except AssertionError as error:
                # The scheduler notes some time after the last run that a backfill is over.
                if "AlreadyRunningBackfill" not in str(error):
                    raise
                return False
            return True

        self.until("end of the DAG's last backfill", created)

    def chain_of(self, process: int) -> list[int]:
        """A process of a task and those above it, up to the scheduler: the worker is last."""
        scheduler = self.processes[-1].pid
        found = [process]
        while found[-1] != scheduler:
            assert found[-1] > 1, f"{process} is none of the scheduler's: {found}"
            status = Path(f"/proc/{found[-1]}/stat").read_text()
            # The second field is the command's name, in parentheses, and may have spaces.
            found.append(int(status.rpartition(")")[2].split()[1]))
        return found[:-1]

    def stop(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
