"""Requests made from the OpenAPI document, right and wrong ones, and REST garbage by hand: no 5xx,
no hang, no panic, and every answer is as the document says."""

from __future__ import annotations

import json

import pytest
import requests
import schemathesis
from garbage import GET, HANG_SECONDS, NEAR, PUT, READ, SEARCH, SERVERS, attacked, raw
from hypothesis import HealthCheck, Phase, given, seed, settings
from nodes import Node
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = 50
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# The registry's own: no node does it, nor says that it does.
ELSEWHERE = ("/v1/apply", "/v1/erasure-orders")
HISTORY = "/v1/features/historical"


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    with attacked(request, tmp_path_factory) as server:
        yield server


def come_closer(case, number: int) -> None:
    """Every other read asks, for the rest as it was made, for what is there: else it would be
    refused for the name of a view, and nothing behind that would see it."""
    if number % 2 and isinstance(case.body, dict):
        if case.path == GET:
            case.body |= READ if number % 4 == 1 else {"features": READ["features"]}
            case.body.pop("service", None)
        elif case.path == SEARCH:
            case.body |= NEAR if number % 4 == 1 else {"feature": NEAR["feature"]}
            case.body.pop("entity", None)


def test_a_thousand_requests_made_from_the_document(server):
    document = server.get("/openapi.json").json()
    assert isinstance(server, Node) == (not set(ELSEWHERE) & set(document["paths"]))
    schema = schemathesis.openapi.from_dict(document)
    session = requests.Session()
    sent = []
    findings: dict[str, str] = {}
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 10
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @seed(2013)
            @settings(
                max_examples=EXAMPLES,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def run(case):
                come_closer(case, len(sent))
                response = case.call(base_url=server.http, session=session, timeout=HANG_SECONDS)
                sent.append(response.status_code)
                try:
                    case.validate_response(response, checks=CHECKS)
                except FailureGroup as error:
                    # All that is wrong in one go, each once.
                    where = f"{case.method} {case.path} {response.status_code}"
                    findings.setdefault(where, str(error.exceptions))

            try:
                run()
            except Exception as error:  # An operation of which nothing wrong can be made.
                if "Unsatisfiable" not in type(error).__name__:
                    raise
    assert not findings, "\n\n".join(f"{where}: {what}" for where, what in findings.items())
    assert len(sent) >= 1_000, len(sent)
    assert any(status < 300 for status in sent) and any(status == 400 for status in sent)


def deep(open_: str, close: str, depth: int = 50_000) -> bytes:
    return (open_ * depth + "1" + close * depth).encode()


BODIES = [
    deep("[", "]"),
    deep('{"a":', "}"),
    b"[" * 1_000_000,
    b'{"entities":' + b"9" * 100_000 + b"}",
    b'{"entities":[{"carrier":1e999999999}]}',
    b'{"entities":[{"carrier":-0.0e-999999999}]}',
    b'{"features":[],"features":[],"entities":[]}',
    b'{"view":"flights/ground_stop@1","rows":[{"entity":{"origin":"JFK","origin":"JFK"},"values":{}}]}',
    b'{"entities":[{"carrier":"\xff\xfe"}]}',
    b'{"entities":[{"carrier":"\\ud800"}]}',
    b'{"entities":[{"carrier":"\\u0000"}]}',
    b"\xef\xbb\xbf{}",
    b"\x00" * 1_000,
    b"{} {}",
    b"{}" + b" " * 100_000 + b"x",
    b'{"features":["' + b"a" * 500_000 + b'"],"entities":[{}]}',
    b'{"features":["flights/carrier_daily@99999999999999999999"],"entities":[{}]}',
    b"nul",
    b"'single'",
    b"{1:2}",
    b"NaN",
    b"Infinity",
    b"-",
    b'"',
    b"\\",
]


def test_garbage_for_bodies(server):
    for path in (GET, PUT, "/v1/features/online/delete", HISTORY, "/v1/plan", "/v1/apply"):
        for body in BODIES:
            response = server.post(path, body)
            assert 400 <= response.status_code < 500, (path, body[:60], response.text)
            assert response.json()["code"] and response.json()["message"]


def test_wrong_methods_and_content_types(server):
    for path in (
        GET,
        PUT,
        HISTORY,
        "/v1/audit",
        "/healthz",
        "/nosuch",
        "/" + "x" * 5_000,
        "/%ff%00",
    ):
        for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"):
            response = server.session.request(method, server.http + path, timeout=HANG_SECONDS)
            assert response.status_code < 500, (method, path, response.text)
    for kind in (
        "",
        "text/plain",
        "application/xml",
        "json",
        "application/json;;",
        "\xff",
        "é" * 9,
    ):
        response = server.session.post(
            server.http + GET,
            data=b"{}",
            headers={"content-type": kind.encode("latin-1")},
            timeout=HANG_SECONDS,
        )
        assert response.status_code in (400, 415), (kind, response.text)
        assert response.json()["code"] == "INVALID_ARGUMENT"


HEAD = b"POST " + GET.encode() + b" HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "text",
    [
        CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"2\r\n{}",
        CHUNKED + b"2\r\n{}0\r\n\r\n",
        CHUNKED + b"2;" + b"x" * 100_000 + b"\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"1\r\n \r\n" * 10_000 + b"0\r\n\r\n",
        CHUNKED + b"2\r\n{}\r\n0\r\n" + b"t: x\r\n" * 10_000 + b"\r\n",
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
        HEAD + b"content-length: -1\r\n\r\n{}",
        HEAD + b"content-length: 99999999999999999999999\r\n\r\n{}",
        HEAD + b"content-length: 18446744073709551615\r\n\r\n{}",
        HEAD + b"content-length: 100\r\n\r\n{}",
        HEAD + b"x-long: " + b"x" * 1_000_000 + b"\r\n\r\n",
        HEAD + b"".join(b"x-%d: y\r\n" % number for number in range(1_000)) + b"\r\n",
        HEAD + b"bad header\r\n\r\n",
        HEAD + b"x: \x00\r\n\r\n",
        HEAD + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n{}",
        HEAD + b"upgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\n{}",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 1_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n" * 10_000,
        b"\x00" * 10_000,
    ],
    ids=lambda text: None,
)
def test_garbage_on_the_wire(server, text):
    said = raw(server, text)
    if said.startswith(b"HTTP/1"):
        # Of a response that was informational, the one behind it counts.
        lines = [line for line in said.split(b"\r\n") if line.startswith(b"HTTP/1")]
        assert lines[-1].split()[1][:1] in b"1234", said[:500]
    good = {"features": ["flights/ground_stop@1"], "entities": [{"origin": "JFK"}]}
    assert server.post(GET, json.dumps(good)).status_code == 200
