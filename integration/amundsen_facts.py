"""Holds what `trivium tag` wrote against what an unmodified amundsen-databuilder writes."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from pathlib import Path

from conftest import CACHE, REPO

AMUNDSEN = CACHE / "venvs/amundsen/bin/python"


def instant(micros: int) -> str:
    """As Trivium writes it: no more digits than it needs, by threes."""
    seconds, rest = divmod(micros, 1_000_000)
    text = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if rest % 1_000 == 0:
        return f"{text}.{rest // 1_000:03}Z" if rest else f"{text}Z"
    return f"{text}.{rest:06}Z"


def features(view: dict) -> list[dict]:
    """The author's, then the windows."""
    found, rollup = list(view["features"]), view.get("rollup") or {"features": []}
    for name in rollup["features"]:
        of = next(one for one in view["features"] if one["name"] == name)
        found += [
            {"name": f"{name}_{window}", "description": f"{of['description']} Over {window}."}
            for window in rollup["windows"]
        ]
    return found


def epoch(day: str) -> int:
    return int(dt.datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())


def facts(config: Path, shown: str, first: str, last: str) -> dict:
    """All that Amundsen's models are made of: a view of days, its record of the newest.

    `shown` is what `trivium show VIEW --partitions` says. Numbers stay as they are written there:
    Amundsen shows them as text.
    """
    view = json.loads(config.read_text())
    listed = json.loads(shown, parse_float=str, parse_int=str)["partitions"]
    # The newest is described, whichever day was asked for.
    (record,) = [one for one in listed if one["start_micros"] == f"{epoch(last)}000000"]
    finished = int(record["finished_micros"])
    return {
        "view": view,
        "features": features(view),
        "record": record,
        "sql": config.with_suffix(".sql").read_text(),
        "finished": instant(finished),
        "finished_seconds": finished // 1_000_000,
        "start_seconds": str(int(record["start_micros"]) // 1_000_000),
        "end_seconds": str(int(record["end_micros"]) // 1_000_000),
        "low_watermark": f"ds={first}",
        "low_watermark_seconds": epoch(first),
        "high_watermark": f"ds={last}",
        "high_watermark_seconds": epoch(last),
    }


def serialised_alike(known: dict, current: Path, work: Path) -> None:
    """Amundsen's own models, written by its own loader, are the files in `current`."""
    subprocess.run([REPO / "scripts/amundsen-env"], check=True)
    work.mkdir(parents=True, exist_ok=True)
    (work / "facts.json").write_text(json.dumps(known))
    script = REPO / "integration/amundsen_models.py"
    done = subprocess.run(
        [AMUNDSEN, script, work / "facts.json", current, work / "theirs"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    for part in ["nodes", "relationships"]:
        assert answer[part]["only_ours"] == []
        assert answer[part]["only_theirs"] == []
        assert answer[part]["count"] > 100
    assert answer["ends_missing"] == []
