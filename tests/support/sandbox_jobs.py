"""Jobs for the tests of the sandbox pools, well-behaved and not."""

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from media.processing.exceptions import MediaError, MediaTooLarge


class Text(msgspec.Struct, frozen=True):
    text: str


class Data(msgspec.Struct, frozen=True):
    data: bytes


class Number(msgspec.Struct, frozen=True):
    number: int


class Nap(msgspec.Struct, frozen=True):
    """A nap. It writes a line to `diary` when it begins, and lasts until the file `gate` exists, if named."""

    diary: str
    seconds: float = 0
    name: str = ""
    gate: str = ""


class Count(msgspec.Struct, frozen=True):
    """A count. It writes a character to `diary` for each number, and a period at the end, however it ends.

    It goes on from each number when the file `gate` exists, if named.
    """

    diary: str
    to: int
    size: int = 0
    pause: float = 0
    gate: str = ""


class Numbered(msgspec.Struct, frozen=True):
    number: int
    data: bytes


class Surroundings(msgspec.Struct, frozen=True):
    pid: int
    parent: int
    session: int
    niceness: int
    session_niceness: int | None
    environment: dict[str, str]
    files: dict[int, str]
    modules: set[str]
    memory: int
    core: int


class TooOld(MediaError):
    code = "media_too_old"


def echo(work: Text) -> Text:
    return work


def mirror(work: Data) -> Data:
    return work


def nap(work: Nap) -> Number:
    _write(work.diary, f"{work.name}\n")
    time.sleep(work.seconds)
    _wait_at(work.gate)
    return Number(os.getpid())


def nap_at_first(work: Nap) -> Number:
    """Sleep, unless this is a rerun."""
    is_rerun = Path(work.diary).stat().st_size > 0
    return nap(msgspec.structs.replace(work, seconds=0) if is_rerun else work)


def count(work: Count) -> Iterator[Numbered]:
    try:
        for number in range(work.to):
            _write(work.diary, "x")
            yield Numbered(number, bytes(work.size))
            time.sleep(work.pause)
            _wait_at(work.gate)
    finally:
        _write(work.diary, ".")


def look_around(work: Text) -> Surroundings:
    files = {}
    for entry in Path("/proc/self/fd").iterdir():
        if entry.is_symlink():
            files[int(entry.name)] = str(entry.readlink())
    return Surroundings(
        pid=os.getpid(),
        parent=os.getppid(),
        session=os.getsid(0),
        niceness=os.nice(0),
        session_niceness=_session_niceness(),
        environment=dict(os.environ),
        files=files,
        modules=set(sys.modules),
        memory=resource.getrlimit(resource.RLIMIT_AS)[0],
        core=resource.getrlimit(resource.RLIMIT_CORE)[0],
    )


def open_onnx_model(work: Text) -> Text:
    import onnxruntime
    from onnxruntime.datasets import get_example

    session = onnxruntime.InferenceSession(get_example("sigmoid.onnx"), providers=["CPUExecutionProvider"])
    return Text(session.get_inputs()[0].name)


def _session_niceness() -> int | None:
    """The niceness of the session's autogroup; None if the kernel has no autogroups."""
    group = Path("/proc/self/autogroup")
    return int(group.read_text().split()[-1]) if group.exists() else None


def refuse(work: Text) -> Text:
    raise MediaTooLarge(f"The picture is {work.text}.")


def refuse_specially(work: Text) -> Text:
    raise TooOld("The wax cylinder is too old.", code=work.text)


def stumble(work: Text) -> Text:
    raise LookupError(f"no such thing as {work.text}")


def return_wrong_type(work: Text) -> Text:
    return Number(1)  # type: ignore[return-value]


def stumble_after_one(work: Text) -> Iterator[Text]:
    yield work
    raise LookupError("no second")


def exit_at_once(work: Nap) -> Number:
    _write(work.diary, f"{work.name}\n")
    sys.stderr.write("the last words\n")
    os._exit(3)


def abort(work: Nap) -> Number:
    _write(work.diary, f"{work.name}\n")
    os.abort()


def crash(work: Nap) -> Number:
    _write(work.diary, f"{work.name}\n")
    return Number(ctypes.string_at(1)[0])


def be_killed(work: Nap) -> Number:
    _write(work.diary, f"{work.name}\n")
    time.sleep(work.seconds)
    os.kill(os.getpid(), signal.SIGKILL)
    return Number(0)


def allocate(work: Number) -> Number:
    """Allocate that many bytes of memory."""
    return Number(len(bytearray(work.number)))


def hold_the_lock(work: Nap) -> Number:
    """Run native code that lets no other Python thread run."""
    _write(work.diary, f"{os.getpid()}\n")
    ctypes.PyDLL(None).sleep(int(work.seconds))
    return Number(0)


def chatter(work: Text) -> Text:
    """Print in every way there is, and read standard input."""
    sys.stdout.write(f"{work.text} by Python\n")
    os.write(1, f"{work.text} by a library\n".encode())
    os.write(2, b"y" * 3_000_000)
    return Text(sys.stdin.read())


def impersonate(work: Data) -> Text:
    """Do what hostile bytes that took over the worker process might: write anything to the parent."""
    for entry in Path("/proc/self/fd").iterdir():
        if entry.is_symlink() and str(entry.readlink()).startswith("socket:"):
            os.write(int(entry.name), work.data)
    time.sleep(30)
    return Text("")


def _write(diary: str, text: str) -> None:
    with Path(diary).open("a") as file:
        file.write(text)


def _wait_at(gate: str) -> None:
    while gate and not Path(gate).exists():
        time.sleep(0.01)


def annotated_wrongly(work: Text):  # type: ignore[no-untyped-def]
    return work
