"""This machine's processes, read from `/proc`."""

import contextlib
import os
import signal
from pathlib import Path


def _status(pid: int) -> tuple[str, int]:
    """The process's state, such as R, and its parent; the state is X if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0
    state, parent = text.rpartition(")")[2].split()[:2]
    return state, int(parent)


def is_alive(pid: int) -> bool:
    return _status(pid)[0] not in "XZ"


def children(pid: int) -> list[int]:
    every = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return [one for one in every if is_alive(one) and _status(one)[1] == pid]


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]


def is_sandbox_worker(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return b"media.processing.sandbox.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def sandbox_workers(pid: int) -> list[int]:
    return [child for child in children(pid) if is_sandbox_worker(child)]


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
