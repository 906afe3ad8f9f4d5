"""Python processes that a supervisor starts, watches and ends, and what such a process does at its start.

A child inherits no secret, leads a session of its own, and dies with its parent. What the two say to each
other is their own affair.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
KILL_TIMEOUT = 5.0
"""Seconds that a killed process may take to end."""
INHERITED_VARIABLES = frozenset({"HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ"})
INHERITED_PREFIXES = ("CUDA_", "GGML_", "HIP_", "HSA_", "LC_", "OMP_", "ROCR_", "VK_")
"""A child reads hostile bytes, so it inherits only the variables that its libraries need, and no secrets."""
FIXED_VARIABLES = {
    # Threads that spin at every barrier would slow to a tenth of their speed next to other work.
    "OMP_WAIT_POLICY": "passive",
    # ONNX Runtime would report to its maker and keep a database of its reports in the user's home.
    "ORT_DISABLE_TELEMETRY": "1",
}
PR_SET_PDEATHSIG = 1


# --- the parent's side --------------------------------------------------------------------------


def child_command(module: str) -> tuple[str, ...]:
    """Return the command that runs a module of ours, from any working directory and nothing in it."""
    return (sys.executable, "-P", "-u", "-X", "faulthandler", "-m", module)


def spawn(
    command: tuple[str, ...], *, stdin: int, stderr: int | IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process whose standard output is a pipe. Raises OSError."""
    # In its own session, so that Ctrl-C in the terminal does not end it before its work is done.
    return subprocess.Popen(  # noqa: S603
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=child_environment(),
        start_new_session=True,
        umask=0o077,
    )


def child_environment() -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED_VARIABLES or name.startswith(INHERITED_PREFIXES)
    }
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**FIXED_VARIABLES, **inherited, "PYTHONPATH": path}


def end(process: subprocess.Popen[bytes], patience: float = 0) -> str:
    """Give a process `patience` seconds to exit, then kill its session. Return how it ended.

    Another thread may wait for the same process.
    """
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended just now
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_TIMEOUT)
    return describe_exit(process.returncode)


def describe_exit(status: int | None) -> str:
    if status is None:
        return "it does not end"
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


# --- the child's side ---------------------------------------------------------------------------


def ignore_stop_signals() -> None:
    """Leave the end to the parent: Ctrl-C and the service manager signal every process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread of its parent that started it ends.

    A closed pipe or socket is noticed late while native code holds the interpreter's lock, and not at all
    while a fork keeps the other end open; the kernel's signal is not. Only Linux has it, so a child watches
    its link to the parent as well.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
