"""OpenLineage's published schemas (testdata/openlineage), and what an event has against them."""

from __future__ import annotations

import functools
import json

import jsonschema_rs
from conftest import REPO

SCHEMAS = REPO / "testdata/openlineage"


@functools.cache
def schema(name: str) -> dict:
    return json.loads((SCHEMAS / f"{name}.json").read_text())


@functools.cache
def validator(name: str, pointer: str) -> jsonschema_rs.Draft202012Validator:
    both = {one["$id"]: one for one in (schema("OpenLineage"), schema(name))}
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"{schema(name)['$id']}#{pointer}"},
        registry=jsonschema_rs.Registry(list(both.items())),
        validate_formats=True,
    )


def errors(event: dict) -> list[str]:
    """Of an event, and of each facet by the schema that it names."""
    found = [str(error) for error in validator("OpenLineage", "/$defs/RunEvent").iter_errors(event)]
    facets = [event["run"].get("facets"), event["job"].get("facets")]
    for one in [*event.get("inputs", []), *event.get("outputs", [])]:
        facets += [one.get(kind) for kind in ("facets", "inputFacets", "outputFacets")]
    for key, facet in [pair for some in facets if some for pair in some.items()]:
        document, pointer = facet["_schemaURL"].split("#")
        name = document.rpartition("/")[2].removesuffix(".json")
        if schema(name)["$id"] != document or key not in schema(name)["properties"]:
            found.append(f"{key} is none of {name}, or of another version: {document}")
        found += [f"{key}: {error}" for error in validator(name, pointer).iter_errors(facet)]
    return found
