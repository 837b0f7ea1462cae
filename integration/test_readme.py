"""Every command of the README works as printed, on the data as `make demo` leaves it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import PATIENCE_SECONDS, REPO, TRIVIUM, Project

BLOCK = re.compile(r"^```\n(.*?)^```", re.M | re.S)


def blocks() -> list[list[str]]:
    text = (REPO / "README.md").read_text()
    found = [block.strip().split("\n") for block in BLOCK.findall(text)]
    assert len(found) >= 8
    return [block for block in found if not block[0].startswith("make ")]


@pytest.fixture(scope="module")
def checkout(year, tmp_path_factory) -> Path:
    """Like this checkout after `make demo`, in a folder of its own."""
    root = tmp_path_factory.mktemp("readme") / "checkout"
    shutil.copytree(year.root, root, symlinks=True)
    project = Project.flights(root)
    # The README names files relative to the checkout.
    text = (root / "trivium.toml").read_text().replace(str(root / "configs"), "configs")
    (root / "trivium.toml").write_text(text)
    project.ok("materialize")
    shutil.copytree(REPO / "dags", root / "dags")
    return root


def test_commands(checkout, tmp_path):
    ran = 0
    folder = checkout
    environment = os.environ | {"PATH": f"{link(tmp_path)}:{os.environ['PATH']}"}
    for block in blocks():
        server = None
        for line in block:
            # Folders of its own, ports of its own: nothing outside of the test is touched.
            command = line.replace("/tmp/", f"{tmp_path}/")
            if command.startswith("cd "):
                folder = Path(shlex.split(command)[1])
                continue
            if command == "trivium dev":
                server = Project(folder).dev()
                running = server.__enter__()
                continue
            if server:
                command = command.replace("http://127.0.0.1:7400", running.http)
                command = command.replace("grpc://127.0.0.1:7401", running.grpc)
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            assert "panicked" not in done.stderr
            if "curl" in command:
                assert '"features"' in done.stdout, done.stdout
            ran += 1
        if server:
            server.__exit__(None, None, None)
    assert ran >= 20, ran


def link(folder: Path) -> Path:
    programs = folder / "bin"
    programs.mkdir()
    (programs / "trivium").symlink_to(TRIVIUM)
    return programs
