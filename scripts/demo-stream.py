#!/usr/bin/env python
"""Flights of 2013 as a stream, and features that change with it: `make demo-stream`.

Starts a Kafka, registry and serving, and a worker, all of them on this machine; replays departures
and arrivals from a day on, in the order in which they happened; and shows what is online, read as
models read it, until Ctrl-C, until so many minutes have passed, or until the flights are over.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import shutil
import signal
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO / "integration"), str(REPO / "sdks/python/src")]

from conftest import CACHE  # noqa: E402
from live_flights import NEW_YORK, LiveFlights, Replay, movements  # noqa: E402

ORIGINS = ("EWR", "JFK", "LGA")
DESTS = ("ATL", "BOS", "CLT", "FLL", "LAX", "MCO", "ORD", "SFO")
TERMINAL_SECONDS, FILE_SECONDS = 0.5, 5.0
# So long is looked for a row that was just sent.
LOOK_SECONDS = 5.0


def say(text: str) -> None:
    print(text, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo-stream", description=__doc__)
    parser.add_argument(
        "--day",
        type=dt.date.fromisoformat,
        default=dt.date(2013, 7, 10),
        help="the first day of flights, of 2013; a day of thunderstorms if absent",
    )
    parser.add_argument("--days", type=int, default=3, help="how many days; 3 if absent")
    parser.add_argument(
        "--speed", type=float, default=600.0, help="minutes in a minute; 600 if absent"
    )
    parser.add_argument("--minutes", type=float, help="end after so many, by the clock on the wall")
    given = parser.parse_args()
    if given.day.year != 2013:
        parser.error(f"--day {given.day}: the flights are those of 2013")
    for name in ("days", "speed", "minutes"):
        if (value := getattr(given, name)) is not None and not 0 < value < math.inf:
            parser.error(f"--{name} {value}: give a number above 0")
    return given


class Table:
    """What is online, drawn again and again over itself; on no terminal, one below the other."""

    def __init__(self, live: LiveFlights, replay: Replay) -> None:
        self.live, self.replay = live, replay
        self.is_terminal = sys.stdout.isatty()
        self.before: dict[tuple[str, str], list] = {}
        self.lines = 0
        self.changes = 0

    def draw(self) -> None:
        now = self.replay.clock()
        partitions = self.live.workers[0].partitions()
        lag = sum(each["lag_records"] or 0 for each in partitions)
        waiting = f"{lag:,} messages waiting" if partitions else "the worker has no partitions now"
        lines = [
            f"{now.astimezone(NEW_YORK):%a %d %b %Y, %H:%M} in New York    "
            f"{self.replay.sent:,} movements sent    {waiting}",
            "",
            *self._view(
                "flights/airport_departures@1", "origin", ORIGINS, now, ("departures", "carriers")
            ),
            "",
            *self._view("flights/airport_arrivals@1", "dest", DESTS, now, ("arrivals", "last")),
            "",
            self._plane(),
        ]
        if self.is_terminal and self.lines:
            sys.stdout.write(f"\x1b[{self.lines}A")
        clear = "\x1b[K" if self.is_terminal else ""
        say("\n".join(line + clear for line in lines))
        self.lines = len(lines)

    def _view(
        self, view: str, key: str, airports: tuple[str, ...], now: dt.datetime, ends: tuple
    ) -> list[str]:
        count, last = ends
        lines = [
            f"{view:<30} {count:>11} {'mean delay':>12} {'worst':>8} {last:>9}"
            f" {'hour until':>12} {'behind':>8}"
        ]
        for airport, (values, at) in zip(
            airports, self.live.rows(view, key, airports), strict=True
        ):
            if at is None:
                lines.append(f"  {airport:<28} {'-':>11}")
                continue
            before = self.before.get((view, airport))
            self.before[view, airport] = values
            self.changes += before != values
            numbers = [self._number(values, before, index) for index in range(3)]
            until = dt.datetime.fromisoformat(at)
            behind = int((now - until).total_seconds() // 60)
            lines.append(
                f"  {airport:<28} {numbers[0]:>11} {numbers[1]:>12} {numbers[2]:>8} {values[3]:>9}"
                f" {until.astimezone(NEW_YORK):%H:%M}".ljust(75)
                + f" {behind:>6} min"
            )
        return lines

    @staticmethod
    def _number(values: list, before: list | None, index: int) -> str:
        value = values[index]
        if value is None:
            return "-"
        was = before[index] if before else None
        arrow = " " if was is None or was == value else "↑" if value > was else "↓"
        return f"{value:.1f} {arrow}" if isinstance(value, float) else f"{value} {arrow}"

    def _plane(self) -> str:
        """The newest that the broker has: how long until it is online?"""
        if self.replay.newest is None:
            return "no plane has moved yet"
        movement, since = self.replay.newest
        while time.monotonic() - since < LOOK_SECONDS:
            [(values, at)] = self.live.rows("flights/plane_live@1", "tailnum", [movement.tailnum])
            if at is not None and dt.datetime.fromisoformat(at) >= movement.at:
                is_up, flight, origin, dest, _ = values
                where = f"in the air from {origin} to {dest}" if is_up else f"landed at {dest}"
                waited = time.monotonic() - since
                return (
                    f"flights/plane_live@1  {movement.tailnum}: {flight} {where};"
                    f" seen online {waited:.2f} s after Kafka had it"
                )
            time.sleep(0.01)
        return f"flights/plane_live@1  {movement.tailnum}: not online after {LOOK_SECONDS:.0f} s"


def watch(live: LiveFlights, replay: Replay, minutes: float | None) -> None:
    """Draws until the time is over, or what the last flights did is online."""
    table = Table(live, replay)
    until = None if minutes is None else time.monotonic() + minutes * 60
    pause = TERMINAL_SECONDS if table.is_terminal else FILE_SECONDS
    try:
        while until is None or time.monotonic() < until:
            is_last = replay.ended.is_set() and live.is_done()
            for server in (live.serving, *live.workers):
                if server.process.poll() is not None:
                    raise SystemExit(f"demo-stream: error: a server ended; see {server.log}")
            if replay.failed:
                raise SystemExit(f"demo-stream: error: Kafka took no message: {replay.failed[0]}")
            table.draw()
            if is_last:
                break
            time.sleep(pause if until is None else max(0, min(pause, until - time.monotonic())))
    finally:
        say(f"\ndemo-stream: {replay.sent:,} movements, {table.changes:,} changes seen online")


def main() -> int:
    given = arguments()
    # Also where a shell has started it in the background, and would ignore the first.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    root = CACHE / "demo-stream"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    live = replay = None
    try:
        say(f"demo-stream: reading the flights from {given.day} on")
        flights = movements(given.day, given.days)
        say(f"demo-stream: starting Kafka, serving and a worker in {root}")
        live = LiveFlights(root)
        http, grpc = (f"127.0.0.1:{port}" for port in live.ports)
        say(
            f"demo-stream: serving http://{http} and grpc://{grpc}, Kafka {live.kafka.brokers};"
            f" from another terminal, for example:\n"
            f"  trivium get flights/airport_departures@1 --entity origin=JFK --server grpc://{grpc}\n"
            f"demo-stream: {len(flights):,} departures and arrivals, {given.speed:g} times as fast"
            " as they were; until Ctrl-C\n"
        )
        replay = Replay(live.producer, flights, given.speed)
        replay.start()
        watch(live, replay, given.minutes)
    except KeyboardInterrupt:
        say("demo-stream: ending")
    finally:
        if replay is not None:
            replay.stop()
        if live is not None:
            live.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
