"""A sampling profiler that Python imports at startup in every process of a profiled service.

While the file `on` is in the folder `CHATAPI_PROFILE`, each thread's stack is sampled every
`INTERVAL` seconds and given the CPU time that the thread has used since the last sample, so waiting
counts for nothing. When `on` is gone, the result is written to `PID.json`. Only Python functions are
seen: what they call in C counts as theirs, and the event loop's own work as that of what runs it.
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

INTERVAL = 0.002
SWITCH_INTERVAL = 0.000005
"""Seconds that a thread keeps running when the sampler wants to look.

With the default it would mostly be caught where it releases the interpreter by itself (system calls,
SQLite), never in short functions; with this the shares agree with those that py-spy finds from outside.
"""
_POLL = 0.05
_FROM = ("site-packages/", "python3.11/", "python3.12/", "python3.13/", "python3.14/")


class _ThreadSamples:
    """Nanoseconds of one thread, by function: at the top of the stack, and anywhere in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.last: int | None = None
        self.top: Counter[CodeType] = Counter()
        self.anywhere: Counter[CodeType] = Counter()

    def add(self, frame: FrameType | None, spent: int) -> None:
        if frame:
            self.top[frame.f_code] += spent
        seen = set()
        while frame:
            seen.add(frame.f_code)
            frame = frame.f_back
        for code in seen:
            self.anywhere[code] += spent


def _cpu_nanoseconds(native_id: int) -> int | None:
    """The CPU time of any thread of this process, by a clock id built as on Linux: see clock_getres(2)."""
    try:
        return time.clock_gettime_ns((~native_id << 3) | 6)
    except OSError:
        return None


def _sample_threads(threads: dict[int, _ThreadSamples]) -> None:
    frames = sys._current_frames()
    for thread in threading.enumerate():
        if thread.native_id is None or thread is threading.current_thread():
            continue
        cpu = _cpu_nanoseconds(thread.native_id)
        if cpu is None:
            continue
        samples = threads.setdefault(thread.native_id, _ThreadSamples(thread.name))
        if samples.last is not None and cpu > samples.last:
            samples.add(frames.get(thread.ident or 0), cpu - samples.last)
        samples.last = cpu


def _label(code: CodeType) -> str:
    path = code.co_filename
    for prefix in _FROM:
        path = path.rpartition(prefix)[2]
    return f"{path.removeprefix(str(Path.cwd()) + '/')}:{code.co_firstlineno} {code.co_qualname}"


def _as_json(threads: dict[int, _ThreadSamples], process: float) -> str:
    return json.dumps(
        {
            "process": int(process * 1e9),
            "threads": [
                {
                    "name": samples.name,
                    "top": {_label(code): spent for code, spent in samples.top.items()},
                    "anywhere": {_label(code): spent for code, spent in samples.anywhere.items()},
                }
                for samples in threads.values()
            ],
        }
    )


def _sample(folder: Path) -> None:
    switch = folder / "on"
    while True:
        while not switch.exists():
            time.sleep(_POLL)
        threads: dict[int, _ThreadSamples] = {}
        began, usual = time.process_time(), sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL)
        while switch.exists():
            for _ in range(25):
                _sample_threads(threads)
                time.sleep(INTERVAL)
        sys.setswitchinterval(usual)
        unfinished = folder / f"{os.getpid()}.part"
        unfinished.write_text(_as_json(threads, time.process_time() - began))
        unfinished.rename(folder / f"{os.getpid()}.json")


def _start(folder: Path) -> None:
    threading.Thread(target=_sample, args=(folder,), name="sampler", daemon=True).start()


if _folder := os.environ.get("CHATAPI_PROFILE"):
    _start(Path(_folder))
    os.register_at_fork(after_in_child=lambda: _start(Path(os.environ["CHATAPI_PROFILE"])))
