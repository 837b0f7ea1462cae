"""The author's loop: what is wrong or would be refused is told before anything is applied."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import REPO, Project

BATCH = "flights/carrier_daily@1"
JSON = "configs/flights/carrier_daily.v1.json"
SQL = "configs/flights/carrier_daily.v1.sql"


def tree(root: Path) -> dict[str, tuple]:
    """Every file and folder: its kind, size, time of change and content."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder) / name
            about = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(root))] = (about.st_mode, about.st_mtime_ns, content)
    found["."] = (root.lstat().st_mode, root.lstat().st_mtime_ns, None)
    return found


def replace(project: Project, path: str, old: str, new: str) -> None:
    file = project.root / path
    text = file.read_text()
    assert old in text, (path, old)
    file.write_text(text.replace(old, new, 1))


@pytest.fixture
def project(tmp_path) -> Project:
    project = Project.flights(tmp_path / "project")
    project.ok("apply", "--reason", "first")
    # Folds the write-ahead log into the file: from here on, nothing of the data may change.
    project.ok("ls")
    return project


def errors(done) -> list[dict]:
    return json.loads(done.stderr.splitlines()[-1])["findings"]


class TestValidate:
    def test_a_dot_is_the_folder_that_it_is(self, project):
        """From within a namespace's folder, too."""
        folder = project.root / "configs/flights"
        inside = Project(folder)
        assert inside.run("validate", ".").returncode == 0
        (folder / "carrier_daily.v1.json").write_text("xx")
        for path in (".", str(folder), "./carrier_daily.v1.json", "carrier_daily.v1.json"):
            done = inside.run("validate", path)
            assert done.returncode == 2, (path, done.stdout, done.stderr)
            assert "carrier_daily.v1.json" in done.stderr, (path, done.stderr)
        other = inside.run("validate", "/etc/passwd")
        assert other.returncode == 2 and "no config" in other.stderr, other.stderr

    def test_without_a_registry_it_says_so_and_passes(self, tmp_path):
        project = Project.flights(tmp_path / "project")
        before = tree(project.root)
        done = project.run("validate")
        assert done.returncode == 0, done.stderr
        assert "not compared" in done.stderr
        answer = project.json("validate")
        assert answer["compared_with_revision"] is None
        assert tree(project.root) == before, "something was made"

    def test_what_is_allowed_passes(self, project):
        before = tree(project.root / ".trivium")
        done = project.run("validate")
        assert (done.returncode, "not compared" in done.stderr) == (0, False), done.stderr
        replace(project, JSON, '"max_periods"', '"max_periods"  ')
        answer = project.json("validate")
        assert answer["compared_with_revision"] == 1
        assert [change["class"] for change in answer["changes"]] == ["cosmetic"]
        assert tree(project.root / ".trivium") == before

    def test_behaviour_under_the_same_number_is_a_finding(self, project):
        replace(project, SQL, "count(*)", "count(dest)")
        replace(project, JSON, '"ttl": "14d"', '"ttl": "30d"')
        done = project.run("validate", "--output", "json")
        assert done.returncode == 2, (done.returncode, done.stderr)
        found = errors(done)
        assert {finding["code"] for finding in found} == {"version-rule"}
        by_file = {Path(finding["path"]).suffix: finding for finding in found}
        assert len(found) == 2, found
        sql, config = by_file[".sql"], by_file[".json"]
        assert "bump to v2" in sql["message"]
        assert "`sql.columns.flights`: `count(*)` → `count(`t0_0`.`dest`)`" in sql["message"]
        assert '"version": 2' in sql["help"]
        assert "flights/delay_model@1" in sql["help"], "who reads it"
        lines = (project.root / SQL).read_text().splitlines()
        assert "count(dest)" in lines[sql["line"] - 1]
        assert "`ttl`: 14d → 30d" in config["message"]
        lines = (project.root / JSON).read_text().splitlines()
        assert '"ttl"' in lines[config["line"] - 1]
        # The same for people, and a plan refuses the same.
        done = project.run("validate")
        assert done.returncode == 2
        assert "error[version-rule]: behaviour changed: bump to v2" in done.stderr, done.stderr
        assert project.run("plan").returncode == 5

    def test_a_function_that_nobody_has_is_an_error_where_it_stands(self, project):
        """All of them at once, and what is only not proven here stays a warning."""
        second = SQL.replace(".v1.", ".v2.")
        for path in (JSON, SQL):
            text = (project.root / path).read_text().replace('"version": 1', '"version": 2')
            (project.root / path.replace(".v1.", ".v2.")).write_text(text)
        replace(
            project,
            second,
            "count(*) AS flights",
            "cast(length(soundex(max(dest))) + conut(*) AS bigint) AS flights",
        )
        replace(project, second, "avg(arr_delay)", "agv(arr_delay)")
        before = project.json("ls")
        for verb in ("validate", "apply"):
            done = project.run(verb, "--output", "json")
            assert done.returncode == 2, (verb, done.stdout, done.stderr)
            found = [one for one in errors(done) if one["code"] == "query"]
            lines = (project.root / second).read_text().splitlines()
            for finding, name, near in zip(found, ("conut", "agv"), ("count", "avg"), strict=True):
                assert finding["message"] == f"there is no function `{name}`"
                assert finding["help"] == f"did you mean `{near}`?"
                assert lines[finding["line"] - 1][finding["column"] - 1 :].startswith(name)
        assert project.json("ls") == before
        replace(project, second, "conut(*)", "count(*)")
        # The local engine says the same, and sends nobody to Spark.
        replace(project, second, "length(soundex(max(dest)))", "length(max(dest))")
        tried = project.run("test", "flights/carrier_daily@2", "--date", "2013-01-05")
        assert tried.returncode == 5 and "did you mean `avg`?" in tried.stderr, tried.stderr
        assert "--engine spark" not in tried.stderr
        replace(project, second, "length(max(dest))", "length(soundex(max(dest)))")
        replace(project, second, "agv(arr_delay)", "avg(arr_delay)")
        (finding,) = project.json("validate")["findings"]
        assert (finding["code"], finding["severity"]) == ("not-proven", "warn")
        assert "soundex" in finding["message"]

    def test_the_change_as_the_next_version_passes(self, project):
        for path in (JSON, SQL):
            text = (project.root / path).read_text().replace('"version": 1', '"version": 2')
            (project.root / path.replace(".v1.", ".v2.")).write_text(text)
        replace(project, SQL.replace(".v1.", ".v2."), "count(*)", "count(dest)")
        answer = project.json("validate")
        (change,) = answer["changes"]
        assert (change["subject"], change["class"]) == ("flights/carrier_daily@2", "new")

    def test_only_the_named_files_count(self, project):
        replace(project, SQL, "count(*)", "count(dest)")
        project.ok("validate", "configs/flights/ground_stop.v1.json")
        assert project.run("validate", SQL).returncode == 2

    def test_against_a_server(self, project, tmp_path):
        other = Project.flights(tmp_path / "other")
        replace(other, SQL, "count(*)", "count(dest)")
        with project.dev() as server:
            done = other.run("validate", "--server", server.http, "--output", "json")
        assert done.returncode == 2, done.stderr
        assert "bump to v2" in errors(done)[0]["message"]
        assert not (other.root / ".trivium").exists()

    def test_a_registry_that_is_none_is_told(self, project):
        (project.root / ".trivium/registry.db").write_bytes(b"no database")
        done = project.run("validate")
        assert done.returncode == 10, (done.returncode, done.stderr)
        assert "registry.db" in done.stderr


@pytest.fixture(scope="module")
def ten_days(tmp_path_factory) -> Project:
    project = Project.flights(tmp_path_factory.mktemp("ten_days"))
    project.ok("apply", "--reason", "first")
    project.ok("run", BATCH, "--from", "2013-01-01", "--to", "2013-01-10")
    project.ok("ls")
    return project


@pytest.fixture
def published(ten_days, tmp_path) -> Project:
    """Ten days of the example in the lake."""
    shutil.copytree(ten_days.root, tmp_path / "published")
    return Project.flights(tmp_path / "published")


@pytest.fixture
def shop(tmp_path) -> Project:
    """A week of a small shop, as `trivium init` writes it, applied."""
    Project(tmp_path).ok("init", "shop")
    project = Project(tmp_path / "shop")
    project.ok("apply")
    return project


def next_version(project: Project) -> None:
    for path in (JSON, SQL):
        text = (project.root / path).read_text().replace('"version": 1', '"version": 2')
        (project.root / path.replace(".v1.", ".v2.")).write_text(text)


class TestTest:
    def test_it_writes_nothing(self, published):
        next_version(published)
        before = tree(published.root)
        for view in (BATCH, "flights/carrier_daily@2", "flights/route_daily@1"):
            published.ok("test", view, "--date", "2013-01-05")
            published.json("test", view, "--date", "2013-01-11")
        assert tree(published.root) == before

    def test_it_writes_nothing_where_nothing_is(self, tmp_path):
        project = Project.flights(tmp_path / "project")
        before = tree(project.root)
        answer = project.json("test", BATCH)
        assert (answer["period"]["name"], answer["compared"]) == ("ds=2013-12-31", None)
        assert tree(project.root) == before

    def test_it_shows_what_a_run_would_publish(self, published):
        answer = published.json("test", BATCH, "--date", "2013-01-10", "--rows", "100000")
        import pyarrow.parquet as pq

        folder = published.root / ".trivium/lake/flights/carrier_daily/v1/ds=2013-01-10"
        pointer = json.loads((folder / "_current.json").read_text())
        (file,) = pointer["files"]
        rows = pq.read_table(folder / pointer["run"] / file).to_pylist()
        assert answer["rows_published"] == len(rows) == len(answer["rows"])
        for shown, row in zip(answer["rows"], rows, strict=True):
            for column in ("carrier", "origin", "flights", "flights_7d", "avg_dep_delay"):
                assert shown[column] == row[column], (column, shown, row)
        assert answer["rows_carried"] == sum(row["carried_from"] is not None for row in rows)
        assert answer["looked_back_on"] == 9
        # What is recorded of the partition is what was shown before it was there.
        assert answer["columns"] == pointer["statistics"]
        columns = {column["column"]: column for column in answer["columns"]}
        flights = [row["flights"] for row in rows]
        assert columns["flights"]["count"] == len(rows)
        assert (columns["flights"]["min"], columns["flights"]["max"]) == (
            min(flights),
            max(flights),
        )
        assert columns["flights"]["mean"] == pytest.approx(sum(flights) / len(rows))
        carriers = len({row["carrier"] for row in rows})
        assert columns["carrier"]["distinct"] == {"count": carriers, "exact": True}
        assert all(check["passed"] for check in answer["quality"])
        # Unchanged, so there is nothing but the same rows, from the lake.
        compared = answer["compared"]
        assert (compared["with"], compared["from"]) == (BATCH, "lake")
        assert compared["unchanged"] == len(rows)
        assert compared["added"] + compared["removed"] + compared["changed"] == 0

    def test_rows_are_carried_over_from_the_lake(self, shop):
        # The lake is empty: the day alone.
        alone = shop.json("test", "shop/customer_daily@1")
        assert (alone["rows_from_sql"], alone["rows_published"]) == (2, 2)
        shop.ok("run")
        answer = shop.json("test", "shop/customer_daily@1")
        assert (answer["rows_from_sql"], answer["rows_published"]) == (2, 3)
        (carried,) = [row for row in answer["rows"] if row["carried_from"]]
        assert (carried["customer_id"], carried["carried_from"]) == (3, "2024-01-06T00:00:00Z")
        assert carried["orders_7d"] == 2
        assert answer["rows_carried"] == 1

    def test_a_lake_that_does_not_fit_is_left_out(self, shop):
        shop.ok("run")
        path = "configs/shop/customer_daily.v1.json"
        replace(shop, path, '"returns", "type": "int64"', '"returns", "type": "int32"')
        sql = "configs/shop/customer_daily.v1.sql"
        replace(shop, sql, "count(CASE WHEN returned THEN 1 END)", "CAST(1 AS INT)")
        answer = shop.json("test", "shop/customer_daily@1")
        assert (answer["rows_published"], answer["looked_back_on"]) == (2, 0)
        assert any("`returns`" in note for note in answer["notes"]), answer["notes"]
        # What was published is compared all the same: its other type is only another writing.
        assert answer["compared"]["removed"] == 1

    def test_the_next_version_beside_the_one_before(self, published):
        next_version(published)
        sql = SQL.replace(".v1.", ".v2.")
        replace(published, sql, "count(*) AS flights", "count(*) + 1 AS flights")
        args = ("test", "flights/carrier_daily", "--date", "2013-01-10")
        answer = published.json(*args)
        assert answer["view"] == "flights/carrier_daily@2"
        compared = answer["compared"]
        assert (compared["with"], compared["from"]) == (BATCH, "lake")
        # What v1 carried over, v2 has never had; what both have has one flight more.
        carried = published.json("test", BATCH, "--date", "2013-01-10")["rows_carried"]
        assert (compared["added"], compared["removed"]) == (0, carried)
        assert compared["changed"] == answer["rows_from_sql"]
        first = next(row for row in compared["first"] if row["kind"] == "changed")
        change = first["columns"]["flights"]
        assert change["new"] == change["old"] + 1
        text = published.ok(*args)
        assert f"flights {change['old']} → {change['new']}" in text, text
        assert "carrier=9E origin=EWR" in text

    def test_a_changed_view_beside_its_accepted_self(self, published):
        replace(published, SQL, "GROUP BY", "AND origin <> 'JFK' GROUP BY")
        answer = published.json("test", BATCH, "--date", "2013-01-10")
        compared = answer["compared"]
        assert compared["with"] == BATCH
        assert (compared["added"], compared["changed"] > 0) == (0, True)
        # JFK's are only carried over now.
        assert answer["rows_published"] == compared["changed"] + compared["unchanged"]
        # A day that was never run is run for the comparison, without a trace.
        before = tree(published.root / ".trivium")
        compared = published.json("test", BATCH, "--date", "2013-03-01")["compared"]
        assert compared["from"] == "run"
        assert compared["removed"] > 0
        assert tree(published.root / ".trivium") == before

    def test_failed_checks_are_the_exit_code(self, published):
        replace(
            published, JSON, '"quality": [', '"quality": [ { "check": "row_count", "min": 5000 },'
        )
        done = published.run("test", BATCH, "--date", "2013-01-10", "--output", "json")
        assert done.returncode == 9, (done.returncode, done.stderr)
        answer = json.loads(done.stdout)
        (failed,) = [check for check in answer["quality"] if not check["passed"]]
        assert failed["check"] == "row_count"
        assert "5000" in failed["expected"]
        assert failed["found"].startswith(str(answer["rows_from_sql"]))
        error = json.loads(done.stderr.splitlines()[-1])
        assert error["code"] == "QUALITY_FAILED", error
        done = published.run("test", BATCH, "--date", "2013-01-10")
        assert "fail row_count" in done.stdout
        # With `warn` it is shown, and passes.
        replace(published, JSON, '"min": 5000 }', '"min": 5000, "severity": "warn" }')
        assert "warn row_count" in published.ok("test", BATCH, "--date", "2013-01-10")

    def test_without_a_date_it_is_the_newest_with_rows(self, tmp_path):
        project = Project.flights(tmp_path / "project", "2014-01-11T12:00:00Z")
        answer = project.json("test", BATCH)
        assert answer["period"]["name"] == "ds=2013-12-31"
        assert any("newest periods have no rows" in note for note in answer["notes"])

    def test_mistakes(self, published):
        for args, code, said in [
            (("flights/carrier_dayly@1",), 3, "did you mean"),
            (("flights/ground_stop@1",), 5, "not a batch view"),
            ((BATCH, "--date", "2012-12-31"), 2, "--date"),
            ((BATCH, "--sample", "0"), 2, "--sample"),
            ((BATCH, "--sample", "0.5", "--rows", "3"), 2, "--sample"),
        ]:
            done = published.run("test", *args)
            assert done.returncode == code, (args, done.returncode, done.stderr)
            assert said in done.stderr, (args, done.stderr)

    def test_other_files_with_errors_do_not_stop_it(self, published):
        (published.root / "configs/flights/route_daily.v1.sql").write_text("SELECT")
        answer = published.json("test", BATCH, "--date", "2013-01-05")
        assert any("other files have errors" in note for note in answer["notes"])
        (published.root / SQL).write_text("SELECT 1 AS")
        done = published.run("test", BATCH)
        assert done.returncode == 2, done.stderr
        assert "carrier_daily.v1.sql" in done.stderr


class TestLint:
    def test_the_examples_are_clean(self, project, shop):
        assert "nothing to say" in project.ok("lint", "--deny")
        assert shop.json("lint", "--deny")["findings"] == []

    def test_findings_are_warnings_or_denied(self, shop):
        path = "configs/shop/customer_daily.v1.json"
        replace(shop, path, '{ "check": "unique", "columns": ["customer_id"] },', "")
        replace(shop, path, '"tags": ["orders"]', '"tags": []')
        before = tree(shop.root)
        done = shop.run("lint")
        assert (done.returncode, "2 findings" in done.stdout) == (0, True), done
        assert f"{path}:" in done.stderr
        assert "warning[no-unique]" in done.stderr
        codes = [finding["code"] for finding in shop.json("lint")["findings"]]
        assert sorted(codes) == ["no-tags", "no-unique"]
        done = shop.run("lint", "--deny", "--output", "json")
        assert done.returncode == 2
        assert {finding["severity"] for finding in errors(done)} == {"error"}
        assert shop.ok("lint", "--deny", "configs/shop/churn_model.v1.service.json")
        assert tree(shop.root) == before

    def test_codes_are_allowed_by_the_project(self, shop):
        path = "configs/shop/customer_daily.v1.json"
        replace(shop, path, '"tags": ["orders"]', '"tags": []')
        allow = 'allow = ["no-row-count"'
        replace(shop, "trivium.toml", allow, allow + ', "no-tags"')
        answer = shop.json("lint", "--deny")
        assert answer == {"findings": [], "allowed": ["no-row-count", "no-tags"]}
        replace(shop, "trivium.toml", '"no-tags"', '"no-tag"')
        done = shop.run("lint")
        assert done.returncode == 2
        assert "did you mean `no-tags`" in done.stderr, done.stderr

    def test_what_is_not_valid_is_told_first(self, shop):
        (shop.root / "configs/shop/customer_daily.v1.sql").write_text("SELECT")
        done = shop.run("lint")
        assert done.returncode == 2
        assert "error[" in done.stderr


class TestExamplesForCi:
    """docs/ci.md and what it names: parsed, and the commands run as they stand there."""

    def commands(self) -> dict[str, list[str]]:
        workflow = yaml.safe_load((REPO / "docs/examples/github-actions.yml").read_text())
        # YAML 1.1 takes `on` for true.
        assert "pull_request" in workflow[True]
        steps = workflow["jobs"]["check"]["steps"]
        runs = [step["run"] for step in steps if step.get("run", "").startswith("trivium ")]
        hooks = yaml.safe_load((REPO / ".pre-commit-hooks.yaml").read_text())
        config = yaml.safe_load((REPO / "docs/examples/pre-commit-config.yaml").read_text())
        (named,) = config["repos"]
        assert [hook["id"] for hook in named["hooks"]] == [hook["id"] for hook in hooks]
        for hook in hooks:
            assert (hook["language"], hook["pass_filenames"]) == ("system", False)
            assert re.search(hook["files"], "configs/flights/carrier_daily.v1.sql")
            assert not re.search(hook["files"], "README.md")
        return {"workflow": runs, "hooks": [hook["entry"] for hook in hooks]}

    def test_they_are_the_three_of_the_page(self):
        page = (REPO / "docs/ci.md").read_text()
        table = re.findall(r"^\| `(trivium [^`]+)` \|", page, re.M)
        assert len(table) == 3
        assert self.commands() == {"workflow": table, "hooks": table}
        for link in re.findall(r"\]\(([^)]+)\)", page):
            assert (REPO / "docs" / link).exists(), link

    def test_they_pass_on_the_example(self, project):
        shutil.copytree(REPO / "dags", project.root / "dags")
        for command in self.commands()["workflow"]:
            project.ok(*shlex.split(command)[1:])

    def test_they_fail_on_what_they_are_for(self, project):
        shutil.copytree(REPO / "dags", project.root / "dags")
        validate, lint, dags = (shlex.split(line)[1:] for line in self.commands()["workflow"])
        replace(project, SQL, "count(*)", "count(dest)")
        assert project.run(*validate).returncode == 2
        assert project.run(*dags).returncode == 4
        assert project.run(*lint).returncode == 0
        replace(project, JSON, '{ "check": "row_count", "min": 1 },', "")
        assert project.run(*lint).returncode == 2
