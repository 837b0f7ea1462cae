"""Asks real Spark once for every expression of asked.json and writes answers.json beside this file.

Run it in the environment that scripts/spark-env makes. Values are written so that nothing is lost:
bigints and decimals as strings, floats by their shortest exact text, timestamps as microseconds.
"""

import datetime
import json
import math
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ["TZ"] = "UTC"

TOGETHER = 50


def plain(value, kind):
    """A value of Spark's as JSON."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if kind in ("double", "float"):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return repr(value)
    if kind.startswith("decimal"):
        return format(value, "f")
    if kind in ("bigint", "timestamp"):
        return str(value)
    if kind == "date":
        return datetime.date.isoformat(value)
    return value


def main():
    from pyspark.sql import SparkSession

    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.sql.ansi.enabled", "true")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    asked = json.loads((HERE / "asked.json").read_text(encoding="utf-8"))
    columns = asked["columns"]
    schema = "number int, " + ", ".join(f"{name} string" for name, _ in columns)
    rows = [[number, *row] for number, row in enumerate(asked["rows"])]
    casts = [f"CAST({name} AS {kind}) AS {name}" for name, kind in columns]
    grid = spark.createDataFrame(rows, schema).selectExpr("number", *casts).cache()
    grid.createOrReplaceTempView("grid")
    answers = []
    expressions = asked["expressions"]
    for start in range(0, len(expressions), TOGETHER):
        some = expressions[start : start + TOGETHER]
        items = ", ".join(f"{sql} AS v{place}" for place, (_, _, sql) in enumerate(some))
        frame = spark.sql(f"SELECT number, {items} FROM grid")
        kinds = [kind for _, kind in frame.dtypes][1:]
        # Python has no instants before the year 1 in other zones, and Spark would go by them.
        whole = [
            f"unix_micros(v{place}) AS v{place}" if kind == "timestamp" else f"v{place}"
            for place, kind in enumerate(kinds)
        ]
        found = sorted(frame.selectExpr("number", *whole).collect())
        for place, kind in enumerate(kinds):
            answers.append([kind, [plain(row[place + 1], kind) for row in found]])
        print(len(answers), "of", len(expressions), flush=True)
    lines = ",\n".join(json.dumps(answer, ensure_ascii=False) for answer in answers)
    text = f'{{\n"spark": "{spark.version}",\n"answers": [\n{lines}\n]\n}}\n'
    (HERE / "answers.json").write_text(text, encoding="utf-8")
    spark.stop()


if __name__ == "__main__":
    main()
