"""Embeddings in a project: put, found, kept across restarts and a kill.

By `trivium dev`, and by single verbs."""

from __future__ import annotations

import json

import pytest
from conftest import Project

VIEW = "shop/products@1"
CONFIG = {
    "namespace": "shop",
    "name": "products",
    "version": 1,
    "lane": "direct",
    "description": "What is sold.",
    "owner": {"team": "shop", "contact": "shop@example.com"},
    "urgency_tier": 3,
    "entities": [{"name": "sku", "type": "string"}],
    "event_timestamp": "event_ts",
    "features": [
        {"name": "price", "type": "float64", "description": "The price."},
        {"name": "color", "type": "string", "description": "The color."},
        {
            "name": "picture",
            "type": {"embedding": {"dimension": 2, "metric": "cosine"}},
            "description": "The picture.",
        },
    ],
    "online": True,
}


@pytest.fixture
def project(tmp_path) -> Project:
    root = tmp_path / "shop"
    (root / "configs/shop").mkdir(parents=True)
    (root / "trivium.toml").write_text('[project]\nconfigs = "configs"\ndata_dir = ".trivium"\n')
    (root / "configs/shop/products.v1.json").write_text(json.dumps(CONFIG))
    project = Project(root)
    project.ok("apply", "--reason", "search test")
    return project


def search(server, **question):
    answer = server.post(
        "/v1/features/online/search",
        {"feature": f"{VIEW}:picture", "k": 5, **question},
    )
    assert answer.status_code == 200, answer.text
    return [hit["entity"]["sku"] for hit in answer.json()["hits"]]


def put(server, sku, **values):
    body = {"view": VIEW, "rows": [{"entity": {"sku": sku}, "values": values}]}
    answer = server.post("/v1/features/online/put", body)
    assert answer.json()["results"][0]["outcome"] == "APPLIED", answer.text


def test_search_survives_restarts(project):
    with project.dev() as server:
        put(server, "lamp", price=5, color="red", picture=[1, 0])
        put(server, "sofa", price=50, color="red", picture=[1, 1])
        put(server, "desk", price=20, picture=[0, 1])
        assert search(server, vector=[1, 0]) == ["lamp", "sofa", "desk"]
        assert search(server, entity={"sku": "desk"}) == ["sofa", "lamp"]
        health = server.get("/healthz").json()
        assert health["embeddings"] == {"indexes": 1, "problems": {}}
    with project.dev() as server:
        assert search(server, vector=[1, 0]) == ["lamp", "sofa", "desk"]
        put(server, "lamp", price=7)
        cheap = {"range": {"price": {"lt": 6}}}
        assert search(server, vector=[1, 0], filter=cheap) == []
        put(server, "lamp", picture=[-1, 0])
        server.kill()
    with project.dev() as server:
        assert search(server, vector=[-1, 0])[0] == "lamp"
        features = [f"{VIEW}:{name}" for name in ("price", "color", "picture")]
        body = {"features": features, "entities": [{"sku": "lamp"}]}
        row = server.post("/v1/features/online/get", body).json()["rows"][0]
        assert row["values"] == [7.0, "red", [-1.0, 0.0]]


def test_the_command_searches(project):
    item = ("--entity", "sku=lamp", "--set", "price=5", "--set", "picture=[1, 0]")
    project.ok("put", VIEW, *item, "--wait-for-search")
    project.ok("put", VIEW, "--entity", "sku=sofa", "--set", "price=50", "--set", "picture=[0, 1]")
    question = ("search", f"{VIEW}:picture", "--vector", "[1, 0.5]", "--show", "price")
    here = project.json(*question)
    assert [hit["entity"]["sku"] for hit in here["hits"]] == ["lamp", "sofa"]
    assert [hit["values"] for hit in here["hits"]] == [[5.0], [50.0]]
    assert "lamp" in project.ok(*question)
    cheap = project.json(*question, "--where", "price<10", "--min-score", "0.1")
    assert [hit["entity"]["sku"] for hit in cheap["hits"]] == ["lamp"]
    like = project.json("search", f"{VIEW}:picture", "--entity", "sku=lamp", "-k", "1")
    assert [hit["entity"]["sku"] for hit in like["hits"]] == ["sofa"]
    assert project.json("get", VIEW, "--entity", "sku=lamp")["rows"][0]["values"]
    missing = project.run("search", f"{VIEW}:picture", "--entity", "sku=nothing")
    assert missing.returncode != 0 and "no row" in missing.stderr
    with project.dev() as server:
        for base in (server.http, server.grpc):
            assert project.json(*question, "--server", base) == here
            found = project.json(*question, "--where", "price>=10", "--server", base)
            assert [hit["entity"]["sku"] for hit in found["hits"]] == ["sofa"]
        busy = project.run(*question)
        assert busy.returncode != 0 and "trivium dev" in busy.stderr
