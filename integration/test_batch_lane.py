"""One view's generated DAG in a real Airflow, on a real Spark: two dates, three kills.

`make test-airflow` does the same with every view, every task, a scheduler and a backfill.
"""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
import time

import pytest
from batch_checks import (
    check_amundsen,
    check_lineage,
    check_offline,
    check_online,
    check_record,
    check_table,
    online,
    recorded,
)
from batch_lane import Lane, Metastore, Reader, environments
from conftest import REPO, Project
from reference import VIEWS

VIEW = "carrier_daily"
DATES = ("2013-01-01", "2013-01-02")
# The data clock: the last date is over.
CLOCK = "2013-01-03T00:00:00Z"


@pytest.fixture(scope="module")
def lane(tmp_path_factory):
    environments()
    root = tmp_path_factory.mktemp("batch")
    metastore = Metastore(root / "metastore")
    lane = Lane(root / "project", CLOCK, metastore)
    lane.serve()
    yield lane
    lane.stop()
    metastore.stop()


def test_the_dags_load_without_an_error_or_a_warning(lane):
    dags, errors, warnings, _ = lane.loaded()
    assert dags == [f"flights.{view}.v1" for view in sorted(VIEWS)]
    assert not errors
    assert not warnings


HOSTILE = [
    "'''\"\"\" \\' \\\" \\",
    "}}{{ ti.xcom_pull() }}{% raw %}{# no",
    "line\nline\r\n\ttab \x00 \u202e \u2028 é 漢字 🛩",
    '"); import os; os.system("touch /tmp/trivium-injected") #',
    "a description that ends in.md",
    "{definition} {TRIVIUM} %s $(id) `id`",
]


def test_no_text_of_an_author_becomes_code(tmp_path):
    """Python sees the texts as they are, and ruff finds nothing to format."""
    project = Project.flights(tmp_path / "project")
    config = project.root / "configs/flights/carrier_daily.v1.json"
    generated = []
    for at, text in enumerate(HOSTILE):
        document = json.loads(config.read_text())
        document["description"] = text.replace("\x00", "\x01")
        document["owner"] = {"team": text[:40] or "x", "contact": text[:40] or "x"}
        document["features"][0]["description"] = text
        config.write_text(json.dumps(document))
        done = project.run("dags", "generate", "--out", f"dags{at}")
        if done.returncode != 0:
            # What the config's own rules refuse does not get as far; they say so.
            assert done.returncode == 2, done.stderr
            assert "carrier_daily.v1.json:" in done.stderr
            continue
        source = (project.root / f"dags{at}/flights/carrier_daily_v1.py").read_text()
        tree = ast.parse(source)
        constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert document["description"] in constants
        assert document["owner"]["team"] in constants
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not names & {"os", "system"}
        generated.append(str(project.root / f"dags{at}"))
    assert len(generated) >= 3
    for check in (["format", "--check", "--isolated"], ["check", "--isolated"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, *generated], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_examples_dags_are_what_its_configs_give():
    done = Project(REPO).run("dags", "generate", "--check", "--out", str(REPO / "dags"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_dates_and_three_kills(lane, reference):
    with Reader(lane, VIEW) as reader:
        # Spark's JVM, in the middle of the author's SQL.
        run = lane.start(VIEW, DATES[0])
        run.until_spark_writes("extract")
        run.kill_spark()
        # Serving, while the rows go online: it takes the call, does not answer, and dies.
        run.in_task("publish.update_table")
        lane.server.send_signal(signal.SIGSTOP)
        run.in_task("write_online")
        time.sleep(1)
        lane.kill_server()
        lane.serve()
        said = run.succeeds()
        assert said.count("starting task_id=extract.run_sql ") >= 2, "the killed task ran again"

        # Airflow itself with all that it started, while carryover and rollup run.
        run = lane.start(VIEW, DATES[1])
        run.until_spark_writes("publish")
        run.kill_worker()
        lane.start(VIEW, DATES[1]).succeeds()
    assert reader.reads > 0

    # Against a calculation that shares nothing with the platform.
    check_offline(lane, reference, VIEW, DATES)
    check_online(lane, reference, VIEW, DATES[-1])
    check_table(lane, VIEW, DATES)

    # The registry, OpenLineage and Amundsen were told.
    for date, record in zip(reversed(DATES), recorded(lane, VIEW), strict=True):
        pointer = lane.pointer(VIEW, date)
        assert record["content_hash"] == pointer["content_hash"]
        assert (record["rows"], record["engine"]) == (pointer["rows"], "spark")
    assert check_lineage(lane) == {"START": len(DATES), "COMPLETE": len(DATES)}
    assert (lane.root / "catalog/flights" / VIEW / "v1/current").exists()

    # Once more: nothing changes.
    before = [lane.pointer(VIEW, date) for date in DATES]
    lane.start(VIEW, DATES[0]).succeeds()
    assert [lane.pointer(VIEW, date) for date in DATES] == before


def test_the_catalog_says_what_the_raw_data_say(lane, reference):
    """Statistics of the registry's records and of Amundsen's files, worked out a second time."""
    for date in DATES:
        check_record(lane, reference, VIEW, date)
    check_amundsen(lane, reference, VIEW, DATES[0], DATES[-1])


def test_the_local_engine_gives_the_same_partitions(lane, tmp_path):
    lane.equals_local(VIEW, DATES, tmp_path / "local", CLOCK)


def test_a_failed_check_leaves_everything_as_it_was(lane, reference):
    keys = VIEWS[VIEW].keys
    asked = [dict(zip(keys, entity, strict=True)) for entity in reference.entities(VIEW)]

    def everything() -> tuple:
        pointers = [lane.pointer(VIEW, DATES[1], layer) for layer in ("", "_raw")]
        return *pointers, list(online(lane, VIEW, reference.features(VIEW), asked))

    before = everything()
    config = lane.root / "configs/flights/carrier_daily.v1.json"
    whole = config.read_text()
    document = json.loads(whole)
    document["quality"].append({"check": "between", "column": "flights", "min": 5, "max": 90})
    config.write_text(json.dumps(document))
    try:
        lane.project.ok("dags", "generate", "--out", str(lane.dags))
        run = lane.start(VIEW, DATES[1])
        assert run.ended() != 0
    finally:
        config.write_text(whole)
        lane.project.ok("dags", "generate", "--out", str(lane.dags))
    said = run.text()
    assert "a quality check failed" in said
    assert "between(flights)" in said
    assert "rows), expected values between 5 and 90" in said
    assert said.count("starting task_id=extract.check_quality ") == 1, "another try is in vain"
    assert everything() == before
    assert before[-1]
    alerts = [json.loads(line) for line in (lane.root / "alerts.jsonl").read_text().splitlines()]
    last = alerts[-1]
    assert (last["task_id"], last["owner"], last["urgency_tier"]) == (
        "extract.check_quality",
        "ops-ml",
        2,
    )
    assert "between(flights)" in last["error"]
    events = [json.loads(line) for line in (lane.root / "openlineage.jsonl").open()]
    assert (events[-1]["eventType"], events[-1]["job"]["name"]) == ("FAIL", f"flights/{VIEW}@1")
    said = events[-1]["run"]["facets"]["errorMessage"]["message"]
    assert "between(flights)" in said
