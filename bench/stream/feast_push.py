"""Feast's push path, for `make bench-stream`: rows pushed into its online store (SQLite) in
batches, as a stream processor of its documentation does it. `feast_push.py FOLDER ROWS BATCH
ENTITIES` prints a line of JSON: rows, seconds, seconds of the processor."""

import datetime
import json
import sqlite3
import sys
import time
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource
from feast.data_source import PushMode
from feast.types import Bool, Float64, Int64, String
from feast.value_type import ValueType

CONFIG = """\
project: bench
provider: local
registry: registry.db
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
"""


def rows(first: int, count: int, entities: int) -> pd.DataFrame:
    numbers = range(first, first + count)
    base = pd.Timestamp("2026-01-01", tz="UTC")
    return pd.DataFrame(
        {
            "vehicle": [f"v{number * 7919 % entities}" for number in numbers],
            "event_ts": [base + pd.Timedelta(microseconds=number) for number in numbers],
            "odometer": list(numbers),
            "speed": [number / 7 for number in numbers],
            "state": ["driving"] * count,
            "charging": [True] * count,
        }
    )


def main() -> None:
    folder = Path(sys.argv[1])
    count, batch, entities = map(int, sys.argv[2:])
    (folder / "feature_store.yaml").write_text(CONFIG)
    rows(0, 1, entities).to_parquet(folder / "rows.parquet")
    source = PushSource(
        name="vehicles",
        batch_source=FileSource(path=str(folder / "rows.parquet"), timestamp_field="event_ts"),
    )
    vehicle = Entity(name="vehicle", join_keys=["vehicle"], value_type=ValueType.STRING)
    view = FeatureView(
        name="vehicle",
        entities=[vehicle],
        ttl=datetime.timedelta(0),
        schema=[
            Field(name="vehicle", dtype=String),
            Field(name="odometer", dtype=Int64),
            Field(name="speed", dtype=Float64),
            Field(name="state", dtype=String),
            Field(name="charging", dtype=Bool),
        ],
        source=source,
        online=True,
    )
    store = FeatureStore(repo_path=str(folder))
    store.apply([vehicle, view])
    batches = [rows(first, min(batch, count - first), entities) for first in range(0, count, batch)]
    begun, used = time.monotonic(), time.process_time()
    for each in batches:
        store.push("vehicles", each, to=PushMode.ONLINE)
    took, used = time.monotonic() - begun, time.process_time() - used
    found = sqlite3.connect(folder / "online.db").execute(
        "SELECT count(DISTINCT entity_key) FROM bench_vehicle"
    )
    expected = min(count, entities)
    if (there := found.fetchone()[0]) != expected:
        sys.exit(f"{there} entities are in the store, not {expected}")
    print(json.dumps({"rows": count, "seconds": took, "processor": used}))


if __name__ == "__main__":
    main()
