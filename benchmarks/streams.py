"""Streams and plain requests: the service against a plain relay, or others, before the same upstream."""

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import say
from benchmarks.stream_loads import footprint_while_holding, run_load
from benchmarks.stream_table import Measurements, render
from benchmarks.target_servers import STARTERS, Target, start_upstream

CONNECTIONS = 16


class Plan(NamedTuple):
    """Names of `STARTERS`, interleaved rounds, seconds for each load, and streams held for the footprint."""

    targets: list[str]
    rounds: int
    seconds: float
    open_streams: int


def measure_streams(folder: Path, plan: Plan) -> str:
    """Start an upstream and the targets, measure them, and return the table."""
    say("starting " + ", ".join(plan.targets))
    with ExitStack() as stack:
        upstream = start_upstream(folder)
        stack.callback(upstream.process.stop)
        targets = [upstream]
        for name in plan.targets:
            target = STARTERS[name](upstream.port, folder)
            stack.callback(target.process.stop)
            targets.append(target)
        measured = _measure(targets, plan)
    title = f"streams and plain requests, {plan.seconds:g} s each\n"
    return title + render(measured, plan.open_streams, CONNECTIONS)


def _measure(targets: list[Target], plan: Plan) -> list[Measurements]:
    """Measure all targets in turn in each round; the footprints first, while the targets are fresh."""
    measured = [Measurements(target.name) for target in targets]
    for target, one in zip(targets, measured, strict=True):
        if target.name != "upstream":
            run_load(target, "streams", 1, 0)
            one.idle = target.process.footprint()
            one.holding = footprint_while_holding(target, plan.open_streams)
            run_load(target, "streams", CONNECTIONS, 1)
    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}")
        for target, one in zip(targets, measured, strict=True):
            one.alone.append(run_load(target, "streams", 1, plan.seconds / 2))
            one.streams.append(run_load(target, "streams", CONNECTIONS, plan.seconds))
            one.plain.append(run_load(target, "plain", CONNECTIONS, plan.seconds))
    return measured
