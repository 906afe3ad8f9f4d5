"""Where the service's CPU time goes, thread by thread, under load.

The service runs as it always does; `inject/sitecustomize.py`, put on its path, samples each of its
processes from within, so no permission to trace is needed.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks.stream_loads import Kind, Sample, run_load
from benchmarks.target_servers import Target, start_service, start_upstream

_INJECT = Path(__file__).resolve().parent / "inject"
_SHOWN = 20
_FRAME_SHARE = 0.94
"""A function with more of its thread's time is a frame that everything runs in: not worth a line."""
_LEAST_SHARE = 0.02
_WARM_UP_SECONDS = 2.0
_WRITING_SECONDS = 10.0


class ThreadProfile(msgspec.Struct):
    """Nanoseconds by function: at the top of the stack, and anywhere in it."""

    name: str
    top: dict[str, int]
    anywhere: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.top.values())


class ProcessProfile(msgspec.Struct):
    """`process` is the CPU time of all threads, including those without a Python stack."""

    process: int
    threads: list[ThreadProfile]


def profile_service(folder: Path, stack: ExitStack, kind: Kind, connections: int, seconds: float) -> str:
    """Profile the service under load. Return the report; `stack` stops what was started."""
    results = folder / "profile"
    results.mkdir()
    upstream = start_upstream(folder)
    stack.callback(upstream.process.stop)
    service = start_service(
        upstream.port, folder, {"CHATAPI_PROFILE": str(results), "PYTHONPATH": str(_INJECT)}
    )
    stack.callback(service.process.stop)
    run_load(service, kind, connections, _WARM_UP_SECONDS)
    sample = _profiled_load(service, kind, connections, seconds, results)
    profiles = [
        msgspec.json.decode(path.read_bytes(), type=ProcessProfile) for path in results.glob("*.json")
    ]
    return "\n".join(_report(profiles, kind, sample, round(sample.calls * seconds)))


def _profiled_load(target: Target, kind: Kind, connections: int, seconds: float, results: Path) -> Sample:
    switch = results / "on"
    switch.touch()
    sample = run_load(target, kind, connections, seconds)
    switch.unlink()
    latest = time.monotonic() + _WRITING_SECONDS
    while (
        time.monotonic() < latest and len(list(results.glob("*.json"))) < target.process.footprint().processes
    ):
        time.sleep(0.1)
    return sample


def _report(profiles: list[ProcessProfile], kind: Kind, sample: Sample, calls: int) -> Iterator[str]:
    total = sum(profile.process for profile in profiles)
    yield f"{kind}: {sample.calls:,.0f}/s while profiled, {total / calls / 1e6:.2f} ms CPU each, of which"
    for profile in profiles:
        seen = 0
        for thread in sorted(profile.threads, key=lambda thread: -thread.total):
            seen += thread.total
            if thread.total >= _LEAST_SHARE * total:
                yield from _thread_report(thread, total, calls)
        yield f"\nthreads without a Python stack, and the sampler: {(profile.process - seen) / total:.1%}"


def _thread_report(thread: ThreadProfile, total: int, calls: int) -> Iterator[str]:
    yield f"\n=== thread {thread.name}: {thread.total / total:.1%}, {thread.total / calls / 1e6:.3f} ms each"
    packages: Counter[str] = Counter()
    for function, spent in thread.top.items():
        packages[_package(function)] += spent
    for title, spent_by in (
        ("by package, the function itself", packages),
        ("by function, itself", Counter(thread.top)),
        ("by function, with what it calls", _without_frames(thread)),
    ):
        yield f"\n  {title}"
        for name, spent in spent_by.most_common(_SHOWN):
            yield f"  {spent / thread.total:7.1%} {spent / calls / 1e6:8.3f} ms  {name}"


def _without_frames(thread: ThreadProfile) -> Counter[str]:
    most = thread.total * _FRAME_SHARE
    return Counter({name: spent for name, spent in thread.anywhere.items() if spent < most})


def _package(function: str) -> str:
    """The first folder of a path, or the first two within `chatapi`."""
    path = function.partition(":")[0].split("/")
    return "/".join(path[:2]) if path[0] == "chatapi" else path[0]
