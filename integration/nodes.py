"""A serving node as it runs in earnest, `trivium-serving` on DynamoDB Local, Valkey and OpenSearch.
The servers are those that `scripts/setup-stores` installs; none of them outlives the test."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import requests
from conftest import CACHE, PATIENCE_SECONDS, SERVING, Project, Running

INSTALLED = CACHE / "servers"
# Ends the server when this process has ended, however that was: the pipe is closed then.
WATCH = '"$@" & echo $!; exec >/dev/null; read -r _; kill -9 $! 2>/dev/null; wait'
JAVA = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Store:
    """A server's process in a folder of its own."""

    def __init__(self, root: Path, name: str, *command: str) -> None:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
        self.log = folder / "log"
        self.watcher = subprocess.Popen(
            ["sh", "-c", WATCH, "sh", *command],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("wb"),
        )
        self.pid = int(self.watcher.stdout.readline())

    def until(self, is_ready) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(OSError):
                if is_ready():
                    return
            assert time.monotonic() < deadline, f"not ready: {self.log.read_text()}"
            time.sleep(0.05)

    def stop(self) -> None:
        self.watcher.communicate(b"")


class Stores:
    """One of each. The slow ones start side by side."""

    def __init__(self, root: Path) -> None:
        assert INSTALLED.exists(), f"{INSTALLED} is missing: run scripts/setup-stores"
        self.root = root
        dynamodb, opensearch, transport = (free_port() for _ in range(3))
        self.dynamodb = f"http://127.0.0.1:{dynamodb}"
        self.opensearch = f"http://127.0.0.1:{opensearch}"
        config = root / "opensearch"
        config.mkdir()
        lines = [
            "cluster.name: trivium-test",
            "node.name: trivium-test",
            "discovery.type: single-node",
            "network.host: 127.0.0.1",
            f"http.port: {opensearch}",
            f"transport.port: {transport}",
            f"path.data: {root / 'opensearch-data'}",
            f"path.logs: {root / 'opensearch-logs'}",
            # A full disk of the machine is not what is tested: it would lock every index.
            "cluster.routing.allocation.disk.threshold_enabled: false",
        ]
        (config / "opensearch.yml").write_text("\n".join(lines) + "\n")
        home = INSTALLED / "opensearch"
        self.running = [
            Store(
                root,
                "opensearch",
                *(*JAVA, f"{home}/node:{home}/lib/*", "OpenSearchNode", str(home), str(config)),
            ),
            Store(
                root,
                "dynamodb",
                *(*JAVA, f"{INSTALLED / 'dynamodb-local'}/*"),
                "software.amazon.dynamodb.services.local.main.ServerRunner",
                *("-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(dynamodb)),
            ),
        ]
        index, table = self.running
        table.until(lambda: requests.get(self.dynamodb, timeout=5).status_code > 0)
        health = f"{self.opensearch}/_cluster/health"
        index.until(lambda: requests.get(health, timeout=5).status_code == 200)

    def stop(self) -> None:
        for server in self.running:
            server.stop()

    def scan(self, table: str) -> list[dict]:
        """The items of a table, past all nodes, in order."""
        items, request = [], {"TableName": table, "ConsistentRead": True}
        # DynamoDB Local wants credentials, and takes any.
        headers = {
            "x-amz-target": "DynamoDB_20120810.Scan",
            "content-type": "application/x-amz-json-1.0",
            "authorization": "AWS4-HMAC-SHA256 Credential=local/20130101/eu-central-1/dynamodb/"
            "aws4_request, SignedHeaders=host, Signature=0",
        }
        while True:
            answer = requests.post(
                self.dynamodb, data=json.dumps(request), headers=headers, timeout=PATIENCE_SECONDS
            )
            answer.raise_for_status()
            page = answer.json()
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return sorted(items, key=json.dumps)
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


class Node(Running):
    """`trivium-serving` on a table, indexes and a cache of its own, with what the project's
    registry has been told."""

    def __init__(
        self, project: Project, stores: Stores, clock: str = 'data = "2014-01-01T00:00:00Z"'
    ) -> None:
        self.stores = stores
        self.table = project.root.name
        port = free_port()
        self.valkey = Store(
            project.root,
            "valkey",
            str(INSTALLED / "valkey/valkey-server"),
            *("--bind", "127.0.0.1", "--port", str(port), "--save", ""),
            *("--maxmemory-policy", "volatile-lru"),
        )
        self.valkey.until(lambda: socket.create_connection(("127.0.0.1", port)).close() is None)
        self.config = project.root / "serving.toml"
        self.config.write_text(
            f"""
registry.url = "sqlite:{project.root / ".trivium/registry.db"}"
clock = {{ {clock} }}
listen = {{ http = "127.0.0.1:0", grpc = "127.0.0.1:0" }}
opensearch = {{ endpoint = "{stores.opensearch}", prefix = "{self.table}-", replicas = 0 }}

# Patient: a busy machine is no outage.
[valkey]
servers = ["127.0.0.1:{port}"]
command_timeout_ms = 2000

[dynamodb]
table = "{self.table}"
region = "eu-central-1"
endpoint = "{stores.dynamodb}"
attempt_timeout_ms = 20000
limit_ms = 60000
"""
        )
        command = [SERVING, "--config", str(self.config)]
        options = {
            "cwd": project.root,
            "env": {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"},
        }
        made = subprocess.run(
            [*command, "stores", "init"],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
            **options,
        )
        assert made.returncode == 0, made.stderr
        super().__init__(command, project.root / "node.log", **options)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.get("/healthz").json()["cache"]["in_use"]:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        super().stop()
        self.valkey.stop()

    def items(self) -> list[dict]:
        """What the table holds: rows, tombstones, erasures. Not the epoch record, which lives on by
        itself, nor the barriers that reads raise, nor what the examples of the OpenAPI document
        write."""
        items = []
        for item in self.stores.scan(self.table):
            kept = {name: item[name] for name in item if not name.startswith("barrier")}
            is_own = item["pk"]["S"] == "#cache" or item["sk"]["S"] == "ground_stop#1"
            if not is_own and kept.keys() - {"pk", "sk", "expires_at"}:
                items.append(kept)
        return items
