"""The Connect protocol: the messages of gRPC as bodies of HTTP/1.1."""

from __future__ import annotations

import base64
import json

import grpc
import pytest
from conftest import Project
from trivium.v1 import online_pb2, value_pb2

SERVICE = "/trivium.v1.OnlineService/"
FIXED = {
    "a_float64": ("float64", [0.1, -0.0, 1e300]),
    "b_float32": ("float32", [0.5, -1.5, 3.0]),
    "c_int64": ("int64", [2**53 + 1, -1, 0]),
    "d_int32": ("int32", [-5, 7, 2**31 - 1]),
    "e_timestamp": ("timestamp", [f"2013-07-04T12:00:0{second}.000001Z" for second in range(3)]),
    "f_date": ("date", ["2013-07-04", "1969-12-31", "1970-01-01"]),
    "g_bool": ("bool", [True, False, True]),
    "h_string": ("string", ["żółć", "", "x"]),
}


def view() -> str:
    return json.dumps(
        {
            "namespace": "wire",
            "name": "types",
            "version": 1,
            "lane": "direct",
            "description": "For the wire.",
            "owner": {"team": "wire", "contact": "wire@example.com"},
            "urgency_tier": 1,
            "entities": [{"name": "id", "type": "int64"}],
            "event_timestamp": "event_ts",
            "features": [
                {"name": name, "type": kind, "description": "One."}
                for name, (kind, _) in FIXED.items()
            ],
            "online": True,
        }
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    project = Project.flights(tmp_path_factory.mktemp("connect"))
    (project.root / "configs/wire").mkdir()
    (project.root / "configs/wire/types.v1.json").write_text(view())
    project.ok("apply", "--reason", "for the wire")
    with project.dev() as server:
        rows = [
            {
                "entity": {"id": row},
                "values": {
                    # Integers that a double cannot hold are texts in JSON.
                    name: str(values[row]) if values[row] == 2**53 + 1 else values[row]
                    for name, (_, values) in FIXED.items()
                },
            }
            for row in range(3)
        ]
        # The fourth has but one value, the fifth is not there.
        rows.append({"entity": {"id": 3}, "values": {"a_float64": 4.0}})
        body = {"view": "wire/types@1", "rows": rows}
        put = server.session.post(server.http + "/v1/features/online/put", json=body)
        assert put.status_code == 200, put.text
        assert {result["outcome"] for result in put.json()["results"]} == {"APPLIED"}
        yield server
        log = (project.root / "dev.log").read_text()
        assert "panicked" not in log, log


def call(server, method: str, body: bytes, **headers: str):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"content-type": "application/proto", "connect-protocol-version": "1"} | headers
    return server.session.post(server.http + SERVICE + method, data=body, headers=headers)


def asked(*ids: int) -> online_pb2.BatchGetRequest:
    return online_pb2.BatchGetRequest(
        selection=online_pb2.FeatureSelection(features=["wire/types@1"]),
        entities=[
            online_pb2.KeyColumn(name="id", int64s=value_pb2.Int64List(values=ids)),
        ],
    )


def refused(response, status: int, code: str) -> value_pb2.ErrorDetail:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    told = response.json()
    assert told["code"] == code and told["message"], told
    [detail] = told["details"]
    assert detail["type"] == "trivium.v1.ErrorDetail"
    padding = "=" * (-len(detail["value"]) % 4)
    return value_pb2.ErrorDetail.FromString(base64.b64decode(detail["value"] + padding))


# All there, which is copied; some not, which is gathered; none.
@pytest.mark.parametrize("ids", [(0, 1, 2), (2,), (0, 3, 1), (4, 0), (3, 4), (4,)])
def test_an_answer_is_the_one_of_grpc_and_of_rest(server, ids):
    request = asked(*ids)
    response = call(server, "BatchGet", request.SerializeToString())
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/proto"
    answer = online_pb2.BatchGetResponse.FromString(response.content)
    with grpc.insecure_channel(server.grpc.removeprefix("grpc://")) as channel:
        batch_get = channel.unary_unary(
            SERVICE + "BatchGet",
            request_serializer=online_pb2.BatchGetRequest.SerializeToString,
            response_deserializer=online_pb2.BatchGetResponse.FromString,
        )
        assert batch_get(request) == answer
    body = {"features": ["wire/types@1"], "entities": [{"id": row} for row in ids]}
    rest = server.session.post(server.http + "/v1/features/online/get", json=body).json()
    assert list(answer.features) == rest["features"]
    [stamps] = answer.rows
    for at, row in enumerate(ids):
        for name, column in zip(answer.features, answer.columns, strict=True):
            kind, values = FIXED[name.split(":")[1]]
            taken = getattr(column, column.WhichOneof("values")).values
            assert len(taken) == len(ids)
            is_there = row < 3 or (row == 3 and kind == "float64")
            told = column.statuses[at] if column.statuses else value_pb2.PRESENT
            assert (told == value_pb2.PRESENT) == is_there, (name, row)
            if row < 3 and kind not in ("timestamp", "date"):
                assert taken[at] == values[row], (name, row)
            shown = rest["rows"][at]["values"][list(answer.features).index(name)]
            assert (shown is not None) == is_there, (name, row, rest)
        assert (stamps.revs[at] > 0) == (row < 4)


def test_every_method_of_the_service(server):
    put = online_pb2.PutRequest(
        view="wire/types@1",
        row=online_pb2.PutRow(
            entity={"id": value_pb2.KeyValue(int64=10)},
            values={"a_float64": value_pb2.Value(float64=1.5)},
        ),
    )
    response = call(server, "Put", put.SerializeToString())
    assert response.status_code == 200, response.text
    assert online_pb2.PutResponse.FromString(response.content).result.rev > 0
    got = online_pb2.GetRequest(
        selection=online_pb2.FeatureSelection(features=["wire/types@1:a_float64"]),
        entity={"id": value_pb2.KeyValue(int64=10)},
    )
    response = call(server, "Get", got.SerializeToString(), connect_timeout_ms="9999999999")
    assert online_pb2.GetResponse.FromString(response.content).values[0].float64 == 1.5


def test_errors_say_what_and_where(server):
    detail = refused(call(server, "BatchGet", b""), 400, "invalid_argument")
    assert detail.code == "INVALID_ARGUMENT" and detail.field
    missing = asked(1)
    missing.selection.features[:] = ["wire/none@1"]
    refused(call(server, "BatchGet", missing.SerializeToString()), 404, "not_found")
    refused(call(server, "BatchGet", b"\xff" * 10), 400, "invalid_argument")
    refused(call(server, "NoSuchMethod", b""), 404, "unimplemented")
    # What is larger still is not read to its end: the client may not see the answer.
    refused(call(server, "BatchGet", bytes((32 << 20) + 1)), 400, "invalid_argument")
    good = asked(1).SerializeToString()
    for headers in (
        {"connect_timeout_ms": "soon"},
        {"connect_timeout_ms": "-1"},
        {"connect_timeout_ms": "1" * 11},
        {"connect_protocol_version": "2"},
    ):
        detail = refused(call(server, "BatchGet", good, **headers), 400, "invalid_argument")
        assert detail.field in ("connect-timeout-ms", "connect-protocol-version")
    compressed = call(server, "BatchGet", good, content_encoding="gzip")
    assert refused(compressed, 404, "unimplemented").field == "content-encoding"
    assert "identity" in compressed.json()["message"]
    url = server.http + SERVICE + "BatchGet"
    fetched = server.session.get(url, headers={"content-type": "application/proto"})
    refused(fetched, 405, "unimplemented")
    assert fetched.headers["allow"] == "POST"


def test_other_bodies_are_not_taken(server):
    good = asked(1).SerializeToString()
    for kind in ("application/connect+proto", "application/json", "text/plain", "", "application"):
        response = call(server, "BatchGet", good, content_type=kind)
        assert refused(response, 415, "unimplemented").field == "content-type", kind
    for kind in ("application/proto; charset=utf-8", "Application/Proto ;x=y"):
        assert call(server, "BatchGet", good, content_type=kind).status_code == 200, kind


def test_headers_of_grpc_mean_nothing_here(server):
    good = asked(1).SerializeToString()
    for headers in (
        {"grpc_encoding": "gzip"},
        {"grpc_timeout": "1n"},
        {"grpc_timeout": "nonsense"},
        {"grpc_accept_encoding": "gzip"},
    ):
        response = call(server, "BatchGet", good, **headers)
        assert response.status_code == 200, (headers, response.text)
        online_pb2.BatchGetResponse.FromString(response.content)
