"""Backfills: what the plan says is what happens, and kill -9 at any moment costs nothing."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from conftest import PATIENCE_SECONDS, Project
from test_author import tree

VIEW = "shop/customer_daily@1"
FIRST = datetime.date(2024, 1, 1)
DAYS = 240


def day(number: int) -> str:
    return (FIRST + datetime.timedelta(days=number)).isoformat()


def orders(days: int, extra: str = "") -> str:
    """Customer n orders on every day that n divides."""
    lines = ["customer_id,ordered_at,amount,returned"]
    for number in range(days):
        for customer in range(1, 8):
            if number % customer == 0:
                lines.append(f"{customer},{day(number)}T10:00:00Z,{customer + 0.5},false")
    return "\n".join(lines) + "\n" + extra


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Project:
    """A shop of many days, applied; nothing is run."""
    root = tmp_path_factory.mktemp("backfill")
    Project(root).ok("init", "shop")
    project = Project(root / "shop")
    (project.root / "data/orders.csv").write_text(orders(DAYS))
    path = project.root / "trivium.toml"
    text = path.read_text().replace("2024-01-08T00:00:00Z", f"{day(DAYS)}T00:00:00Z")
    assert day(DAYS) in text
    path.write_text(text)
    project.ok("apply")
    project.ok("ls")
    return project


@pytest.fixture
def project(template, tmp_path) -> Project:
    shutil.copytree(template.root, tmp_path / "shop")
    return Project(tmp_path / "shop")


def backfill(first: int, last: int, *args: str) -> tuple[str, ...]:
    return ("backfill", VIEW, "--from", day(first), "--to", day(last), *args)


def pointers(project: Project) -> dict[str, tuple]:
    lake = project.root / ".trivium/lake"
    found = {}
    for path in lake.rglob("_current.json"):
        pointer = json.loads(path.read_text())
        found[str(path.parent.relative_to(lake))] = (pointer["content_hash"], pointer["rows"])
    return found


def journal(project: Project) -> Path:
    (path,) = (project.root / ".trivium/backfills").rglob("*.jsonl")
    return path


def noted(project: Project) -> list[str]:
    try:
        text = journal(project).read_text()
    except (FileNotFoundError, ValueError):
        return []
    whole = text[: text.rfind("\n") + 1]
    return [line["period"] for line in map(json.loads, whole.splitlines()) if "period" in line]


def partitions(project: Project) -> int:
    return sum(1 for _ in (project.root / ".trivium/lake").rglob("_current.json"))


def kill_when(project: Project, args: tuple[str, ...], is_due) -> int:
    """Starts the command and kills it (-9) as soon as it is due; gives its exit code."""
    process = subprocess.Popen(
        project.command(*args),
        cwd=project.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and not is_due():
        assert time.monotonic() < deadline, "it does not come along"
        time.sleep(0.001)
    process.kill()
    return process.wait()


def test_a_dry_run_tells_and_changes_nothing(project):
    project.ok("run", VIEW, "--from", day(0), "--to", day(9))
    project.ok("run", VIEW, "--from", day(20), "--to", day(59))
    before = tree(project.root)
    plan = project.json(*backfill(5, 19, "--dry-run"))["plan"]
    assert plan["periods"] == 15
    assert plan["published"] == [f"ds={day(n)}" for n in range(5, 10)]
    assert plan["missing"] == [f"ds={day(n)}" for n in range(10, 20)]
    # Carried for 30 periods, longer than the window of 7 days.
    assert plan["behind"] == [f"ds={day(n)}" for n in range(20, 50)]
    assert plan["read_by"] == {"services": ["shop/churn_model@1"], "views": []}
    assert (plan["online"], plan["to_load"], plan["finished"]) == (True, 45, [])
    assert 15 * 1 <= plan["estimated_rows"] <= 15 * 7
    text = project.ok(*backfill(5, 19, "--dry-run"))
    assert "shop/churn_model@1" in text
    assert "looked back on it" in text
    assert tree(project.root) == before


def test_it_does_what_the_plan_said(project):
    project.ok("run", VIEW, "--from", day(0), "--to", day(9))
    project.ok("run", VIEW, "--from", day(20), "--to", day(59))
    before = pointers(project)
    answer = project.json(*backfill(5, 19, "--parallel", "3", "--materialize"))
    plan, ran = answer["plan"], answer["ran"]
    assert ran["periods"] == 15
    after = pointers(project)
    changed = {name for name in after if after[name] != before.get(name)}
    published = {name.rsplit("/", 1)[1] for name in changed if "_raw" not in name}
    assert published <= {*plan["missing"], *plan["behind"], *plan["published"]}
    assert {*plan["missing"]} <= published
    assert published & {*plan["behind"]}, "nothing behind the range was published anew"
    # The same as all at once, from the first day to the last.
    other = project.root.parent / "other"
    shutil.copytree(project.root, other)
    shutil.rmtree(other / ".trivium/lake")
    whole = Project(other)
    whole.ok("run", VIEW, "--from", day(0), "--to", day(59))
    assert pointers(whole) == after
    loaded = answer["materialized"][0]
    assert (loaded["partitions"], loaded["rows_written"] >= 7) == (60, True)
    assert project.json("materialize", VIEW)["views"][0]["rows_written"] == 0


def test_what_is_finished_is_not_run_again(project):
    first = project.json(*backfill(0, 29))
    assert first["ran"]["periods"] == 30
    before = tree(project.root)
    again = project.json(*backfill(0, 29))
    assert (again["ran"]["periods"], len(again["plan"]["finished"])) == (0, 30)
    assert "nothing to run" in project.ok(*backfill(0, 29))
    assert tree(project.root) == before
    assert project.json(*backfill(0, 29, "--again"))["ran"]["periods"] == 30
    # A partition that another run replaced is not this definition's any more.
    with (project.root / "data/orders.csv").open("a") as file:
        file.write(f"9,{day(3)}T11:00:00Z,1.0,false\n")
    project.ok("run", VIEW, "--from", day(3), "--to", day(3))
    plan = project.json(*backfill(0, 29, "--dry-run"))["plan"]
    assert len(plan["finished"]) == 29
    assert f"ds={day(3)}" not in plan["finished"]
    assert project.json(*backfill(0, 29))["ran"]["periods"] == 1


def test_another_definition_begins_anew(project):
    project.ok(*backfill(0, 9))
    path = project.root / "configs/shop/customer_daily.v1.json"
    path.write_text(path.read_text().replace('"Orders placed."', '"Orders of the day."'))
    project.ok("apply", "--reason", "words")
    assert len(project.json(*backfill(0, 9, "--dry-run"))["plan"]["finished"]) == 10
    text = path.read_text()
    assert '"max": 10000' in text
    path.write_text(text.replace('"max": 10000', '"max": 20000'))
    project.ok("apply", "--reason", "a check")
    assert project.json(*backfill(0, 9, "--dry-run"))["plan"]["finished"] == []


@pytest.mark.parametrize("parallel", ["1", "4"])
def test_killed_many_times_it_goes_on(project, template, tmp_path, parallel):
    command = backfill(0, DAYS - 1, "--parallel", parallel)
    for kills, due in enumerate((20, 60, 100, 140)):
        # In turn: after lines of the journal, and after partitions that it may not know of yet.
        if kills % 2:
            code = kill_when(project, command, lambda due=due: partitions(project) >= 2 * due)
        else:
            code = kill_when(project, command, lambda due=due: len(noted(project)) >= due)
        assert code == -9, "it came to its end before it was killed"
        known = pointers(project)
        for period in noted(project):
            assert f"shop/customer_daily/v1/_raw/{period}" in known, "noted before it was there"
            assert f"shop/customer_daily/v1/{period}" in known
    done = noted(project)
    assert len(done) == len(set(done)), "a period that was noted was run again"
    # And half a line, as a kill in the middle of a write leaves it.
    with journal(project).open("a") as file:
        file.write('{"period":"ds=20')
    answer = project.json(*command)
    assert answer["plan"]["finished"] == sorted(done)
    assert answer["ran"]["periods"] == DAYS - len(done)
    assert sorted(noted(project)) == [f"ds={day(n)}" for n in range(DAYS)]
    shutil.copytree(template.root, tmp_path / "whole")
    whole = Project(tmp_path / "whole")
    whole.ok("run", VIEW, "--from", day(0), "--to", day(DAYS - 1))
    assert pointers(project) == pointers(whole)


def test_a_kill_before_what_is_behind(project):
    """All of the range is noted, what looks back on it is not published anew yet."""
    project.ok("run", VIEW, "--from", day(10), "--to", day(19))
    project.ok(*backfill(0, 9))
    path = journal(project)
    lines = [line for line in path.read_text().splitlines() if "complete" not in line]
    path.write_text("\n".join(lines) + "\n")
    after = pointers(project)
    behind = project.root / f".trivium/lake/shop/customer_daily/v1/ds={day(12)}"
    shutil.rmtree(behind)
    shutil.copytree(behind.with_name(f"ds={day(19)}"), behind)
    pointer = json.loads((behind / "_current.json").read_text())
    start = datetime.datetime.fromisoformat(f"{day(12)}T00:00:00+00:00").timestamp()
    pointer["period_start_micros"] = int(start) * 1_000_000
    pointer["period_end_micros"] = (int(start) + 86_400) * 1_000_000
    (behind / "_current.json").write_text(json.dumps(pointer))
    assert pointers(project) != after
    answer = project.json(*backfill(0, 9))
    assert (len(answer["plan"]["finished"]), answer["ran"]["periods"]) == (10, 1)
    assert pointers(project) == after


def test_again_goes_on_with_what_it_began(project):
    project.ok(*backfill(0, 99))
    command = backfill(0, 99, "--again")
    assert kill_when(project, command, lambda: 16 <= len(noted(project)) < 100) == -9
    done = noted(project)
    assert 0 < len(done) < 100
    assert project.json(*command)["ran"]["periods"] == 100 - len(done)


def test_a_failed_check_keeps_what_came_before(project):
    with (project.root / "data/orders.csv").open("a") as file:
        file.write("".join(f"3,{day(25)}T12:0{n}:00Z,1.0,false\n" for n in range(3)))
    path = project.root / "configs/shop/customer_daily.v1.json"
    path.write_text(
        path.read_text().replace(
            '"quality": [',
            '"quality": [ { "check": "between", "column": "orders", "min": 0, "max": 2 },',
        )
    )
    project.ok("apply", "--reason", "a check")
    done = project.run(*backfill(0, 39))
    assert done.returncode == 9, (done.returncode, done.stderr)
    assert day(25) in done.stderr
    assert noted(project) == [f"ds={day(n)}" for n in range(25)]
    (project.root / "data/orders.csv").write_text(orders(DAYS))
    assert project.json(*backfill(0, 39))["ran"]["periods"] == 15


def test_mistakes(project):
    for args, code, said in [
        (("backfill", VIEW), 2, "--from"),
        (backfill(5, 4), 2, "--to"),
        (backfill(0, DAYS), 5, "not over"),
        (backfill(0, 1, "--parallel", "0"), 2, "--parallel"),
        (backfill(0, 1, "--parallel", "4", "--engine", "spark"), 2, "[spark] of trivium.toml"),
        (backfill(0, 1, "--server", "http://127.0.0.1:1"), 8, "--server"),
        (("backfill", "shop/churn_model@1", "--from", day(0), "--to", day(1)), 2, "shop"),
    ]:
        done = project.run(*args)
        assert done.returncode == code, (args, done.returncode, done.stderr)
        assert said in done.stderr, (args, done.stderr)
