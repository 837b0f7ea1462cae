"""The batch lane as it is deployed: a project, its generated DAGs, a real Airflow, a real Spark, a
Hive metastore. Everything is a process on this machine, in folders of the test's own."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from conftest import CACHE, PATIENCE_SECONDS, TRIVIUM, Project

AIRFLOW = CACHE / "venvs/airflow/bin"
SPARK = CACHE / "venvs/spark"

HIVE_SITE = """<?xml version="1.0"?>
<configuration>
  <property><name>hive.async.log.enabled</name><value>false</value></property>
  <property><name>hive.metastore.schema.verification</name><value>false</value></property>
  <property><name>datanucleus.schema.autoCreateAll</name><value>true</value></property>
  <property>
    <name>javax.jdo.option.ConnectionURL</name>
    <value>jdbc:derby:;databaseName={root}/db;create=true</value>
  </property>
  <property><name>hive.metastore.warehouse.dir</name><value>{root}/warehouse</value></property>
</configuration>
"""


def pyspark() -> Path:
    return next(SPARK.glob("lib/python3*/site-packages/pyspark"))


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class Metastore:
    """Hive's metastore, out of the jars that Spark brings along."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True)
        (root / "hive-site.xml").write_text(HIVE_SITE.format(root=root))
        self.port = free_port()
        self.log = root / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "java",
                    "-Xmx256m",
                    "-XX:TieredStopAtLevel=1",
                    "-XX:+UseSerialGC",
                    "-cp",
                    f"{root}:{pyspark()}/jars/*",
                    "org.apache.hadoop.hive.metastore.HiveMetaStore",
                    "-p",
                    str(self.port),
                ],
                cwd=root,
                stdout=log,
                stderr=log,
            )

    def ready(self) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return f"thrift://127.0.0.1:{self.port}"
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.1)

    def is_asked(self) -> bool:
        """Whether anybody has a connection to it at this moment."""
        port = f":{self.port:04X}"
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                _, _, remote, state = line.split()[:4]
                # 01: established.
                if remote.endswith(port) and state == "01":
                    return True
        return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Lane:
    """A project, its DAGs and what runs them."""

    def __init__(self, root: Path, clock: str, metastore: Metastore) -> None:
        self.root = root
        self.metastore = metastore
        self.project = Project.flights(root, clock)
        self.dags = root / "dags"
        self.server: subprocess.Popen | None = None
        self.http_port, self.grpc_port = free_port(), free_port()
        with (root / "trivium.toml").open("a") as file:
            file.write(
                f"""
[spark]
submit = "{pyspark()}/bin/spark-submit"
master = "local[2]"
[spark.conf]
"spark.sql.shuffle.partitions" = "2"
"spark.ui.enabled" = "false"
"spark.hadoop.hive.metastore.uris" = "{metastore.ready()}"
[airflow]
tables = true
catchup = false
catalog = "{root}/catalog"
deadline_callback = "company.late"
[lineage]
openlineage = "file:{root}/openlineage.jsonl"
[alerts]
file = "{root}/alerts.jsonl"
"""
            )
            for tier in range(4):
                file.write(
                    f'[airflow.tiers.{tier}]\nretry_delay = "1s"\nretry_delay_max = "2s"\n'
                    f'wait_interval = "30s"\n'
                )
        # Whoever is told of late runs: all of these are, by years.
        (root / "company.py").write_text(
            "import json\n"
            "def late(**said):\n"
            f"    with open({str(root / 'late.jsonl')!r}, 'a') as file:\n"
            "        said.pop('context', None)\n"
            "        file.write(json.dumps(said) + '\\n')\n"
        )
        self.project.ok("apply", "--reason", "integration test")
        self.project.ok("dags", "generate", "--out", str(self.dags))
        self.environment = os.environ | {
            "AIRFLOW_HOME": str(root / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps(
                {
                    "conn_type": "spark",
                    "host": "local[2]",
                    "extra": {"deploy-mode": "client", "spark-binary": "spark-submit"},
                }
            ),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")])),
            "SPARK_HOME": str(pyspark()),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": str(SPARK / "bin/python"),
            "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "TRIVIUM_PROJECT": str(root / "trivium.toml"),
            "TRIVIUM_SERVER": f"grpc://127.0.0.1:{self.grpc_port}",
            "TRIVIUM_REGISTRY": f"http://127.0.0.1:{self.http_port}",
            "PATH": f"{Path(TRIVIUM).parent}:{AIRFLOW}:{pyspark()}/bin:{os.environ['PATH']}",
        }
        self.airflow("db", "migrate")

    def airflow(self, *args: str) -> str:
        done = subprocess.run(
            ["airflow", *args],
            env=self.environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS * 10,
        )
        assert done.returncode == 0, f"airflow {' '.join(args)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def loaded(self, airflow: Path = AIRFLOW, dags: Path | None = None) -> list:
        """What Airflow makes of DAGs: ids, import errors, warnings about them, seconds of CPU."""
        program = (
            "import warnings, json, sys, time\n"
            "with warnings.catch_warnings(record=True) as caught:\n"
            "    warnings.simplefilter('always')\n"
            "    from airflow.dag_processing.dagbag import DagBag\n"
            "    begun = time.process_time()\n"
            "    bag = DagBag(sys.argv[1])\n"
            "    spent = time.process_time() - begun\n"
            "ours = [str(w.message) for w in caught if w.filename.startswith(sys.argv[1])]\n"
            "found = [sorted(bag.dags), bag.import_errors, ours, spent]\n"
            "print('FOUND ' + json.dumps(found))\n"
        )
        done = subprocess.run(
            [str(airflow / "python"), "-c", program, str(dags or self.dags)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        found = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
        assert found, done.stdout + done.stderr
        return json.loads(found[0].removeprefix("FOUND "))

    def equals_local(self, view: str, dates: Sequence[str], root: Path, clock: str) -> None:
        """The local engine gives the same partitions, raw and published."""
        local = Project.flights(root, clock)
        local.ok("apply", "--reason", "integration test")
        local.ok("run", f"flights/{view}@1", "--from", dates[0], "--to", dates[-1])
        for layer in ("", "_raw"):
            for date in dates:
                folder = root / ".trivium/lake/flights" / view / "v1" / layer / f"ds={date}"
                theirs = json.loads((folder / "_current.json").read_text())
                ours = self.pointer(view, date, layer)
                assert ours["content_hash"] == theirs["content_hash"], (layer, date)
                engines = ours["source"]["engine"], theirs["source"]["engine"]
                assert engines == ("spark", "datafusion")

    def serve(self) -> None:
        """Serving, always at the same addresses."""
        # A process that was just killed may still hold the store's lock for a moment.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            self.server = subprocess.Popen(
                self.project.command(
                    "dev",
                    "--http",
                    str(self.http_port),
                    "--grpc",
                    str(self.grpc_port),
                    "-o",
                    "json",
                ),
                cwd=self.root,
                stdout=subprocess.PIPE,
                stderr=(self.root / "dev.log").open("ab"),
                text=True,
            )
            if self.server.stdout.readline():
                return
            assert time.monotonic() < deadline, (self.root / "dev.log").read_text()
            time.sleep(0.1)

    def kill_server(self) -> None:
        self.server.kill()
        self.server.wait()

    def restarted(self, change) -> None:
        """A change of the project's own files, which a server holds."""
        self.kill_server()
        try:
            change()
        finally:
            self.serve()

    def day_is_over(self, date: str) -> None:
        """Sets the data clock to the end of a day."""
        toml = self.root / "trivium.toml"
        whole = toml.read_text()
        over = (dt.date.fromisoformat(date) + dt.timedelta(days=1)).isoformat()
        changed = re.sub(r'^data = ".*"$', f'data = "{over}T00:00:00Z"', whole, flags=re.M)
        if changed != whole:
            self.restarted(lambda: toml.write_text(changed))

    def publish(self, view: str, dates: Sequence[str]) -> None:
        """What no test has published of these dates, the short way: so that each runs alone."""
        lake = self.root / ".trivium/lake/flights" / view / "v1"
        missing = [date for date in dates if not (lake / f"ds={date}/_current.json").exists()]
        if not missing:
            return
        days = ("--from", missing[0], "--to", missing[-1])
        self.restarted(lambda: self.project.ok("run", f"flights/{view}@1", *days))

    def start(self, view: str, date: str, version: int = 1) -> Run:
        return Run(self, view, date, version)

    def pointer(self, view: str, date: str, layer: str = "") -> dict:
        folder = self.project.root / ".trivium/lake/flights" / view / "v1" / layer / f"ds={date}"
        return json.loads((folder / "_current.json").read_text())

    def rows(self, view: str, date: str):
        folder = self.project.root / ".trivium/lake/flights" / view / "v1" / f"ds={date}"
        pointer = json.loads((folder / "_current.json").read_text())
        return pq.read_table(folder / pointer["run"] / pointer["files"][0])

    def stop(self) -> None:
        if self.server and self.server.poll() is None:
            self.kill_server()


class Run:
    """`airflow dags test` of one date, under way."""

    def __init__(self, lane: Lane, view: str, date: str, version: int) -> None:
        self.lane, self.view, self.date = lane, view, date
        self.log = lane.root / f"{view}-{date}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                lane.project.command(
                    "dags",
                    "test",
                    f"flights/{view}@{version}",
                    "--date",
                    date,
                    "--out",
                    str(lane.dags),
                ),
                env=lane.environment,
                cwd=lane.root,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def until(self, what: str, happened) -> object:
        """Waits until something has happened in the run."""
        deadline = time.monotonic() + PATIENCE_SECONDS * 5
        while True:
            found = happened()
            if found:
                return found
            assert self.process.poll() is None, f"it ended before {what}\n{self.text()[-6000:]}"
            assert time.monotonic() < deadline, f"no {what}\n{self.text()[-6000:]}"
            time.sleep(0.01)

    def in_task(self, task: str) -> None:
        self.until(f"task {task}", lambda: f"starting task_id={task} " in self.text())

    def until_spark_writes(self, job: str) -> None:
        """Until Spark has begun to write what a job gives, and has not ended."""
        runs = self.lane.root / ".trivium/runs/flights" / self.view / "v1" / f"ds={self.date}"
        self.until(f"Spark's {job}", lambda: next(runs.glob(f"*/{job}/attempt-*"), None))

    def until_spark_asks_the_metastore(self) -> None:
        """Until Spark is about to move the table: it alone of all that runs asks the metastore."""
        self.until("question to the metastore", self.lane.metastore.is_asked)

    def kill_spark(self) -> None:
        """kill -9 of the JVM, as the kernel does it when memory is short."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                is_ours = any(str(self.lane.root).encode() in word for word in words)
                if (
                    is_ours
                    and words[0].endswith(b"java")
                    and b"org.apache.spark" in b" ".join(words)
                ):
                    os.kill(int(process.name), signal.SIGKILL)
                    return
        raise AssertionError("no Spark is running")

    def kill_worker(self) -> None:
        """kill -9 of Airflow and all that it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ended(self) -> int:
        return self.process.wait(timeout=PATIENCE_SECONDS * 10)

    def succeeds(self) -> str:
        assert self.ended() == 0, self.text()[-8000:]
        return self.text()


class Reader(threading.Thread):
    """Reads a view's partitions over and over, as any reader may: each must be whole."""

    def __init__(self, lane: Lane, view: str) -> None:
        super().__init__(daemon=True)
        self.folder = lane.root / ".trivium/lake/flights" / view / "v1"
        self.reads, self.wrong, self.done = 0, [], threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            for path in self.folder.glob("ds=*/_current.json"):
                try:
                    pointer = json.loads(path.read_text())
                    rows = pq.read_table(path.parent / pointer["run"] / pointer["files"][0])
                except Exception as error:  # whatever it is, a reader has met it
                    self.wrong.append(f"{path}: {error!r}")
                    continue
                if rows.num_rows != pointer["rows"]:
                    self.wrong.append(f"{path}: {rows.num_rows} rows of {pointer['rows']}")
                self.reads += 1
            time.sleep(0.02)

    def __enter__(self) -> Reader:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.done.set()
        self.join()
        assert not self.wrong, self.wrong[:5]


def hive(lane: Lane, sql: str) -> list[list]:
    """What any Spark with the same metastore answers."""
    program = (
        "import json, sys\n"
        "from pyspark.sql import SparkSession\n"
        "b = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false')\n"
        "b = b.config('spark.sql.session.timeZone', 'UTC')\n"
        "b = b.config('spark.hadoop.hive.metastore.uris', sys.argv[1]).enableHiveSupport()\n"
        "rows = b.getOrCreate().sql(sys.argv[2]).collect()\n"
        "print('ROWS ' + json.dumps([list(row) for row in rows], default=str))\n"
    )
    done = subprocess.run(
        [str(SPARK / "bin/python"), "-c", program, lane.metastore.ready(), sql],
        env=lane.environment,
        cwd=lane.root,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS * 5,
    )
    found = re.search(r"^ROWS (.*)$", done.stdout, re.M)
    assert found, done.stderr[-3000:]
    return json.loads(found[1])


def environments() -> None:
    """Tells who runs the tests by hand what is missing."""
    for path in (AIRFLOW / "airflow", SPARK / "bin/python"):
        assert path.exists(), f"{path} is missing: run scripts/airflow-env"
    assert shutil.which("java"), "Java is missing: run scripts/airflow-env"
