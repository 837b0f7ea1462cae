"""Several views read one topic: `source.filter` says which messages are whose."""

from __future__ import annotations

import json

from streams import DEAD_LETTERS, Event, Streams, send

AT = 1_357_002_000_000_000


def view(name: str, filter: str, **source) -> dict:
    return {
        "namespace": "fleet",
        "name": name,
        "version": 1,
        "lane": "stream",
        "description": "The last one of a kind.",
        "owner": {"team": "fleet", "contact": "fleet@example.com"},
        "urgency_tier": 2,
        "entities": [{"name": "plane", "type": "string"}],
        "event_timestamp": "at",
        "source": {
            "format": "json",
            "topic": "flights",
            "time_unit": "us",
            "filter": filter,
            **source,
        },
        "features": [{"name": "delay", "type": "int64", "description": "Minutes."}],
        "online": True,
    }


KIND = {"filter_columns": [{"name": "kind", "type": "string"}]}
DEPARTURE = view("departure", "kind = 'departure'", **KIND)
LATE = view("late_arrival", "kind = 'arrival' AND delay > 15", **KIND)
TABLE = view("table", "delay > 15", format="debezium_json", topic="changes")


def passed_over(streams: Streams) -> dict[str, int]:
    """By view."""
    found = {}
    for line in streams.workers[0].get("/metrics").text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("trivium_ingest_passed_over_total"):
            found[name.split('"')[1]] = int(float(value))
    return found


def delays(streams: Streams, name: str, planes: list[str]) -> list:
    body = {
        "features": [f"fleet/{name}@1:delay"],
        "entities": [{"plane": plane} for plane in planes],
    }
    rows = streams.serving.post("/v1/features/online/get", body).json()["rows"]
    return [row["values"][0] for row in rows]


def flight(plane: str, kind: str | None, at: int, **fields) -> Event:
    said = {"plane": plane, "at": AT + at, **({"kind": kind} if kind else {}), **fields}
    return Event("flights", plane.encode(), json.dumps(said).encode())


def change(op: str, plane: str, at: int, before: int | None, after: int | None) -> Event:
    def row(delay: int | None) -> dict | None:
        return None if delay is None else {"plane": plane, "at": AT + at, "delay": delay}

    said = {"op": op, "before": row(before), "after": row(after)}
    return Event("changes", plane.encode(), json.dumps(said).encode())


def test_views_take_their_own_messages_of_a_topic(tmp_path):
    streams = Streams(tmp_path, [DEPARTURE, LATE, TABLE], flights=3, changes=1)
    try:
        streams.workers = [streams.new_worker(0)]
        planes = [f"N{number}" for number in range(40)]
        sent = []
        for number, plane in enumerate(planes):
            sent += [
                flight(plane, "departure", 1, delay=number),
                flight(plane, "arrival", 2, delay=number + 1),
                # No row of anybody, and none of it is wrong: nobody looks at what else is in it.
                flight(plane, "fuelled", 3, delay=99, litres=1_000),
                flight(plane, None, 4, delay=99),
                Event("flights", plane.encode(), b'{"kind": "parked"}'),
            ]
        sent += [
            change("c", "N0", 1, None, 20),
            change("u", "N0", 2, 20, 30),
            change("c", "N1", 1, None, 20),
            change("u", "N1", 2, 20, 10),
            change("c", "N2", 1, None, 10),
            change("r", "N3", 1, None, 16),
            change("d", "N3", 2, 16, None),
        ]
        send(streams.producer, sent)
        streams.until_read()
        assert delays(streams, "departure", planes) == list(range(40))
        late = [number + 1 if number + 1 > 15 else None for number in range(40)]
        assert delays(streams, "late_arrival", planes) == late
        assert delays(streams, "table", planes[:4]) == [30, None, None, None]
        assert not list(streams.kafka.read(DEAD_LETTERS))
        assert passed_over(streams) == {
            "fleet/departure@1": 40 * 4,
            "fleet/late_arrival@1": 40 * 4 + 15,
            "fleet/table@1": 1,
        }
        # What a view wants and cannot read is a letter as ever, and whose it is.
        send(
            streams.producer,
            [
                flight("N1", "departure", 9, delay="late"),
                flight("N1", "departure", 9),
                Event("flights", b"N1", b'{"kind": 1}'),
            ],
        )
        streams.until_read()
        letters = [dict(message.headers()) for message in streams.kafka.read(DEAD_LETTERS)]
        said = sorted(
            (letter["trivium-dlq-view"].decode(), letter["trivium-dlq-field"].decode())
            for letter in letters
        )
        assert said == [
            ("fleet/departure@1", "delay"),
            ("fleet/departure@1", "kind"),
            ("fleet/late_arrival@1", "kind"),
        ]
        # One that is unset is a row.
        assert delays(streams, "departure", ["N1"]) == [None]
    finally:
        streams.stop()
