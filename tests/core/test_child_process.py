"""Child processes: how they are started, told to die, and described when they have."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.child_process import ROOT, child_command, describe_exit, end, spawn
from tests.support.processes import is_alive
from tests.support.running_server import wait_until

WAITING = "print('begun', flush=True); sys.stdin.read(); print('asked', flush=True); raise SystemExit(3)"


@pytest.fixture
def begun() -> Iterator[list["subprocess.Popen[bytes]"]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        end(process)
        for pipe in filter(None, (process.stdin, process.stdout)):
            pipe.close()


def begin(begun: list["subprocess.Popen[bytes]"], code: str) -> "subprocess.Popen[bytes]":
    source = f"import os, sys; from core.child_process import *; {code}"
    process = spawn((sys.executable, "-c", source), stdin=subprocess.PIPE)
    begun.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    return process


def test_a_child_that_ends_by_itself_in_time_is_not_killed(begun: list["subprocess.Popen[bytes]"]) -> None:
    process = begin(begun, WAITING)
    assert process.stdin is not None
    process.stdin.close()
    assert end(process, 20) == "exit status 3"
    assert end(process) == "exit status 3"


def test_one_that_does_not_is_killed_with_its_own_children(begun: list["subprocess.Popen[bytes]"]) -> None:
    process = begin(begun, "child = os.fork() or os.getpid(); " + WAITING)
    assert end(process) == "signal SIGKILL"
    assert process.stdout is not None
    assert b"asked" not in process.stdout.read(), "the fork had kept the pipe open"


def test_stop_signals_are_left_to_the_parent(begun: list["subprocess.Popen[bytes]"]) -> None:
    process = begin(begun, "ignore_stop_signals(); " + WAITING)
    assert os.getsid(process.pid) == process.pid
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
    assert process.stdin is not None
    process.stdin.close()
    assert end(process, 20) == "exit status 3"


def test_a_child_dies_with_its_parent_though_it_watches_no_pipe(
    begun: list["subprocess.Popen[bytes]"],
) -> None:
    code = "die_with_parent(os.getppid()); print(os.getpid(), flush=True); import time; time.sleep(60)"
    inner = f"import os; from core.child_process import *; {code}"
    parent = begin(begun, f"spawn((sys.executable, '-c', {inner!r}), stdin=0).stdout.readline(); " + WAITING)
    [child] = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(int(child)))


def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    code = "from core.child_process import *; die_with_parent(1 << 30); print('begun')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_the_working_directory_hides_no_module(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "__init__.py").write_text("raise AssertionError('not ours')")
    command = child_command("core.ids")
    subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit status 0"), (-9, "signal SIGKILL"), (-63, "signal 63"), (None, "it does not end")],
)
def test_an_end_is_described(status: int | None, words: str) -> None:
    assert describe_exit(status) == words
