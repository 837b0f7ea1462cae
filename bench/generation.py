"""What generating DAGs costs: `make bench-generation`.

A project of --configs views, copies of the example's: all of them generated, again with nothing
changed, and by the watcher after one of them was changed. Prints seconds of the clock and of the
processor.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
STEMS = ("carrier_daily", "route_daily", "plane_utilisation", "airport_weather")
PATIENCE_SECONDS = 120


def write_configs(folder: Path, count: int) -> None:
    """A hundred views a namespace."""
    source = REPO / "configs/flights"
    for at in range(count):
        stem = STEMS[at % len(STEMS)]
        document = json.loads((source / f"{stem}.v1.json").read_text())
        document["namespace"] = f"team_{at // 100}"
        document["name"] = f"{stem}_{at}"
        into = folder / document["namespace"]
        into.mkdir(parents=True, exist_ok=True)
        (into / f"{stem}_{at}.v1.json").write_text(json.dumps(document, indent=2))
        shutil.copy(source / f"{stem}.v1.sql", into / f"{stem}_{at}.v1.sql")


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until(happened, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            sys.exit(f"no {what} in {PATIENCE_SECONDS} s")
        time.sleep(0.005)


def watched(command: list[str], root: Path, rounds: int) -> tuple[float, float, float]:
    """Seconds from a change to its DAG (longest of all), and of the processor: a look that finds
    nothing, and one that finds a change. The watcher looks each second."""
    config = root / "configs/team_0/carrier_daily_0.v1.json"
    dag = root / "dags/team_0/carrier_daily_0_v1.py"
    watcher = subprocess.Popen([*command, "--interval", "1"], stderr=subprocess.DEVNULL)
    try:
        longest, busiest = 0.0, 0.0
        # The first look reads and renders all.
        text = config.read_text()
        config.write_text(text.replace('"owner"', ' "owner"', 1))
        before = dag.stat().st_mtime_ns
        until(lambda: dag.stat().st_mtime_ns != before, "first look")
        time.sleep(2)
        idle, begun = processor(watcher.pid), time.monotonic()
        time.sleep(5)
        # A look takes its own time, and then a second passes.
        spent, passed = processor(watcher.pid) - idle, time.monotonic() - begun
        quiet = spent / max(1.0, passed - spent)
        for at in range(rounds):
            before, used = dag.stat().st_mtime_ns, processor(watcher.pid)
            changed = time.monotonic()
            config.write_text(text.replace('"owner"', f'{" " * (at + 2)}"owner"', 1))
            until(lambda before=before: dag.stat().st_mtime_ns != before, "change")
            longest = max(longest, time.monotonic() - changed)
            busiest = max(busiest, processor(watcher.pid) - used)
        return longest, quiet, busiest
    finally:
        watcher.kill()
        watcher.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--daggen", required=True, help="the trivium-daggen command")
    parser.add_argument("--configs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trivium-generation-") as folder:
        root = Path(folder)
        write_configs(root / "configs", args.configs)
        (root / "trivium.toml").write_text("")
        places = [
            *("--configs", str(root / "configs"), "--out", str(root / "dags")),
            *("--project", str(root / "trivium.toml")),
        ]
        generate = [args.daggen, "generate", *places]
        first, again = timed(generate), timed(generate)
        longest, quiet, busiest = watched([args.daggen, "watch", *places], root, args.rounds)
    print(f"{args.configs} configs")
    print(f"  generated:            {first[0]:6.2f} s, {first[1]:6.2f} s of the processor")
    print(f"  again, unchanged:     {again[0]:6.2f} s, {again[1]:6.2f} s of the processor")
    print(f"  a look of the watcher:          {quiet:6.2f} s of the processor")
    print(
        f"  one change, until its DAG is there: {longest:.2f} s at most, a second between looks "
        f"included; {busiest:.2f} s of the processor"
    )


if __name__ == "__main__":
    main()
