"""What the tests share: the built command, projects in temporary folders, servers on free ports."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

REPO = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("TRIVIUM_CACHE") or Path.home() / ".cache/trivium")
DATA = CACHE / "data/nycflights13"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "target")
TRIVIUM = os.environ.get("TRIVIUM") or str(TARGET / "debug/trivium")
SERVING = str(Path(TRIVIUM).resolve().with_name("trivium-serving"))

sys.path.insert(0, str(Path(__file__).parent))
# The Python client, as it is here.
sys.path.insert(0, str(REPO / "sdks/python/src"))

# Generous: the machines that run this are small and busy. Nothing waits so long when all is well.
PATIENCE_SECONDS = 120


class Project:
    """A project folder and the command on it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def flights(cls, root: Path, clock: str = "2014-01-01T00:00:00Z") -> Project:
        root.mkdir(parents=True, exist_ok=True)
        text = (REPO / "trivium.toml").read_text()
        text = re.sub(r'^data = ".*"$', f'data = "{clock}"', text, flags=re.M)
        text = text.replace('configs = "configs"', f'configs = "{root / "configs"}"')
        (root / "trivium.toml").write_text(text)
        if not (root / "configs").exists():
            shutil.copytree(REPO / "configs", root / "configs")
        return cls(root)

    def command(self, *args: str) -> list[str]:
        return [TRIVIUM, *args]

    def run(self, *args: str, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*args),
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS * 5,
            **options,
        )

    def ok(self, *args: str) -> str:
        done = self.run(*args)
        assert done.returncode == 0, (
            f"trivium {' '.join(args)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout

    def json(self, *args: str):
        return json.loads(self.ok(*args, "--output", "json"))

    @contextlib.contextmanager
    def dev(self, *args: str, **options):
        """`trivium dev` on free ports, stopped by SIGTERM at the end."""
        server = Server(self, *args, **options)
        try:
            yield server
        finally:
            server.stop()


class Running:
    """A process that says its addresses in a line of JSON, and serves until SIGTERM."""

    def __init__(self, command: list[str], log: Path, **options) -> None:
        self.log = log
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log.open("ab"), text=True, **options
        )
        line = self.process.stdout.readline()
        assert line, f"{command[0]} did not start: {log.read_text()}"
        addresses = json.loads(line)
        self.http, self.grpc = addresses["http"], addresses.get("grpc")
        self.session = requests.Session()

    def post(self, path: str, body) -> requests.Response:
        if isinstance(body, bytes | str):
            return self.session.post(
                self.http + path,
                data=body,
                headers={"content-type": "application/json"},
                timeout=PATIENCE_SECONDS,
            )
        return self.session.post(self.http + path, json=body, timeout=PATIENCE_SECONDS)

    def get(self, path: str) -> requests.Response:
        return self.session.get(self.http + path, timeout=PATIENCE_SECONDS)

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-4_000:]

    def kill(self) -> None:
        """With kill -9. Who has ended by itself was not killed: of kills there were fewer."""
        ended = self.process.poll()
        assert ended is None, f"it had ended by itself ({ended}): {self.last_words()}"
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while self.process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            if self.process.poll() is None:
                self.process.kill()
                pytest.fail("it did not stop on SIGTERM")
        self.session.close()


class Server(Running):
    """`trivium dev`, on free ports if none are named."""

    def __init__(
        self, project: Project, *args: str, ports: tuple[int, int] = (0, 0), **options
    ) -> None:
        http, grpc = map(str, ports)
        command = project.command("dev", "--http", http, "--grpc", grpc, "--output", "json", *args)
        super().__init__(command, project.root / "dev.log", cwd=project.root, **options)


@pytest.fixture(scope="session")
def year(tmp_path_factory) -> Project:
    """The example, applied and run over the whole year; nothing materialized. Read only."""
    project = Project.flights(tmp_path_factory.mktemp("year"))
    project.ok("apply", "--reason", "integration test")
    project.ok("run", "--from", "2013-01-01", "--to", "2013-12-31")
    return project


@pytest.fixture(scope="session")
def reference():
    from reference import Reference

    return Reference(DATA)


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    """DynamoDB Local and OpenSearch, for all nodes."""
    from nodes import Stores

    stores = Stores(tmp_path_factory.mktemp("stores"))
    yield stores
    stores.stop()
