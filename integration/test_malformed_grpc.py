"""gRPC garbage by hand: every answer is a status that says what is wrong, never a fault of the
server, a hang or a panic."""

from __future__ import annotations

import contextlib
import socket
from urllib.parse import urlsplit

import grpc
import h2.config
import h2.connection
import h2.events
import pytest
from garbage import HANG_SECONDS, MESSAGES, SERVERS, attacked, random_messages

ONLINE = "/trivium.v1.OnlineService/"
METHODS = [
    *(ONLINE + name for name in ("Get", "BatchGet", "Put", "BatchPut", "Delete")),
    "/trivium.v1.PipelineService/LoadCheckpoint",
    "/trivium.v1.PipelineService/StoreCheckpoint",
    "/trivium.v1.RegistryService/Plan",
    "/trivium.v1.RegistryService/Apply",
    "/trivium.v1.HistoryService/GetHistorical",
    "/grpc.health.v1.Health/Check",
]
OURS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED,
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    with attacked(request, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="module")
def channel(server):
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.grpc.removeprefix("grpc://"), options=options) as channel:
        yield channel


def status_of(channel, method: str, message: bytes) -> grpc.StatusCode:
    # As a stream, which any method can be called as: unary answers are a stream of one.
    call = channel.unary_stream(
        method, request_serializer=lambda body: body, response_deserializer=lambda body: body
    )
    try:
        list(call(message, timeout=HANG_SECONDS))
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_messages_that_are_none(channel):
    for method in METHODS:
        for message in MESSAGES:
            code = status_of(channel, method, message)
            assert code in OURS | {grpc.StatusCode.OK}, (method, message[:40], code)


def test_random_messages(channel):
    for method, message in random_messages(METHODS):
        code = status_of(channel, method, message)
        assert code in OURS | {grpc.StatusCode.OK}, (method, message, code)


def test_messages_that_are_too_large(channel):
    for method in METHODS[:5]:
        assert status_of(channel, method, bytes(40 << 20)) == grpc.StatusCode.INVALID_ARGUMENT


def test_methods_that_are_none(channel):
    for method in ("/x/y", "/trivium.v1.OnlineService/get", "/" + "x" * 5_000, "//"):
        assert status_of(channel, method, b"") == grpc.StatusCode.UNIMPLEMENTED


class Raw:
    """HTTP/2 by hand: what no gRPC client sends."""

    def __init__(self, server) -> None:
        address = urlsplit(server.grpc)
        self.socket = socket.create_connection((address.hostname, address.port), HANG_SECONDS)
        config = h2.config.H2Configuration(validate_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()

    def call(self, body: bytes, method: str = ONLINE + "Get", **headers: str) -> dict[str, str]:
        """What is answered, headers and trailers; empty where the stream was reset."""
        sent = {
            ":method": "POST",
            ":path": method,
            ":scheme": "http",
            ":authority": "x",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if sent.get("method"):
            sent[":method"] = sent.pop("method")
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, list(sent.items()))
        for start in range(0, len(body), 16_000):
            self.h2.send_data(stream, body[start : start + 16_000])
        self.h2.end_stream(stream)
        said: dict[str, str] = {}
        # A server that ends the connection for a broken stream may do so while this side still
        # acknowledges its settings: what it said before counts. One that hangs is a time-out here.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(self.h2.data_to_send())
            while piece := self.socket.recv(65_536):
                for event in self.h2.receive_data(piece):
                    if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                        said |= {as_text(name): as_text(value) for name, value in event.headers}
                    if isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                        return said
                self.socket.sendall(self.h2.data_to_send())
        return said


def as_text(text) -> str:
    return text.decode() if isinstance(text, bytes) else text


FRAMES = [
    b"",
    b"\x00",
    b"\x00\x00\x00",
    b"\x00\x00\x00\x00\x05abc",
    b"\x00\xff\xff\xff\xff",
    b"\x00\x7f\xff\xff\xff" + b"x" * 100,
    b"\x01\x00\x00\x00\x02\x1f\x8b",
    b"\x02\x00\x00\x00\x00",
    b"\xff\x00\x00\x00\x00",
    b"\x00\x00\x00\x00\x00" * 2,
    b"\x00\x00\x00\x00\x00\x00\x00",
]


def test_frames_that_are_none(server):
    raw = Raw(server)
    for body in FRAMES:
        said = raw.call(body)
        assert said.get("grpc-status") in {"3", "12"}, (body, said)
    raw.socket.close()


def test_headers_that_are_none(server):
    empty = b"\x00\x00\x00\x00\x00"
    for headers in (
        {"content_type": "application/json"},
        {"content_type": ""},
        {"content_type": "application/grpc+nonsense"},
        {"grpc_encoding": "nonsense"},
        {"grpc_encoding": "gzip"},
        {"grpc_timeout": "nonsense"},
        {"grpc_timeout": "99999999999999999H"},
        {"authorization": "\x7f"},
        {"x_request_id": "x" * 10_000},
        {"method": "GET"},
        {"method": "NONSENSE"},
    ):
        raw = Raw(server)
        said = raw.call(empty, **headers)
        raw.socket.close()
        # Or the stream is reset, where HTTP/2 itself forbids such a header.
        fine = said.get("grpc-status") in {"3", "12", "5"} or said.get(":status", "4")[:1] == "4"
        assert fine, (headers, said)
