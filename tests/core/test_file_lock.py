"""Locks on files: one holder at a time, until it ends, however it ends."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from core.child_process import ROOT
from core.file_lock import locked, try_lock, unlock

HOLDER = """
import sys
from core.file_lock import try_lock
file = open(sys.argv[1], "wb")
print(try_lock(file), flush=True)
sys.stdin.read()
"""


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "file"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        with path.open("rb") as file:
            assert not try_lock(file, shared=True)
            holder.kill()
            holder.wait()
            assert try_lock(file, shared=True)


def test_those_who_only_ask_do_not_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as owner, path.open("rb") as one, path.open("rb") as other:
        assert try_lock(one, shared=True)
        assert try_lock(other, shared=True)
        assert not try_lock(owner)
        unlock(one)
        unlock(other)
        assert try_lock(owner)


def test_who_comes_second_is_told_and_waits(tmp_path: Path) -> None:
    path, told, order = tmp_path / ".lock", Event(), list[str]()

    def second() -> None:
        with locked(path, told.set):
            order.append("second")

    with ThreadPoolExecutor(1) as threads:
        with locked(path):
            waiting = threads.submit(second)
            assert told.wait(10)
            order.append("first")
        waiting.result(10)
    assert order == ["first", "second"]
