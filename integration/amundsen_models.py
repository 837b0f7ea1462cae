"""Run by the Python of Amundsen's databuilder (scripts/amundsen-env): makes its own models of the
facts in a JSON file, lets its own loader write them, and compares with what `trivium tag` wrote.

    amundsen_models.py FACTS TAGGED OUT

Prints, as JSON, what only one of the two has.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from databuilder.loader.file_system_neo4j_csv_loader import FsNeo4jCSVLoader
from databuilder.models.badge import Badge, BadgeMetadata
from databuilder.models.feature.feature_generation_code import FeatureGenerationCode
from databuilder.models.feature.feature_metadata import FeatureMetadata
from databuilder.models.feature.feature_watermark import FeatureWatermark
from databuilder.models.owner import Owner
from databuilder.models.table_lineage import ColumnLineage, TableLineage
from databuilder.models.table_metadata import ColumnMetadata, TableMetadata
from databuilder.models.table_owner import TableOwner
from databuilder.models.table_stats import TableColumnStats
from databuilder.models.watermark import Watermark
from pyhocon import ConfigFactory

DB, LAKE, SOURCES = "trivium", "lake", "sources"


def models(facts: dict):
    view, record = facts["view"], facts["record"]
    schema, table = view["namespace"], f"{view['name']}_v{view['version']}"
    table_key = f"{DB}://{LAKE}.{schema}/{table}"
    keys = [entity["name"] for entity in view["entities"]]
    features = {one["name"]: one for one in facts["features"]}
    described = {one["name"]: one.get("description") for one in view["entities"]}
    described |= {name: one["description"] for name, one in features.items()}
    columns = [one for one in record["statistics"] if one["column"] != "carried_from"]
    yield TableMetadata(
        DB,
        LAKE,
        schema,
        table,
        view["description"],
        [
            ColumnMetadata(
                one["column"],
                described.get(one["column"]),
                one["type"],
                order,
                badges=["join_key"] if one["column"] in keys else None,
            )
            for order, one in enumerate(columns)
        ],
        tags=view["tags"],
    )
    badges = [Badge(view["lane"], "lane"), Badge(f"tier_{view['urgency_tier']}", "urgency")]
    badges += [Badge("online", "serving")] if view["online"] else []
    yield BadgeMetadata("Table", table_key, badges)
    contact = view["owner"]["contact"]
    yield TableOwner(DB, schema, table, [contact], cluster=LAKE)
    for kind in ["low_watermark", "high_watermark"]:
        yield Watermark(facts["finished"], DB, schema, table, facts[kind], kind, LAKE)
    for one in columns:
        stats = {"count": one["count"], "null_count": one["null_count"]}
        stats["nan_count"] = one.get("nan_count")
        distinct = one.get("distinct", {})
        exact = "distinct_count" if distinct.get("exact") else "approx_distinct_count"
        stats[exact] = distinct.get("count")
        stats |= {name: one.get(name) for name in ["min", "max", "mean"]}
        stats["median"] = one.get("quantiles", {}).get("0.5")
        for name, value in stats.items():
            if value is not None:
                edges = (facts["start_seconds"], facts["end_seconds"])
                yield TableColumnStats(
                    table, one["column"], name, value, *edges, db=DB, cluster=LAKE, schema=schema
                )

    def source_key(name: str) -> tuple[str, str]:
        schema, _, name = name.rpartition(".")
        return schema or "default", name

    taken: dict[str, set[str]] = {name: set() for name in record["tables"]}
    downstream: dict[str, list[str]] = {}
    for one in record["lineage"]:
        for source in one["sources"]:
            if source.get("table") and source["column"] != "*":
                taken[source["table"]].add(source["column"])
                source_schema, name = source_key(source["table"])
                key = f"{DB}://{SOURCES}.{source_schema}/{name}/{source['column']}"
                downstream.setdefault(key, []).append(f"{table_key}/{one['column']}")
    for name, source_columns in taken.items():
        source_schema, name = source_key(name)
        parts = [
            ColumnMetadata(column, None, "unknown", order)
            for order, column in enumerate(sorted(source_columns))
        ]
        yield TableMetadata(DB, SOURCES, source_schema, name, None, parts)
        yield TableLineage(f"{DB}://{SOURCES}.{source_schema}/{name}", [table_key])
    for key, columns_below in downstream.items():
        yield ColumnLineage(key, columns_below)

    group, version = f"{schema}.{view['name']}", str(view["version"])
    for name, feature in features.items():
        yield FeatureMetadata(
            group,
            name,
            version,
            status="active",
            entity="+".join(sorted(keys)),
            data_type=next(one["type"] for one in columns if one["column"] == name),
            availability=[DB],
            description=feature["description"],
            tags=view["tags"] + feature.get("tags", []),
            last_updated_timestamp=facts["finished_seconds"],
        )
        key = f"{group}/{name}/{version}"
        yield Owner("Feature", key, [(feature.get("owner") or view["owner"])["contact"]])
        yield FeatureGenerationCode(
            group,
            name,
            version,
            facts["sql"],
            f"{schema}/{view['name']}@{version}",
            facts["finished_seconds"],
        )
        for kind in ["low_watermark", "high_watermark"]:
            yield FeatureWatermark(group, name, version, facts[f"{kind}_seconds"], kind)


def rows(folder: Path) -> set[tuple]:
    """All rows of a folder's files, each with the headings of its cells."""
    found = set()
    for file in sorted(folder.glob("*.csv")):
        with file.open(encoding="utf8", newline="") as text:
            for row in csv.DictReader(text):
                found.add(tuple(sorted(row.items())))
    return found


def main() -> None:
    facts, tagged, out = (Path(argument) for argument in sys.argv[1:])
    loader = FsNeo4jCSVLoader()
    folders = {"node_dir_path": str(out / "nodes"), "relationship_dir_path": str(out / "relations")}
    loader.init(ConfigFactory.from_dict(folders | {"delete_created_directories": False}))
    for model in models(json.loads(facts.read_text())):
        loader.load(model)
    loader.close()
    answer = {}
    pairs = {"nodes": "nodes", "relationships": "relations"}
    for ours, theirs in pairs.items():
        a, b = rows(tagged / ours), rows(out / theirs)
        answer[ours] = {
            "count": len(a),
            "only_ours": sorted(map(str, a - b)),
            "only_theirs": sorted(map(str, b - a)),
        }
    nodes = {(row["LABEL"], row["KEY"]) for row in map(dict, rows(tagged / "nodes"))}
    answer["ends_missing"] = [
        str(row)
        for row in map(dict, rows(tagged / "relationships"))
        if (row["START_LABEL"], row["START_KEY"]) not in nodes
        or (row["END_LABEL"], row["END_KEY"]) not in nodes
    ]
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
