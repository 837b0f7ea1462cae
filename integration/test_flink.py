"""Flink SQL of stream views: `trivium streams` on the documentation's example, on a real Flink.

The job between topics of a real Kafka: `crates/streamgen/tests/flink`.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from conftest import REPO, Project

VIEW = "flights/airport_congestion@1"
BEGIN = datetime(2013, 1, 1, 10, tzinfo=UTC)


@pytest.fixture
def example(tmp_path):
    shutil.copytree(REPO / "docs/examples/streams", tmp_path / "example")
    return Project(tmp_path / "example")


def departures(count: int) -> list[dict]:
    return [
        {
            "airport": {"code": ["JFK", "LGA", "EWR"][number % 7 % 3]},
            "dep_delay": None if number % 11 == 0 else number * 7 % 40 - 5,
            "at": (BEGIN + timedelta(seconds=20 * number)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for number in range(count)
    ]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def expected(messages: list[dict]) -> dict[tuple, tuple]:
    """Each row by its airport and the end of its hour, calculated without Flink."""
    slide = timedelta(minutes=10)
    windows = defaultdict(list)
    for message in messages:
        at = instant(message["at"])
        first = datetime.fromtimestamp(at.timestamp() // 600 * 600, UTC) + slide
        for number in range(6):
            windows[(message["airport"]["code"], first + number * slide)].append(message)
    rows = {}
    for key, of in windows.items():
        delays = [one["dep_delay"] for one in of if one["dep_delay"] is not None]
        delayed = sum(1 for delay in delays if delay >= 15)
        share = Decimal(delayed) / len(of)
        rows[key] = (
            len(of),
            sum(delays) / len(delays) if delays else None,
            delayed,
            str(share.quantize(Decimal("0.0001"), ROUND_HALF_UP)),
            max(instant(one["at"]) for one in of),
        )
    return rows


def test_rows_over_events_are_those_of_a_calculation_without_flink(example):
    messages = departures(500)
    values = [*messages, "{ no json", {"airport": {"code": "JFK"}, "dep_delay": 1}]
    lines = [json.dumps({"input": "departures", "value": value}) + "\n" for value in values]
    (example.root / "many.jsonl").write_text("".join(lines))
    answer = example.json("streams", "test", VIEW, "--events", "many.jsonl")
    assert answer["refused"] == []
    rows = {
        (row["origin"], instant(row["event_ts"])): (
            row["departures"],
            row["mean_delay"],
            row["delayed"],
            row["delayed_share"],
            instant(row["last_seen"]),
        )
        for row in answer["rows"]
    }
    assert len(rows) == len(answer["rows"])
    assert rows == expected(messages)


def test_the_examples_events_as_a_table(example):
    table = example.ok("streams", "test", VIEW, "--events", "events.jsonl").splitlines()
    assert table[0].split()[:3] == ["origin", "event_ts", "departures"]
    # JFK's two departures are in eight windows together, LGA's one in six.
    assert len(table) == 1 + 8 + 6


def test_the_job_is_generated_checked_and_left_alone_where_it_was_edited(example):
    assert "0 changes" in example.ok("streams", "generate", "--check")
    script = example.root / "streams/flights/airport_congestion.v1.sql"
    text = script.read_text()
    script.write_text(text.replace("'1 s'", "'2 s'") + "-- mine\n")
    refused = example.run("streams", "generate")
    assert refused.returncode != 0
    assert "edited by hand" in refused.stderr
    assert "-- mine" in script.read_text()
    example.ok("streams", "generate", "--force")
    assert script.read_text() == text
    config = example.root / "configs/flights/airport_congestion.v1.json"
    config.write_text(config.read_text().replace('"parallelism": 2', '"parallelism": 4'))
    assert example.run("streams", "generate", "--check").returncode == 4
    assert script.read_text() == text
    example.ok("streams", "generate")
    assert "'parallelism.default' = '4'" in script.read_text()


def test_bad_sql_is_told_with_its_place(example):
    sql = example.root / "configs/flights/airport_congestion.v1.sql"
    good = sql.read_text()
    cases = {
        good + "DROP TABLE departures;": "airport_congestion.v1.sql:12:1: error[sql-statements]",
        good.replace("AS delayed,", "AS late,"): "error[sql-unknown-column]: `late`",
        good.replace("TABLE departures", "TABLE arrivals"): "error[sql-unknown-input]",
    }
    for text, said in cases.items():
        sql.write_text(text)
        refused = example.run("validate")
        assert refused.returncode == 2, refused.stderr
        assert said in refused.stdout + refused.stderr
    # What only Flink knows.
    sql.write_text(good.replace("AVG(dep_delay)", "AVG(gate)"))
    refused = example.run("streams", "test", VIEW, "--events", "events.jsonl")
    assert refused.returncode == 2
    assert "airport_congestion.v1.sql:6:" in refused.stderr
    assert "error[sql-flink]" in refused.stderr and "gate" in refused.stderr
