"""A disk that takes no more: what was acknowledged stays; the server says it cannot go on."""

from __future__ import annotations

import resource
import signal

from conftest import Project

# As large as the journal is made at the start, not a byte more.
FILE_BYTES_MAX = 64 << 20
VALUE = "x" * 900_000


def limit(file_bytes: int = FILE_BYTES_MAX) -> None:
    """As a full disk does, this makes a write fail in the middle."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


CONFIG = """{
  "namespace": "notes", "name": "note", "version": 1, "lane": "direct",
  "description": "Notes.", "owner": { "team": "ops", "contact": "ops@example.com" },
  "urgency_tier": 3,
  "entities": [ { "name": "id", "type": "int64" } ],
  "event_timestamp": "event_ts",
  "features": [ { "name": "text", "type": "string", "description": "Text." } ],
  "online": true
}"""


def put(server, number: int):
    row = {"entity": {"id": number}, "values": {"text": f"{number}{VALUE}"}}
    return server.post("/v1/features/online/put", {"view": "notes/note@1", "rows": [row]}).json()[
        "results"
    ][0]


def test_a_full_disk_loses_nothing_and_is_told(tmp_path):
    project = Project.flights(tmp_path / "project")
    notes = project.root / "configs/notes"
    notes.mkdir()
    (notes / "note.v1.json").write_text(CONFIG)
    project.ok("apply", "--reason", "test")
    acknowledged = []
    with project.dev(preexec_fn=limit) as server:
        assert server.get("/readyz").status_code == 200
        for number in range(400):
            result = put(server, number)
            if result["outcome"] == "FAILED":
                break
            acknowledged.append(number)
        assert result["outcome"] == "FAILED", "the limit was never reached"
        assert acknowledged
        # Whether the first that failed was written is unknown; the next were not, and say so.
        after = put(server, 1_000)
        assert after["outcome"] == "FAILED"
        assert after["error"]["code"] == "UNAVAILABLE"
        assert "started again" in after["error"]["help"]
        ready = server.get("/readyz")
        assert ready.status_code == 503
        assert "online store" in ready.text
        assert server.get("/healthz").status_code == 200
    with project.dev() as server:
        assert server.get("/readyz").status_code == 200
        entities = [{"id": number} for number in acknowledged]
        for start in range(0, len(entities), 5):
            chunk = entities[start : start + 5]
            rows = server.post(
                "/v1/features/online/get",
                {"features": ["notes/note@1:text"], "entities": chunk},
            ).json()["rows"]
            assert [row["values"][0] for row in rows] == [
                f"{entity['id']}{VALUE}" for entity in chunk
            ]
        absent = server.post(
            "/v1/features/online/get",
            {"features": ["notes/note@1:text"], "entities": [{"id": 1_000}]},
        ).json()["rows"][0]
        assert absent["statuses"] == ["NOT_FOUND"]
        assert put(server, 1_000)["outcome"] == "APPLIED"


def test_a_disk_that_is_full_from_the_start_is_no_lost_data(tmp_path):
    project = Project.flights(tmp_path / "project")
    project.ok("apply", "--reason", "test")
    done = project.run("dev", "--http", "0", "--grpc", "0", preexec_fn=lambda: limit(1 << 20))
    assert done.returncode == 7, done.stderr
    assert "its disk has room" in done.stderr
    assert "remove the folder" not in done.stderr
