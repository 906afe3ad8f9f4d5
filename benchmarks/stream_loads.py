"""Loads sent to a target, and what was measured of both."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import msgspec

from benchmarks.load_generator import Report
from benchmarks.processes import ROOT, BenchmarkError, Footprint
from benchmarks.target_servers import MODEL, Target

Kind = Literal["streams", "plain", "hold"]


class Sample(NamedTuple):
    """The result of one load: rates per second, `cpu` in the target's milliseconds per call."""

    calls: float
    events: float
    cpu: float
    first_chunk: list[float]


def run_load(target: Target, kind: Kind, connections: int, seconds: float) -> Sample:
    before = target.process.footprint().cpu
    with _load(target, kind, connections, seconds) as report:
        cpu = target.process.footprint().cpu - before
    return Sample(
        report.calls / report.seconds,
        report.events / report.seconds,
        cpu / report.calls * 1000,
        report.first_chunk,
    )


def footprint_while_holding(target: Target, streams: int) -> Footprint:
    """The footprint of the target with this many open streams, some seconds after the last has begun."""
    with _load(target, "hold", streams, 0):
        time.sleep(3)
        return target.process.footprint()


@contextmanager
def _load(target: Target, kind: Kind, connections: int, seconds: float) -> Iterator[Report]:
    command = [sys.executable, "-m", "benchmarks.load_generator", kind, "127.0.0.1", str(target.port)]
    command += ["--path", target.path, "--model", MODEL]
    command += ["--connections", str(connections), "--seconds", str(seconds)]
    for header in target.headers:
        command += ["--header", header]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as load:
        assert load.stdin
        assert load.stdout
        assert load.stderr
        try:
            line = load.stdout.readline()
            if not line:
                raise BenchmarkError(
                    f"the load on {target.name} broke:\n{load.stderr.read().decode()[-3000:]}"
                )
            yield _checked(target, kind, msgspec.json.decode(line, type=Report))
        finally:
            load.stdin.close()


def _checked(target: Target, kind: Kind, report: Report) -> Report:
    if report.failures:
        raise BenchmarkError(
            f"{report.failures} call(s) to {target.name} failed ({kind}); the first:\n{report.first_failure}"
        )
    if kind != "hold" and not report.calls:
        raise BenchmarkError(f"{target.name} answered nothing ({kind})")
    return report


def percentile(values: Sequence[float], part: float) -> float:
    """The percentile of sorted values, by nearest rank."""
    return values[min(len(values) - 1, int(len(values) * part))]


def median_percentile(samples: Sequence[Sample], part: float) -> float:
    """A percentile of the time to the first chunk, in milliseconds: the median over the rounds."""
    return statistics.median(percentile(sample.first_chunk, part) for sample in samples) * 1000
