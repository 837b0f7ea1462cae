"""Services with inputs and derived features: read online and joined from history, the same."""

from __future__ import annotations

import datetime as dt
import json
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trivium
from conftest import REPO, Project

NOW = dt.datetime(2013, 1, 4, tzinfo=dt.UTC)
SERVICE = "flights/quote@1"
STORED = [
    "carrier_daily@1:flights_7d",
    "carrier_daily@1:avg_dep_delay_7d",
    "airport_weather@1:wind_speed",
    "airport_weather@1:wind_gust",
]
INPUTS = {
    "seats": "int64",
    "departure": "timestamp",
    "asked_at": "timestamp",
    "label": "string",
}
DERIVED = {
    "minutes_until": ("int64", "timestampdiff(MINUTE, asked_at, departure)"),
    "is_weekend": ("bool", "dayofweek(departure) IN (1, 7)"),
    "seats_per_flight": ("float64", "seats / flights_7d"),
    "all_seats": ("int64", "seats * carrier_daily.flights_7d"),
    "risk": (
        "float64",
        "coalesce(avg_dep_delay_7d, 0e0) + CASE WHEN wind_speed > 15 THEN 10e0 ELSE 0e0 END",
    ),
    "gust_known": ("bool", "airport_weather.wind_gust IS NOT NULL"),
    "remark": ("string", "label || ':' || CASE WHEN flights_7d IS NULL THEN 'new' ELSE 'old' END"),
}
CONFIG = {
    "namespace": "flights",
    "name": "quote",
    "version": 1,
    "description": "What is asked before a departure.",
    "owner": {"team": "ops-ml", "contact": "ops-ml@example.com"},
    "features": STORED,
    "inputs": [
        {"name": name, "type": kind, "description": "Sent."} for name, kind in INPUTS.items()
    ],
    "derived": [
        {"name": name, "type": kind, "description": "Computed.", "sql": sql}
        for name, (kind, sql) in DERIVED.items()
    ],
}
DOCUMENT = (REPO / "docs/on-demand.md").read_text()
PATH = "configs/flights/quote.v1.service.json"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """Three days of real flights, in the lake and online."""
    project = Project.flights(tmp_path_factory.mktemp("on_demand"), clock=NOW.isoformat())
    (project.root / PATH).write_text(json.dumps(CONFIG, indent=2))
    documented = re.search(r"```json\n(.*?)```", DOCUMENT, re.S)[1]
    (project.root / "configs/flights/departure.v1.service.json").write_text(documented)
    project.ok("apply", "--reason", "on demand")
    for view in ("flights/carrier_daily@1", "flights/airport_weather@1"):
        project.ok("run", view, "--from", "2013-01-01", "--to", "2013-01-03")
        project.ok("materialize", view)
    return project


@pytest.fixture(scope="module")
def server(project):
    with project.dev() as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with trivium.Client(server.grpc, deadline=120) as client:
        yield client


def asked() -> pd.DataFrame:
    """Entities with rows of both views, of one, of none; inputs that are there, null, extreme."""
    rows = []
    for number, (carrier, origin) in enumerate(
        (carrier, origin)
        for carrier in ("AA", "B6", "DL", "EV", "UA", "ZZ")
        for origin in ("EWR", "JFK", "LGA", "QQQ")
    ):
        rows.append(
            {
                "carrier": carrier,
                "origin": origin,
                "seats": None if number % 7 == 3 else (2**62 if number % 5 == 0 else number * 10),
                "departure": None
                if number % 6 == 1
                else NOW + dt.timedelta(hours=5 * number, seconds=number),
                "asked_at": NOW,
                "label": None if number % 4 == 2 else f"ż{number}",
            }
        )
    frame = pd.DataFrame(rows)
    frame["seats"] = frame["seats"].astype("Int64")
    for name in ("departure", "asked_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    return frame


def full(name: str) -> str:
    return f"{SERVICE}:{name}"


def test_online_and_history_compute_the_same(client):
    frame = asked()
    online = client.batch_get(SERVICE, frame[["carrier", "origin"]], inputs=frame[[*INPUTS]])
    online = online.to_arrow()
    assert online.column_names == [f"flights/{name}" for name in STORED] + [*map(full, DERIVED)]
    spine = pa.Table.from_pandas(frame, preserve_index=False)
    spine = spine.append_column(
        "event_timestamp", pa.array([NOW] * len(frame), pa.timestamp("us", "UTC"))
    )
    history = client.historical(SERVICE, spine)
    compared = 0
    for name in DERIVED:
        ours = online[full(name)].combine_chunks()
        theirs = history[f"quote__{name}"].combine_chunks()
        assert ours.type == theirs.type, name
        assert ours.to_pylist() == theirs.to_pylist(), name
        compared += len(ours)
    assert compared == len(DERIVED) * len(frame)

    # And both are what Python says, from what was read and sent.
    def stored(name: str) -> list:
        return history[name.replace("@1:", "__")].to_pylist()

    flights, delays, winds, gusts = map(stored, STORED)
    assert None in flights and None in winds and None in gusts and any(gusts)
    for at, row in enumerate(spine.to_pylist()):
        seats, departure, label = row["seats"], row["departure"], row["label"]
        product = None if seats is None or flights[at] is None else seats * flights[at]
        wanted = {
            "minutes_until": departure and int((departure - NOW).total_seconds() // 60),
            "is_weekend": departure and departure.isoweekday() >= 6,
            "seats_per_flight": None if product is None else seats / flights[at],
            "all_seats": None if product is None or product >= 2**63 else product,
            "risk": (delays[at] or 0.0) + (10.0 if (winds[at] or 0) > 15 else 0.0),
            "gust_known": gusts[at] is not None,
            "remark": label and f"{label}:{'new' if flights[at] is None else 'old'}",
        }
        assert {name: online[full(name)][at].as_py() for name in DERIVED} == wanted, row


def test_rest_and_get_say_the_same(client, server):
    frame = asked()
    online = client.batch_get(SERVICE, frame[["carrier", "origin"]], inputs=frame[[*INPUTS]])
    entities = []
    for row in pa.Table.from_pandas(frame, preserve_index=False).to_pylist():
        sent = {name: value for name, value in row.items() if value is not None}
        for name in ("departure", "asked_at"):
            if name in sent:
                sent[name] = sent[name].isoformat().replace("+00:00", "Z")
        if sent.get("seats", 0) > 2**53:
            sent["seats"] = str(sent["seats"])
        entities.append(sent)
    answer = server.post(
        "/v1/features/online/get", {"service": SERVICE, "entities": entities}
    ).json()
    assert answer["features"] == online.to_arrow().column_names
    places = [answer["features"].index(full(name)) for name in DERIVED]
    plain = [[row["values"][place] for place in places] for row in answer["rows"]]
    columns = online.to_arrow()
    grpc = [[columns[full(name)][at].as_py() for name in DERIVED] for at in range(len(frame))]
    for values in plain:
        # Beyond 2^53 JSON spells them as strings.
        values[3] = int(values[3]) if isinstance(values[3], str) else values[3]
    assert plain == grpc
    # Of one entity, with one input only.
    row = client.get(SERVICE, {"carrier": "AA", "origin": "JFK"}, inputs={"seats": 150})
    assert row.values[full("all_seats")] == 150 * row.values["flights/carrier_daily@1:flights_7d"]
    assert row.statuses[full("minutes_until")] is trivium.Status.NULL
    assert row.statuses[full("all_seats")] is trivium.Status.PRESENT
    # One value for all.
    batch = client.batch_get(
        SERVICE, {"carrier": ["AA", "ZZ"], "origin": ["JFK", "JFK"]}, inputs={"label": "x"}
    )
    assert batch.to_arrow()[full("remark")].to_pylist() == ["x:old", "x:new"]


def test_the_documented_request(server):
    body = re.search(r"-d '(.*?)'\n", DOCUMENT, re.S)[1]
    answer = server.post("/v1/features/online/get", json.loads(body)).json()
    assert answer["features"][2:] == [
        "flights/departure@1:minutes_until",
        "flights/departure@1:seats_per_flight",
    ]
    american, united = (row["values"] for row in answer["rows"])
    assert american[2:] == [120, 150 / american[0]]
    assert united[2:] == [None, 80 / united[0]]


def test_wrong_inputs_are_refused(client):
    entity = {"carrier": "AA", "origin": "JFK"}
    with pytest.raises(trivium.InvalidArgumentError, match="`seat` is no input") as error:
        client.get(SERVICE, entity, inputs={"seat": 1})
    assert error.value.field == "inputs.seat"
    with pytest.raises(trivium.InvalidArgumentError, match="expected int64"):
        client.get(SERVICE, entity, inputs={"seats": "many"})
    with pytest.raises(trivium.InvalidArgumentError, match="2 values for 1 entities"):
        client.batch_get(SERVICE, [entity], inputs={"seats": [1, 2]})
    with pytest.raises(trivium.InvalidArgumentError, match="no input"):
        client.get(["flights/carrier_daily@1"], entity, inputs={"seats": 1})
    frame = asked().drop(columns="seats").assign(event_timestamp=NOW)
    with pytest.raises(trivium.InvalidArgumentError, match="no column `seats`") as error:
        client.historical(SERVICE, frame)
    assert error.value.field == "entities.seats"


def test_the_command_takes_inputs(project, server, tmp_path):
    frame = asked().head(4)
    events = tmp_path / "events.csv"
    frame.assign(event_timestamp=NOW.isoformat()).to_csv(events, index=False)
    out = tmp_path / "training.parquet"
    project.ok("history", "--entities", str(events), "--service", SERVICE, "--out", str(out))
    seats = pq.read_table(out)["quote__all_seats"].to_pylist()
    entity = ("--entity", "carrier=AA", "--entity", "origin=JFK")
    sent = ("--input", f"seats={frame['seats'][1]}")
    asking = ("get", SERVICE, *entity, "--server", server.http)
    answer = project.json(*asking, *sent)
    place = answer["features"].index(full("all_seats"))
    assert answer["rows"][0]["values"][place] == seats[1] and seats[1]
    done = project.run(*asking, "--input", "seat=1")
    assert done.returncode != 0 and "`seat` is no input" in done.stderr


def test_what_is_wrong_is_told_at_its_place(project, tmp_path):
    broken = Project.flights(tmp_path / "broken", clock=NOW.isoformat())
    text = json.dumps(CONFIG, indent=2)
    wrong = text.replace("seats * carrier_daily", "seats + carier_daily")
    (broken.root / PATH).write_text(wrong)
    done = broken.run("validate")
    assert done.returncode != 0
    at = next(number for number, line in enumerate(wrong.splitlines(), 1) if "carier" in line)
    column = wrong.splitlines()[at - 1].index("carier") + 1
    assert f"quote.v1.service.json:{at}:{column}: error[bad-expression]" in (
        done.stdout + done.stderr
    )
    # Other SQL is another version.
    changed = text.replace("wind_speed > 15", "wind_speed > 20")
    (project.root / PATH).write_text(changed)
    try:
        done = project.run("apply", "--reason", "in place")
        assert done.returncode != 0 and "risk.sql" in done.stdout + done.stderr
    finally:
        (project.root / PATH).write_text(text)
