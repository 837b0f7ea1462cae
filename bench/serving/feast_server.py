"""Feast's Python server with the bench's rows: `feast_server.py FOLDER VALKEY_HOST:PORT`.

Reads FOLDER/rows.csv, makes a repository, writes the rows to the online store, prints host:port
when the server answers, and serves until it is killed, in this very process: the bench reads its
CPU.
"""

import datetime
import logging
import socket
import sys
import threading
import time
from pathlib import Path

import pandas
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.feature_server import get_app
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

ROWS_A_WRITE = 5_000


def main() -> None:
    folder, valkey = Path(sys.argv[1]), sys.argv[2]
    rows = pandas.read_csv(folder / "rows.csv")
    rows["event_timestamp"] = datetime.datetime.now(datetime.UTC)
    rows["created"] = rows["event_timestamp"]
    source = folder / "rows.parquet"
    rows.head(10).to_parquet(source)
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            online_store={"type": "redis", "connection_string": valkey},
            offline_store={"type": "dask"},
            entity_key_serialization_version=3,
        )
    )
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    names = [name for name in rows.columns if name not in ("user_id", "event_timestamp", "created")]
    view = FeatureView(
        name="wide",
        entities=[user],
        ttl=datetime.timedelta(0),
        schema=[Field(name="user_id", dtype=String)]
        + [
            Field(name=name, dtype=Int64 if name.startswith("count") else Float64) for name in names
        ],
        source=FileSource(
            path=str(source), timestamp_field="event_timestamp", created_timestamp_column="created"
        ),
        online=True,
    )
    store.apply([user, view])
    for start in range(0, len(rows), ROWS_A_WRITE):
        store.write_to_online_store("wide", rows.iloc[start : start + ROWS_A_WRITE])

    import uvicorn

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    logging.disable(logging.WARNING)
    threading.Thread(target=announce, args=(port,), daemon=True).start()
    uvicorn.run(get_app(store, registry_ttl_sec=600), host="127.0.0.1", port=port, access_log=False)


def announce(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
            continue
        print(f"127.0.0.1:{port}", flush=True)
        return


if __name__ == "__main__":
    main()
