"""What is no request, and the servers that it is sent to: `trivium dev`, and a serving node on
real stores."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from conftest import Project, Server
from nodes import Node

# Generous: a hang is what never ends.
HANG_SECONDS = 60
SERVERS = ["dev", "node"]
GET = "/v1/features/online/get"
PUT = "/v1/features/online/put"
SEARCH = "/v1/features/online/search"

# A person's rows, with an embedding: every store has a part in them.
VIEW = {
    "namespace": "attack",
    "name": "person",
    "version": 1,
    "lane": "direct",
    "description": "For hostile requests.",
    "owner": {"team": "attack", "contact": "attack@example.com"},
    "urgency_tier": 1,
    "entities": [{"name": "user_id", "type": "int64"}],
    "event_timestamp": "event_ts",
    "subject": "user_id",
    "features": [
        {"name": "clicks", "type": "int64", "description": "Clicks."},
        {
            "name": "taste",
            "type": {"embedding": {"dimension": 3, "metric": "cosine"}},
            "description": "What she likes.",
        },
    ],
    "online": True,
}
USERS = [{"user_id": user} for user in range(1, 4)]
READ = {"features": ["attack/person@1"], "entities": USERS}
NEAR = {"feature": "attack/person@1:taste", "vector": [1.0, 0.5, 0.25], "k": 3}


def ok(server, path: str, body) -> dict:
    response = server.post(path, body)
    assert response.status_code == 200, (path, response.text)
    return response.json()


@contextlib.contextmanager
def attacked(request, tmp_path_factory) -> Iterator:
    """A server of the kind that is asked for; at the end it is there, answers as before, and holds
    what it held."""
    project = Project.flights(tmp_path_factory.mktemp("attacked"))
    (project.root / "configs/attack").mkdir()
    (project.root / "configs/attack/person.v1.json").write_text(json.dumps(VIEW))
    project.ok("apply", "--reason", "good")
    if request.param == "node":
        server = Node(project, request.getfixturevalue("stores"))
    else:
        server = Server(project)
    try:
        rows = [
            {"entity": user, "values": {"clicks": clicks, "taste": [1.0, clicks, 0.25]}}
            for clicks, user in enumerate(USERS)
        ]
        put = {"view": "attack/person@1", "rows": rows, "wait_for_search": True}
        assert {row["outcome"] for row in ok(server, PUT, put)["results"]} == {"APPLIED"}

        def held():
            read, near = ok(server, GET, READ), ok(server, SEARCH, NEAR)
            assert [row["values"][0] for row in read["rows"]] == [0, 1, 2], read
            assert len(near["hits"]) == 3, near
            return read, near, server.items() if isinstance(server, Node) else None

        before = held()
        yield server
        after = held()
        assert after == before, f"{before}\nbecame\n{after}"
        assert server.get("/healthz").status_code == 200
        assert server.get("/readyz").status_code == 200
    finally:
        server.stop()
        log = server.log.read_text()
        assert "panicked" not in log, log


def varint(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def nested(depth: int) -> bytes:
    # Value.list (12) of ListValue.items (1), and so on.
    body = b""
    for _ in range(depth):
        body = field(12, field(1, body))
    return body


def put_of(value: bytes) -> bytes:
    entry = field(1, field(1, b"active") + field(2, value))
    return field(1, b"flights/ground_stop@1") + field(2, field(2, entry[2:]))


# Messages that are none, or not the right ones, of whatever method.
MESSAGES = [
    b"\xff" * 10,
    b"\x0a",
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x0b" * 1_000,
    b"\x07\x00",
    b"\x00\x00",
    field(1, b"\xff\xfe\xfd"),
    field(1, field(1, b"\xc3\x28")) + field(2, b"\xff"),
    field(2_000_000, b"unknown") * 10,
    field(1, b"") * 10_000,
    field(2, b"") * 100_000,
    b"\x08\x01" * 100_000,
    put_of(nested(50)),
    put_of(nested(200)),
    put_of(nested(5_000)),
    field(2, field(1, b"") * 100_000),
    bytes(1_000),
]


def random_messages(methods: list[str]) -> Iterator[tuple[str, bytes]]:
    dice = random.Random(2013)
    for _ in range(40):
        for method in methods:
            yield method, dice.randbytes(dice.randrange(200))


def raw(server, text: bytes, ends: bool = True) -> bytes:
    """What is answered to these bytes until the server closes. Who ends its side at once, as most
    garbage does, may get no answer."""
    address = urlsplit(server.http)
    with socket.create_connection((address.hostname, address.port), HANG_SECONDS) as connection:
        try:
            connection.sendall(text)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # Closed before all was sent: what it said may still be there.
        said = b""
        try:
            while piece := connection.recv(65_536):
                said += piece
        except ConnectionResetError:
            pass
        return said
