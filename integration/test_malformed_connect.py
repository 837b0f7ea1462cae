"""Garbage by the Connect protocol: every answer is one of its errors that says what is wrong, never
a fault of the server, a hang or a panic."""

from __future__ import annotations

import base64
import gzip

import pytest
from garbage import HANG_SECONDS, MESSAGES, SERVERS, attacked, random_messages, raw
from trivium.v1 import online_pb2, value_pb2

SERVICE = "/trivium.v1.OnlineService/"
METHODS = [
    SERVICE + name for name in ("Get", "BatchGet", "Put", "BatchPut", "Delete", "SearchNearest")
]
# By the protocol: the codes that a caller's mistakes may have, and the status of each.
STATUS_OF = {
    "invalid_argument": 400,
    "failed_precondition": 400,
    "not_found": 404,
    "unimplemented": 404,
    "aborted": 409,
    "resource_exhausted": 429,
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    with attacked(request, tmp_path_factory) as server:
        yield server


def asked() -> bytes:
    return online_pb2.BatchGetRequest(
        selection=online_pb2.FeatureSelection(features=["attack/person@1:clicks"]),
        entities=[
            online_pb2.KeyColumn(name="user_id", int64s=value_pb2.Int64List(values=[1, 2, 3]))
        ],
    ).SerializeToString()


def call(server, method: str, body: bytes, **headers: str):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"content-type": "application/proto"} | headers
    return server.session.post(
        server.http + method, data=body, headers=headers, timeout=HANG_SECONDS
    )


def told(response) -> str:
    """The code of an error, which is as the protocol wants it."""
    assert response.headers["content-type"] == "application/json", response.text
    error = response.json()
    assert response.status_code == STATUS_OF[error["code"]], response.text
    assert error["message"] and set(error) <= {"code", "message", "details"}
    [detail] = error["details"]
    padding = "=" * (-len(detail["value"]) % 4)
    value_pb2.ErrorDetail.FromString(base64.b64decode(detail["value"] + padding, validate=True))
    return error["code"]


def taken(server) -> None:
    response = call(server, SERVICE + "BatchGet", asked())
    assert response.status_code == 200, response.text
    answer = online_pb2.BatchGetResponse.FromString(response.content)
    assert list(answer.columns[0].int64s.values) == [0, 1, 2]


def test_messages_that_are_none(server):
    for method in METHODS:
        for message in MESSAGES:
            response = call(server, method, message)
            if response.status_code != 200:
                told(response)
    taken(server)


def test_random_messages(server):
    for method, message in random_messages(METHODS):
        response = call(server, method, message)
        if response.status_code != 200:
            told(response)
    taken(server)


def test_every_beginning_of_a_message(server):
    whole = asked()
    for length in range(len(whole)):
        assert told(call(server, SERVICE + "BatchGet", whole[:length])) == "invalid_argument"
    taken(server)


@pytest.mark.parametrize(
    "name", ["/x/y", "/get", "/", "//BatchGet", "/BatchGet/", "/" + "x" * 5_000]
)
def test_methods_that_are_none(server, name):
    assert told(call(server, SERVICE.rstrip("/") + name, asked())) == "unimplemented"


def test_headers_that_are_none(server):
    method = SERVICE + "BatchGet"
    for headers in (
        *({"connect_timeout_ms": value} for value in ("", "-1", "1.5", "0x10", "1e3", "9" * 11)),
        *({"connect_protocol_version": value} for value in ("", "0", "2", "1,1", "one")),
    ):
        assert told(call(server, method, asked(), **headers)) == "invalid_argument", headers
    for encoding in ("gzip", "br", "zstd", "identity, gzip", "x" * 1_000):
        code = told(call(server, method, gzip.compress(asked()), content_encoding=encoding))
        assert code == "unimplemented", encoding
    for headers in (
        {"connect_timeout_ms": "9999999999"},
        {"connect_timeout_ms": "0000060000"},
        {"content_encoding": "identity"},
        {"accept_encoding": "gzip, br"},
        {"accept": "nonsense"},
        {"grpc_timeout": "nonsense"},
        {"grpc_encoding": "gzip"},
        {"grpc_accept_encoding": "gzip"},
        {"te": "gzip"},
    ):
        response = call(server, method, asked(), **headers)
        assert response.status_code == 200, (headers, response.text)
        assert response.headers.get("content-encoding", "identity") == "identity"
        online_pb2.BatchGetResponse.FromString(response.content)


def raw_call(server, head: bytes, body: bytes, ends: bool = True) -> bytes:
    lines = b"POST " + (SERVICE + "BatchGet").encode() + b" HTTP/1.1\r\nhost: x\r\n"
    return raw(server, lines + b"content-type: application/proto\r\n" + head + b"\r\n" + body, ends)


def test_bodies_in_pieces_and_many_on_one_connection(server):
    body = asked()
    whole = b"content-length: %d\r\n" % len(body)
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    for head, sent in (
        (whole, body),
        (b"transfer-encoding: chunked\r\n", pieces),
        (whole + b"expect: 100-continue\r\n", body),
    ):
        said = raw_call(server, head + b"connection: close\r\n", sent, ends=False)
        assert b"HTTP/1.1 200 OK" in said and b"application/proto" in said, said
    once = (
        b"POST " + (SERVICE + "BatchGet").encode() + b" HTTP/1.1\r\nhost: x\r\n"
        b"content-type: application/proto\r\n" + whole + b"\r\n" + body
    )
    last = once.replace(b"host: x", b"host: x\r\nconnection: close")
    said = raw(server, once * 99 + last, ends=False)
    assert said.count(b"HTTP/1.1 200 OK") == 100, said[:1_000]
    # Broken off in the middle: nothing is answered, or a refusal.
    for head, sent in (
        (b"content-length: 1000\r\n", body),
        (b"transfer-encoding: chunked\r\n", b"5\r\nab"),
        (b"transfer-encoding: chunked\r\n", b"zz\r\n"),
        (b"content-length: 99999999999\r\n", body),
        (b"content-length: 1\r\ncontent-length: 2\r\n", body),
    ):
        said = raw_call(server, head, sent)
        assert not said or said.split()[1][:1] == b"4", said
    taken(server)


def test_messages_that_are_too_large(server):
    for method in METHODS:
        assert told(call(server, method, bytes((32 << 20) + 1))) == "invalid_argument"
