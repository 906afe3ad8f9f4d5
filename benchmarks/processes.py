"""Processes that a benchmark starts and inspects, none of which it leaves behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 20.0

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_MEGABYTE = 1024 * 1024

T = TypeVar("T")


class BenchmarkError(Exception):
    """The reason why there is no result."""


class Footprint(NamedTuple):
    """What a process and all its descendants use; `cpu` is in seconds since they began."""

    megabytes: float
    threads: int
    cpu: float
    processes: int


class Process:
    """A command in its own session; what it prints goes to a file."""

    def __init__(
        self, name: str, command: list[str], folder: Path, env: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self._output = folder / f"{name}.log"
        with self._output.open("wb") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ if env is None else env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def printed(self) -> str:
        return self._output.read_text(errors="replace")

    def wait_for(self, what: Callable[[], T | None]) -> T:
        """Return the first value that `what` gives.

        Raises `BenchmarkError` if the process ends or hangs before.
        """
        latest = time.monotonic() + START_SECONDS
        while time.monotonic() < latest and self._popen.poll() is None:
            found = what()
            if found is not None:
                return found
            time.sleep(0.02)
        raise BenchmarkError(f"{self.name} did not start:\n{self.printed()[-3000:]}")

    def printed_port(self) -> int:
        return self.wait_for(
            lambda: int(line) if (line := self.printed().partition("\n")[0]).isdigit() else None
        )

    def footprint(self) -> Footprint:
        megabytes, threads, cpu, processes = 0.0, 0, 0.0, 0
        for stat in _family(self._popen.pid).values():
            megabytes += stat.resident / _MEGABYTE
            threads += stat.threads
            cpu += stat.cpu
            processes += 1
        return Footprint(megabytes, threads, cpu, processes)

    def stop(self) -> None:
        """Send SIGTERM. Raises `BenchmarkError` if that leaves anything running (which is then killed)."""
        family = _family(self._popen.pid)
        self._popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(STOP_SECONDS)
        left = [pid for pid, stat in family.items() if _same_process(pid, stat)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self._popen.wait()
        if left:
            raise BenchmarkError(
                f"{self.name} left {len(left)} process(es) behind:\n{self.printed()[-3000:]}"
            )


def children() -> set[int]:
    """The processes that this one has started and that have not ended."""
    pids = (int(path.name) for path in _PROC.iterdir() if path.name.isdigit())
    return {pid for pid in pids if (stat := _stat(pid)) and stat.parent == os.getpid()}


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used so far, over all its threads."""
    stat = _stat(pid)
    if stat is None:
        raise BenchmarkError(f"process {pid} ended")
    return stat.cpu


def peak_megabytes(pid: int) -> float:
    """The peak resident memory of a process so far."""
    status = (_PROC / str(pid) / "status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


class _Stat(NamedTuple):
    parent: int
    session: int
    cpu: float
    threads: int
    started: int
    resident: int


def _stat(pid: int) -> _Stat | None:
    """The contents of /proc/PID/stat, see proc(5); None if the process has ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    if state == "Z":
        return None
    number = [int(field) for field in fields]
    return _Stat(
        parent=number[0],
        session=number[2],
        cpu=(number[10] + number[11]) / _TICKS,
        threads=number[16],
        started=number[18],
        resident=number[20] * os.sysconf("SC_PAGESIZE"),
    )


def _same_process(pid: int, before: _Stat) -> bool:
    now = _stat(pid)
    return now is not None and now.started == before.started


def _family(leader: int) -> dict[int, _Stat]:
    """The processes of a session and all their descendants."""
    everyone = {int(path.name): _stat(int(path.name)) for path in _PROC.iterdir() if path.name.isdigit()}
    family: dict[int, _Stat] = {}
    grown = True
    while grown:
        grown = False
        for pid, stat in everyone.items():
            if stat and pid not in family and (stat.session == leader or stat.parent in family):
                family[pid] = stat
                grown = True
    return family


def say(what: str) -> None:
    """Tell on standard error what is going on; standard output is for results."""
    print(what, file=sys.stderr, flush=True)
