"""Asks real Spark once for the answer to every case and writes answers.json beside this file.

Run it in the environment that scripts/spark-env makes. Values are written so that nothing is lost:
bigints and decimals as strings, floats by their shortest exact text, timestamps as microseconds.
"""

import datetime
import decimal
import json
import math
import os
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ["TZ"] = "UTC"

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def cases():
    """Every case of every file: its name and its SQL."""
    for path in sorted((HERE / "cases").glob("*.sql")):
        for block in path.read_text(encoding="utf-8").split("-- case: ")[1:]:
            name, _, rest = block.partition("\n")
            lines = rest.split("\n")
            while lines and lines[0].startswith(("-- local:", "-- close", "-- unordered", "-- sketches")):
                lines.pop(0)
            yield f"{path.stem}: {name.strip()}", "\n".join(lines).strip()


def number(text):
    return float(text.replace("Infinity", "inf")) if isinstance(text, str) else float(text)


def to_spark(value, kind):
    """A value of tables.json as Spark takes it."""
    if value is None:
        return None
    if kind in ("double", "float"):
        return number(value)
    if kind.startswith("decimal"):
        return decimal.Decimal(value)
    if kind == "date":
        return datetime.date.fromisoformat(value)
    if kind == "timestamp":
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    return value


def plain(value, kind):
    """A value of Spark's as JSON."""
    if value is None:
        return None
    if kind.startswith("array<"):
        return [plain(item, kind[6:-1]) for item in value]
    if kind in ("double", "float"):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        if kind == "float":
            value = struct.unpack("f", struct.pack("f", value))[0]
        return repr(value)
    if kind == "bigint" or kind.startswith("decimal"):
        return format(value, "f") if isinstance(value, decimal.Decimal) else str(value)
    if kind == "date":
        return value.isoformat()
    if kind == "timestamp":
        at = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return str((at - EPOCH) // datetime.timedelta(microseconds=1))
    if kind == "binary":
        return bytes(value).hex()
    if isinstance(value, (bool, int, str)):
        return value
    return repr(value)


def main():
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.default.parallelism", "1")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    tables = json.loads((HERE / "tables.json").read_text(encoding="utf-8"))
    for name, table in tables.items():
        schema = ", ".join(f"{column} {kind}" for column, kind in table["columns"])
        rows = [
            tuple(to_spark(value, kind) for value, (_, kind) in zip(row, table["columns"]))
            for row in table["rows"]
        ]
        spark.createDataFrame(rows, schema).coalesce(1).createOrReplaceTempView(name)
    answers = {}
    for name, sql in cases():
        assert name not in answers, name
        try:
            frame = spark.sql(sql)
            columns = [[field.name, field.dataType.simpleString()] for field in frame.schema.fields]
            rows = [[plain(value, kind) for value, (_, kind) in zip(row, columns)] for row in frame.collect()]
            answers[name] = {"columns": columns, "rows": rows}
        except Exception as error:  # the class of the error is the answer
            condition = getattr(error, "getCondition", lambda: None)() or getattr(error, "getErrorClass", lambda: None)()
            answers[name] = {"error": condition or type(error).__name__}
        print("error" if "error" in answers[name] else "ok", name, answers[name].get("error", ""), flush=True)
    lines = [f"{json.dumps(name)}: {json.dumps(answer, ensure_ascii=False)}" for name, answer in answers.items()]
    text = '{\n"spark": ' + json.dumps(spark.version) + ',\n"cases": {\n' + ",\n".join(lines) + "\n}\n}\n"
    (HERE / "answers.json").write_text(text, encoding="utf-8")
    spark.stop()


main()
