"""The Python client (sdks/python), against a real server."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import os
import re
import socket
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trivium
from conftest import REPO, Project

SDK = REPO / "sdks/python"
TYPES = {
    "f_bool": "bool",
    "f_int32": "int32",
    "f_int64": "int64",
    "f_float32": "float32",
    "f_float64": "float64",
    "f_string": "string",
    "f_bytes": "bytes",
    "f_timestamp": "timestamp",
    "f_date": "date",
    "f_decimal": {"decimal": {"precision": 20, "scale": 2}},
    "f_list": {"list": "string"},
    "f_vector": {"embedding": {"dimension": 3, "metric": "cosine"}},
}
VALUES = {
    "f_bool": True,
    "f_int32": -5,
    "f_int64": 2**53 + 1,
    "f_float32": 0.5,
    "f_float64": 0.1,
    "f_string": "żółć",
    "f_bytes": b"\x00\xff",
    "f_timestamp": dt.datetime(2013, 7, 4, 12, 0, 0, 123456, tzinfo=dt.UTC),
    "f_date": dt.date(1969, 12, 31),
    "f_decimal": decimal.Decimal("-12345678901234567.50"),
    "f_list": ["a", "", "b"],
    "f_vector": [0.5, -1.0, 2.0],
}


def view(name: str, types: dict) -> str:
    return json.dumps(
        {
            "namespace": "sdk",
            "name": name,
            "version": 1,
            "lane": "direct",
            "description": "For the client.",
            "owner": {"team": "sdk", "contact": "sdk@example.com"},
            "urgency_tier": 1,
            "entities": [{"name": "id", "type": "int64"}],
            "event_timestamp": "event_ts",
            "features": [
                {"name": name, "type": kind, "description": "One."} for name, kind in types.items()
            ],
            "online": True,
        }
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    project = Project.flights(tmp_path_factory.mktemp("sdk"))
    folder = project.root / "configs/sdk"
    folder.mkdir()
    (folder / "types.v1.json").write_text(view("types", TYPES))
    wide = {f"f{number:02}": "float64" for number in range(50)}
    (folder / "wide.v1.json").write_text(view("wide", wide))
    project.ok("apply", "--reason", "for the client")
    with project.dev() as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with trivium.Client(server.grpc, deadline=60) as client:
        yield client


def full(name: str) -> str:
    return f"sdk/types@1:{name}"


def test_every_type_comes_back_as_it_was(client):
    done = client.put("sdk/types@1", {"id": 1}, VALUES)
    assert done.outcome is trivium.Outcome.APPLIED and done.event_time.tzinfo is dt.UTC
    row = client.get(["sdk/types@1"], {"id": 1})
    assert row.values == {full(name): value for name, value in VALUES.items()}
    assert set(row.statuses.values()) == {trivium.Status.PRESENT}
    assert row.revs == {"sdk/types@1": done.rev}
    assert row.event_times == {"sdk/types@1": done.event_time}
    table = client.batch_get(["sdk/types@1"], [{"id": 1}]).to_arrow()
    assert table.to_pylist() == [row.values]
    assert table.schema.field(full("f_timestamp")).type == pa.timestamp("us", "UTC")


def test_null_and_unset_are_told_apart(client):
    client.put("sdk/types@1", {"id": 2}, {"f_int64": None, "f_int32": 7})
    row = client.get([full("f_int64"), full("f_int32"), full("f_string")], {"id": 2})
    assert list(row.values.values()) == [None, 7, None]
    status = trivium.Status
    assert list(row.statuses.values()) == [status.NULL, status.PRESENT, status.NOT_FOUND]
    batch = client.batch_get([full("f_int64"), full("f_vector")], {"id": [1, 2, 3]})
    assert batch.to_arrow().to_pydict() == {
        full("f_int64"): [2**53 + 1, None, None],
        full("f_vector"): [VALUES["f_vector"], None, None],
    }
    assert batch.statuses[full("f_int64")].to_pylist() == ["PRESENT", "NULL", "NOT_FOUND"]
    assert batch.revs["sdk/types@1"].to_pylist()[2] == 0
    # Integers with nulls stay integers.
    assert batch.to_pandas()[full("f_int64")][0] == 2**53 + 1


def test_a_hundred_entities_of_fifty_features(client):
    rows = [
        trivium.PutRow({"id": number}, {f"f{at:02}": number + at / 100 for at in range(50)})
        for number in range(100)
    ]
    results = client.batch_put("sdk/wide@1", rows)
    assert [each.outcome for each in results] == [trivium.Outcome.APPLIED] * 100
    frame = client.batch_get(["sdk/wide@1"], pd.DataFrame({"id": range(100)})).to_pandas()
    assert frame.shape == (100, 50)
    for number in (0, 57, 99):
        assert frame[f"sdk/wide@1:f{49}"][number] == number + 49 / 100


def test_conditions_and_idempotency(client):
    key = {"id": 10}
    put = {"f_int64": 1}
    first = client.put("sdk/types@1", key, put, if_rev=0, idempotency_key="once")
    again = client.put("sdk/types@1", key, put, if_rev=0, idempotency_key="once")
    assert (again.outcome, again.rev) == (trivium.Outcome.APPLIED, first.rev)
    late = client.put("sdk/types@1", key, put, if_rev=0)
    assert (late.outcome, late.rev) == (trivium.Outcome.CONFLICT, first.rev)
    old = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    assert client.put("sdk/types@1", key, put, event_time=old).outcome.name == "SUPERSEDED"
    gone = client.delete("sdk/types@1", key, if_rev=first.rev)
    assert gone.outcome is trivium.Outcome.APPLIED
    assert client.get(["sdk/types@1"], key).revs == {}
    cached = client.get(["sdk/types@1"], {"id": 1}, consistency=trivium.cached(60_000))
    assert cached.values[full("f_int64")] == 2**53 + 1


def test_errors_say_what_where_and_what_to_do(client, server):
    with pytest.raises(trivium.NotFoundError) as found:
        client.get(["sdk/typez@1"], {"id": 1})
    assert found.value.code == "NOT_FOUND" and found.value.field == "features[0]"
    assert "sdk/types@1" in found.value.help
    with pytest.raises(trivium.InvalidArgumentError, match="expected int64, found string"):
        client.get(["sdk/types@1"], {"id": "1"})
    with pytest.raises(trivium.InvalidArgumentError, match="no time zone"):
        client.put("sdk/types@1", {"id": 1}, {"f_timestamp": dt.datetime(2013, 1, 1)})
    for name, value in (("f_int64", 2**63), ("f_int32", 1.5), ("f_decimal", 0.1), ("f_bool", 1)):
        with pytest.raises(trivium.InvalidArgumentError, match=name):
            client.put("sdk/types@1", {"id": 1}, {name: value})
    with pytest.raises(trivium.NotFoundError, match="f_int46"):
        client.put("sdk/types@1", {"id": 1}, {"f_int46": 1})
    # Somebody who listens and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "grpc://{}:{}".format(*silent.getsockname())
        waiting = trivium.Client(address, deadline=0.2)
        with waiting, pytest.raises(trivium.DeadlineExceededError):
            waiting.get(["sdk/types@1"], {"id": 1})
    with trivium.Client("grpc://127.0.0.1:1") as nobody, pytest.raises(trivium.UnavailableError):
        nobody.get(["sdk/types@1"], {"id": 1})


def test_history_is_what_the_command_writes(year, tmp_path):
    day = pd.Timestamp("2013-03-01T12:00:00Z")
    frame = pd.DataFrame(
        {
            "carrier": ["AA", "B6", "ZZ", "AA"] * 5,
            "origin": ["JFK", "EWR", "LGA", "JFK"] * 5,
            "event_timestamp": [day + pd.Timedelta(days=7 * at) for at in range(20)],
        }
    )
    frame["event_timestamp"] = frame["event_timestamp"].astype("datetime64[us, UTC]")
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "events.parquet")
    year.ok(
        "history",
        *("--entities", str(tmp_path / "events.parquet")),
        *("--features", "flights/carrier_daily@1"),
        *("--out", str(tmp_path / "training.parquet")),
    )
    wanted = pq.read_table(tmp_path / "training.parquet")
    with year.dev() as server, trivium.Client(server.grpc, deadline=300) as client:
        got = client.historical(["flights/carrier_daily@1"], frame)
        with pytest.raises(trivium.TriviumError):
            client.historical(["flights/carrier_daily@1"], frame, event_timestamp="nosuch")
    assert got.to_pydict() == wanted.to_pydict()
    assert got.num_rows == 20


def test_the_readme_is_true(server):
    text = (SDK / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert blocks
    for block in blocks:
        exec(block.replace("grpc://127.0.0.1:7401", server.grpc), {})


def test_generated_code_is_up_to_date(tmp_path):
    subprocess.run(
        [SDK / "generate", tmp_path], check=True, env=os.environ | {"PYTHON": sys.executable}
    )
    made = {path.name: path.read_text() for path in (tmp_path / "trivium/v1").iterdir()}
    kept = (SDK / "src/trivium/v1").glob("*_pb2.py*")
    assert {path.name: path.read_text() for path in kept} == made


SHOP = {
    "visits": {"visits": "int64"},
    "products": {
        "price": "float64",
        "color": "string",
        "picture": {"embedding": {"dimension": 2, "metric": "cosine"}},
    },
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop")
    (root / "configs/sdk").mkdir(parents=True)
    (root / "trivium.toml").write_text('[project]\nconfigs = "configs"\ndata_dir = ".trivium"\n')
    for name, types in SHOP.items():
        config = json.loads(view(name, types))
        config["subject"] = "id"
        (root / f"configs/sdk/{name}.v1.json").write_text(json.dumps(config))
    project = Project(root)
    project.ok("apply", "--reason", "for the client")
    with project.dev() as server:
        yield server


def test_search(shop):
    with trivium.Client(shop.grpc) as client:
        rows = [
            (1, {"price": 5.0, "color": "red", "picture": [1.0, 0.0]}),
            (2, {"price": 50.0, "color": "red", "picture": [1.0, 1.0]}),
            (3, {"price": 20.0, "picture": [0.0, 1.0]}),
        ]
        for id_, given in rows:
            done = client.put("sdk/products@1", {"id": id_}, given, wait_for_search=True)
            assert done.outcome is trivium.Outcome.APPLIED

        def found(near, **more):
            hits = client.search("sdk/products@1:picture", near, **more)
            return [hit.entity["id"] for hit in hits.hits]

        assert found([1.0, 0.0]) == [1, 2, 3]
        assert found({"id": 3}) == [2, 1]
        assert found([1, 0], k=1) == [1]
        assert found([1, 0], filter={"range": {"price": {"gte": 20}}}) == [2, 3]
        red = {"all": [{"equals": {"color": "red"}}, {"range": {"price": {"gt": 5, "lte": 50}}}]}
        assert found([1, 0], filter=red) == [2]
        assert found([1, 0], min_score=0.9) == [1]
        hits = client.search("sdk/products@1:picture", [1, 0], 1, features=["sdk/products@1:price"])
        assert hits.hits[0].values == {"sdk/products@1:price": 5.0}
        assert hits.hits[0].score == pytest.approx(1.0) and hits.hits[0].rev > 0
        with pytest.raises(trivium.InvalidArgumentError, match="dimension|components"):
            client.search("sdk/products@1:picture", [1.0])
        for wrong in ({}, {"near": {}}, {"range": {"price": {"gt": 1, "gte": 1}}}):
            with pytest.raises(trivium.InvalidArgumentError):
                client.search("sdk/products@1:picture", [1, 0], filter=wrong)


def test_erase(shop):
    with trivium.Client(shop.grpc) as client:
        for name, given in [("visits", {"visits": 7}), ("products", {"picture": [1.0, 0.5]})]:
            client.put(f"sdk/{name}@1", {"id": 77}, given)
        before = dt.datetime.now(dt.UTC)
        done = client.erase("sdk", {"id": 77}, reason="asked", request_id="r1", deadline=60)
        while not done.is_done:
            assert not done.problem, done
            done = client.erasure("sdk", {"id": 77})
        assert done.deleted == {"sdk/products@1": 1, "sdk/visits@1": 1}
        assert done.request_id == "r1" and done.subject == {"id": 77} and done.up_to >= before
        row = client.get(["sdk/visits@1"], {"id": 77})
        assert row.statuses["sdk/visits@1:visits"] is trivium.Status.NOT_FOUND
        old = client.put("sdk/visits@1", {"id": 77}, {"visits": 1}, event_time=before)
        assert old.outcome is trivium.Outcome.ERASED
        hits = client.search("sdk/products@1:picture", [1.0, 0.5])
        assert 77 not in [hit.entity["id"] for hit in hits.hits]
        new = client.put("sdk/visits@1", {"id": 77}, {"visits": 2})
        assert new.outcome is trivium.Outcome.APPLIED
        with pytest.raises(trivium.TriviumError):
            client.erase("sdk", {"nobody": 1})
