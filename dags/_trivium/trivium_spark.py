# Made by trivium-daggen 0.1.0, with the DAGs: not to be edited.
# content: sha256:db1d782a8f41641de45bdd4c8540cb20e5f4c088517ff756a55bbd1d2fdd6b3f
"""Runs one job of Trivium's on Spark: `spark-submit trivium_spark.py JOB.json`.

A job is a JSON document (crates/spark/src/job.rs says what is in it): tables, queries over them and
statements, all of them rendered; nothing is decided here. Each query's rows are written as Parquet,
and what came of the job stands in `result.json` beside it, put there by one rename at the very end:
a job that died, or that runs twice, leaves either nothing or one whole result.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col, to_utc_timestamp
from pyspark.sql.types import TimestampNTZType

# The job's format, and this file's version: a job names both, and no other is run.
FORMAT = 2
VERSION = "2"

# What makes Spark's answers those that Trivium promises, whatever the cluster's defaults are.
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.compression.codec": "snappy",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # A file that cannot be read is an error, and never some rows less.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: spark-submit trivium_spark.py JOB.json", file=sys.stderr)
        return 2
    path = Path(arguments[0]).absolute()
    job = json.loads(path.read_text(encoding="utf-8"))
    if (job["format"], job["runner"]) != (FORMAT, VERSION):
        print(
            f"{path} is for runner {job['runner']} (format {job['format']}), "
            f"this is {VERSION} (format {FORMAT}): "
            "generate the DAGs again with the `trivium` that writes the jobs",
            file=sys.stderr,
        )
        return 2
    spark = session(job)
    try:
        result = run(spark, job, path.parent)
    finally:
        spark.stop()
    new = path.parent / f".result-{uuid.uuid4().hex}.json"
    with new.open("w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path.parent / "result.json")
    print(f"trivium: {job['name']}: done")
    return 0


def session(job: dict[str, Any]) -> SparkSession:
    builder = SparkSession.builder.appName(job["name"])
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    if job["hive"]:
        builder = builder.enableHiveSupport()
    return builder.getOrCreate()


def run(spark: SparkSession, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    # A folder of its own for each attempt: one that was given up for dead writes nowhere else.
    attempt = folder / f"attempt-{uuid.uuid4().hex}"
    queries = []
    for step in job["steps"]:
        for table in step.get("tables", []):
            read(spark, table).createOrReplaceTempView(table["name"])
        if "statement" in step:
            spark.sql(step["statement"])
            continue
        if "create" in step:
            fit_table(spark, step["table"], step["columns"], step["create"])
            continue
        rows = spark.sql(step["query"])
        out = attempt / step["name"]
        rows.write.parquet(address(out))
        written = spark.read.schema(rows.schema).parquet(address(out))
        if step.get("view"):
            written.createOrReplaceTempView(step["view"])
        name = step["name"]
        queries.append({"name": name, "folder": f"{attempt.name}/{name}"})
        print(f"trivium: {job['name']}: {name}: written")
    return {
        "format": FORMAT,
        "runner": VERSION,
        "job": job["id"],
        "spark": spark.version,
        "queries": queries,
    }


def fit_table(
    spark: SparkSession,
    table: str,
    columns: list[list[str]],
    create: str,
) -> None:
    if spark.catalog.tableExists(table):
        wanted = {}
        for name, kind in columns:
            null = spark.sql(f"SELECT CAST(NULL AS {kind}) AS c")
            wanted[name.lower()] = null.schema[0].dataType
        for field in spark.table(table).schema.fields:
            if wanted.get(field.name.lower(), field.dataType) != field.dataType:
                # The metastore cannot widen a column. The files are not the table's.
                spark.sql(f"DROP TABLE {table}")
                break
    spark.sql(create)
    known = {field.name.lower() for field in spark.table(table).schema.fields}
    missing = []
    for name, kind in columns:
        if name.lower() not in known:
            quoted = name.replace("`", "``")
            missing.append(f"`{quoted}` {kind}")
    if missing:
        spark.sql(f"ALTER TABLE {table} ADD COLUMNS ({', '.join(missing)})")


def read(spark: SparkSession, table: dict[str, Any]) -> DataFrame:
    reader = spark.read.format(table["format"])
    for name, value in table.get("options", {}).items():
        reader = reader.option(name, value)
    if table.get("schema"):
        reader = reader.schema(table["schema"])
    rows = reader.load([address(Path(path)) for path in table["paths"]])
    return in_utc(rows, table.get("time_zone", "UTC"))


def address(path: Path) -> str:
    """A path as Hadoop takes it: percent signs stand for themselves there."""
    return f"file://{path}"


def in_utc(rows: DataFrame, zone: str) -> DataFrame:
    """Zone-less times become instants, as every other engine of Trivium's takes them."""
    for field in rows.schema.fields:
        if isinstance(field.dataType, TimestampNTZType):
            instant = to_utc_timestamp(col(f"`{field.name}`").cast("timestamp"), zone)
            rows = rows.withColumn(field.name, instant)
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
