"""The example's features worked out a second time, from the raw CSV files, without Trivium.

DuckDB aggregates; carryover, windows, ttl and "newest" are plain Python over those rows, on purpose
simple-minded: a loop a row, no cleverness shared with the platform.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from sketches import sketch

UTC = dt.UTC
DAY = dt.timedelta(days=1)

RAW = {
    "carrier_daily": """
        SELECT make_date(year, month, day) AS day, carrier, origin,
               count(*) AS flights,
               count(dep_delay) AS departed,
               count(*) FILTER (dep_delay IS NULL) AS cancelled,
               count(*) FILTER (dep_delay <= 15) AS on_time,
               coalesce(sum(dep_delay), 0)::BIGINT AS dep_delay_minutes,
               avg(dep_delay) AS avg_dep_delay,
               avg(arr_delay) AS avg_arr_delay,
               max(dep_delay) AS max_dep_delay,
               count(DISTINCT dest) AS destinations,
               list(DISTINCT dest) AS destinations_sketch
        FROM flights GROUP BY ALL""",
    "route_daily": """
        SELECT make_date(f.year, f.month, f.day) AS day, f.origin, f.dest,
               count(*) AS flights,
               count(f.arr_delay) AS arrived,
               count(DISTINCT f.carrier) AS carriers,
               coalesce(sum(f.arr_delay), 0)::BIGINT AS arr_delay_minutes,
               avg(f.arr_delay) AS avg_arr_delay,
               min(f.air_time) AS min_air_time,
               count(*) FILTER (f.arr_delay > 15) / nullif(count(f.arr_delay), 0) AS late_share,
               any_value(f.distance) AS distance,
               any_value(a.name) AS dest_name
        FROM flights f LEFT JOIN airports a ON a.faa = f.dest GROUP BY ALL""",
    "plane_utilisation": """
        SELECT make_date(f.year, f.month, f.day) AS day, f.tailnum,
               count(*) AS flights,
               coalesce(sum(f.air_time), 0)::BIGINT AS air_minutes,
               sum(f.distance)::BIGINT AS miles,
               avg(f.arr_delay) AS avg_arr_delay,
               max(f.carrier) AS last_carrier,
               any_value(p.manufacturer) AS manufacturer,
               any_value(p.seats) AS seats,
               any_value(2013 - p.year) AS age_years
        FROM flights f LEFT JOIN planes p USING (tailnum)
        WHERE f.tailnum IS NOT NULL AND f.dep_time IS NOT NULL GROUP BY ALL""",
    "airport_weather": """
        SELECT time_hour::DATE AS day, origin, time_hour + INTERVAL 1 HOUR AS event_ts,
               temp AS temperature, dewp AS dew_point, humid AS humidity,
               wind_dir AS wind_direction, wind_speed, wind_gust, precip AS precipitation,
               pressure, visib AS visibility
        FROM weather""",
}


@dataclass(frozen=True)
class View:
    """What the configs say, said again."""

    keys: tuple[str, ...]
    ttl: dt.timedelta
    defaults: dict[str, object]
    carry: int = 0
    # Features that are sketches, as JSON shows them.
    sketches: tuple[str, ...] = ()
    # feature -> (windows in days, how, columns)
    windows: dict[str, tuple[tuple[int, ...], str, tuple[str, ...]]] = field(default_factory=dict)


VIEWS = {
    "carrier_daily": View(
        keys=("carrier", "origin"),
        ttl=14 * DAY,
        defaults={
            name: 0
            for name in (
                "flights",
                "departed",
                "cancelled",
                "on_time",
                "dep_delay_minutes",
                "destinations",
            )
        },
        carry=7,
        sketches=("destinations_sketch",),
        windows={
            "flights": ((7, 30), "sum", ("flights",)),
            "cancelled": ((7, 30), "sum", ("cancelled",)),
            "avg_dep_delay": ((7, 30), "mean", ("dep_delay_minutes", "departed")),
            "max_dep_delay": ((7, 30), "max", ("max_dep_delay",)),
            "destinations": ((7, 30), "distinct", ("destinations_sketch",)),
        },
    ),
    "route_daily": View(
        keys=("origin", "dest"),
        ttl=30 * DAY,
        defaults={
            "flights": 0,
            "arrived": 0,
            "carriers": 0,
            "arr_delay_minutes": 0,
            "dest_name": "unknown",
        },
        carry=14,
        windows={
            "flights": ((7, 28), "sum", ("flights",)),
            "avg_arr_delay": ((7, 28), "mean", ("arr_delay_minutes", "arrived")),
            "min_air_time": ((7, 28), "min", ("min_air_time",)),
        },
    ),
    "plane_utilisation": View(
        keys=("tailnum",),
        ttl=30 * DAY,
        defaults={"flights": 0, "air_minutes": 0, "miles": 0},
        windows={
            "flights": ((7,), "sum", ("flights",)),
            "air_minutes": ((7,), "sum", ("air_minutes",)),
            "miles": ((7,), "sum", ("miles",)),
        },
    ),
    "airport_weather": View(
        keys=("origin",), ttl=2 * DAY, defaults={"precipitation": 0.0, "visibility": 10.0}
    ),
}


@dataclass(frozen=True)
class Row:
    """One published row."""

    day: dt.date
    event_time: dt.datetime
    values: dict[str, object]


def midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), UTC)


def days(first: dt.date, last: dt.date) -> list[dt.date]:
    return [first + n * DAY for n in range((last - first).days + 1)]


class Reference:
    """All raw and published rows of the year."""

    def __init__(self, data: Path) -> None:
        self.db = duckdb.connect()
        self.db.execute("SET TimeZone = 'UTC'")
        for name in ("flights", "weather", "planes", "airports"):
            self.db.execute(
                f"CREATE TABLE {name} AS SELECT * FROM "
                f"read_csv('{data}/{name}.csv', nullstr='NA', sample_size=-1)"
            )
        # What each sketch is of: few values, so that an estimate is the exact number.
        self.sketched: dict[str, frozenset[str]] = {}
        self.raw = {view: self._raw(view) for view in VIEWS}
        self.first, self.last = self.db.execute(
            "SELECT min(d), max(d) FROM (SELECT make_date(year, month, day) d FROM flights)"
        ).fetchone()

    def _raw(self, view: str) -> dict[tuple, dict[dt.date, list[Row]]]:
        cursor = self.db.execute(RAW[view])
        names = [column[0] for column in cursor.description]
        keys = VIEWS[view].keys
        rows: dict[tuple, dict[dt.date, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for record in cursor.fetchall():
            values = dict(zip(names, record, strict=True))
            day = values.pop("day")
            entity = tuple(values.pop(key) for key in keys)
            event_time = values.pop("event_ts", None) or midnight(day + DAY)
            if event_time.tzinfo is None:
                event_time = event_time.replace(tzinfo=UTC)
            for name in VIEWS[view].sketches:
                texts = frozenset(values[name])
                values[name] = sketch(texts)
                self.sketched[values[name]] = texts
            rows[entity][day].append(Row(day, event_time, values))
        return rows

    def features(self, view: str) -> list[str]:
        some = next(iter(next(iter(self.raw[view].values())).values()))[0]
        windows = [
            f"{name}_{length}d"
            for name, (lengths, _, _) in VIEWS[view].windows.items()
            for length in lengths
        ]
        return list(some.values) + windows

    def entities(self, view: str) -> list[tuple]:
        return sorted(self.raw[view])

    def published(self, view: str, entity: tuple, day: dt.date) -> list[Row]:
        """The entity's rows of the partition of one day."""
        shape, rows = VIEWS[view], self.raw[view].get(entity, {})
        fresh = rows.get(day, [])
        if not fresh:
            for back in range(1, shape.carry + 1):
                if old := rows.get(day - back * DAY):
                    newest = max(old, key=lambda row: row.event_time)
                    fresh = [Row(day, midnight(day + DAY), newest.values)]
                    break
        windows = self._windows(shape, rows, day) if fresh else {}
        return [Row(day, row.event_time, row.values | windows) for row in fresh]

    def _windows(self, shape: View, rows: dict, day: dt.date) -> dict[str, object]:
        out: dict[str, object] = {}
        for name, (lengths, how, columns) in shape.windows.items():
            for length in lengths:
                inside = [
                    row.values for back in range(length) for row in rows.get(day - back * DAY, [])
                ]
                out[f"{name}_{length}d"] = self._merge(inside, how, columns)
        return out

    def _merge(self, rows: list[dict], how: str, columns: tuple[str, ...]) -> object:
        if how == "distinct":
            texts = [self.sketched[row[columns[0]]] for row in rows]
            return len(frozenset().union(*texts)) if texts else None
        return merge(rows, how, columns)

    def timeline(self, view: str, entity: tuple, upto: dt.date) -> list[Row]:
        """All of an entity's published rows, oldest first."""
        return sorted(
            (row for day in days(self.first, upto) for row in self.published(view, entity, day)),
            key=lambda row: (row.event_time, row.day),
        )

    def online(self, view: str, entity: tuple, cutoff: dt.date) -> tuple[dict, dict]:
        """Values and statuses after materializing up to a day, at the end of that day."""
        shape, names = VIEWS[view], self.features(view)
        now = midnight(cutoff + DAY)
        newest = None
        if shape.carry:
            # Carried as long as may be, then gone: only the last partition counts.
            if rows := self.published(view, entity, cutoff):
                newest = rows[-1]
        else:
            # Whatever came last, until its ttl is over.
            known = [day for day in self.raw[view].get(entity, {}) if day <= cutoff]
            if known:
                newest = max(self.published(view, entity, max(known)), key=lambda r: r.event_time)
        default = {name: shape.defaults.get(name) for name in names}
        if newest is None:
            return default, dict.fromkeys(names, "NOT_FOUND")
        if newest.event_time < now - shape.ttl:
            return default, dict.fromkeys(names, "EXPIRED")
        values = {name: newest.values[name] for name in names}
        return values, {n: "NULL" if v is None else "PRESENT" for n, v in values.items()}


def merge(rows: list[dict], how: str, columns: tuple[str, ...]) -> object:
    def known(column: str) -> list:
        return [row[column] for row in rows if row[column] is not None]

    if how == "mean":
        total, count = known(columns[0]), known(columns[1])
        return sum(total) / sum(count) if sum(count) else None
    values = known(columns[0])
    if not values:
        return None
    return {"sum": sum, "max": max, "min": min}[how](values)
