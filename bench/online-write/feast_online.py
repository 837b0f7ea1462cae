"""Feast with the bench's rows, for `feast materialize` into SQLite.

`feast_online.py define FOLDER PARQUET FEATURES` makes a repository whose source is that file;
`feast_online.py check FOLDER EXPECTED ROWS` fails unless the online store has so many entities with
all features, and the values of EXPECTED (a list of `{"driver": …, "values": […]}`).
"""

import datetime
import json
import sqlite3
import sys
from pathlib import Path

from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float64, Int64
from feast.value_type import ValueType

# Feast's fastest way: DuckDB as offline store, and smaller batches, were no faster (50,000 rows).
CONFIG = """\
project: bench
provider: local
registry: registry.db
online_store:
  type: sqlite
  path: online.db
offline_store:
  type: dask
entity_key_serialization_version: 3
"""


def names(features: int) -> list[str]:
    return [f"f{number:02}" for number in range(features)]


def define(folder: Path, parquet: str, features: int) -> None:
    (folder / "feature_store.yaml").write_text(CONFIG)
    driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
    view = FeatureView(
        name="drivers",
        entities=[driver],
        ttl=datetime.timedelta(0),
        schema=[Field(name="driver", dtype=Int64)]
        + [Field(name=name, dtype=Float64) for name in names(features)],
        source=FileSource(name="published", path=parquet, timestamp_field="event_ts"),
        online=True,
    )
    FeatureStore(repo_path=str(folder)).apply([driver, view])


def check(folder: Path, expected: Path, rows: int) -> None:
    sample = json.loads(expected.read_text())
    features = len(sample[0]["values"])
    store = sqlite3.connect(folder / "online.db")
    values, entities = store.execute(
        "SELECT count(*), count(DISTINCT entity_key) FROM bench_drivers WHERE value IS NOT NULL"
    ).fetchone()
    if (values, entities) != (rows * features, rows):
        sys.exit(f"{values} values of {entities} entities are in the store, not of {rows}")
    found = (
        FeatureStore(repo_path=str(folder))
        .get_online_features(
            features=[f"drivers:{name}" for name in names(features)],
            entity_rows=[{"driver": row["driver"]} for row in sample],
        )
        .to_dict()
    )
    for place, row in enumerate(sample):
        got = [found[name][place] for name in names(features)]
        if got != row["values"]:
            sys.exit(f"driver {row['driver']} has other values: {got}")


if __name__ == "__main__":
    verb, folder = sys.argv[1], Path(sys.argv[2])
    if verb == "define":
        define(folder, sys.argv[3], int(sys.argv[4]))
    else:
        check(folder, Path(sys.argv[3]), int(sys.argv[4]))
