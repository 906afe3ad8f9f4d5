"""Create `.venv`, install what a lock file pins, then run a command in it.

    python3 deploy/bootstrap.py run|dev [ARGUMENT…]

It uses only the standard library. `run` and `dev` name the lock file, requirements/NAME.txt. Its
digest is kept in `.venv`, so pip is not called when there is nothing to install. `.venv/bin/python`
gets the ARGUMENTs and replaces this process, so that signals reach the command itself.
"""

import fcntl
import hashlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time

if sys.version_info < (3, 11):  # noqa: UP036 - before the lines that an older Python cannot parse
    sys.exit(
        "chatapi: this is Python {}.{} ({}); 3.11 or newer is needed. Install it, or name it: "
        "make run PYTHON=/path/to/python3.11".format(*sys.version_info[:2], sys.executable)
    )

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / ".chatapi-unfinished"
NEEDED_MEGABYTES = {"run": 2100, "dev": 3100}


class Failure(Exception):
    """The reason why the installation cannot continue, in one line."""


def main(name: str, arguments: list[str]) -> None:
    lock_file = ROOT / "requirements" / f"{name}.txt"
    stamp = VENV / f".chatapi-{name}"
    if not is_installed(lock_file, stamp):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        with installation_lock():
            if not is_installed(lock_file, stamp):  # another process may have done it meanwhile
                make_venv(name)
                install(lock_file, stamp)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if arguments:
        os.chdir(ROOT)
        os.execv(PYTHON, [str(PYTHON), *arguments])  # noqa: S606


def is_installed(lock_file: Path, stamp: Path) -> bool:
    return (
        PYTHON.exists()
        and stamp.exists()
        and not UNFINISHED.exists()
        and stamp.read_text() == fingerprint(lock_file)
    )


def fingerprint(lock_file: Path) -> str:
    """The digest of what `.venv` was built from: the lock file and its own Python."""
    return hashlib.sha256(lock_file.read_bytes() + (VENV / "pyvenv.cfg").read_bytes()).hexdigest()


@contextmanager
def installation_lock() -> Iterator[None]:
    """Hold a lock on the checkout, which is released when this process ends, however it ends."""
    checkout = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(checkout, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another make is installing; waiting for it…")
            fcntl.flock(checkout, fcntl.LOCK_EX)
        yield
    finally:
        os.close(checkout)


# --- the virtual environment --------------------------------------------------------------------


def make_venv(name: str) -> None:
    if UNFINISHED.exists() or not has_working_python():
        if VENV.exists() and not (UNFINISHED.exists() or (VENV / "pyvenv.cfg").exists() or is_empty(VENV)):
            raise Failure(f"{VENV} is in the way: it is not a virtual environment")
        check_python()
        check_space(NEEDED_MEGABYTES[name])
        say(f"Making .venv with Python {sys.version_info[0]}.{sys.version_info[1]}…")
        shutil.rmtree(VENV, ignore_errors=True)
        VENV.mkdir(exist_ok=True)
        UNFINISHED.touch()
        made = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise Failure(f"venv failed: {reason_in((made.stdout + made.stderr).splitlines())}")
        UNFINISHED.unlink()


def has_working_python() -> bool:
    """Whether `.venv` has a Python that starts and is new enough."""
    question = [str(PYTHON), "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))"]
    return PYTHON.exists() and subprocess.run(question, capture_output=True, check=False).returncode == 0  # noqa: S603


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def check_python() -> None:
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        package = "python{}.{}-venv".format(*sys.version_info)
        raise Failure(
            f"{sys.executable} cannot make virtual environments; on Debian and Ubuntu: apt install {package}"
        ) from None


def check_space(needed: int) -> None:
    free = shutil.disk_usage(ROOT).free // 1_000_000
    if free < needed:
        raise Failure(f"the disk that holds {ROOT} has {free} MB left; the installation needs {needed} MB")


# --- packages -----------------------------------------------------------------------------------


def install(lock_file: Path, stamp: Path) -> None:
    """Run pip. While it unpacks, `.venv` counts as unfinished: the next start would create it anew."""
    progress = Progress(f"Installing {lock_file.relative_to(ROOT)}")
    output: list[str] = []
    for line in run_pip(lock_file, progress):
        output.append(line)
        progress.read(line)
        if line.startswith("Installing collected packages"):
            UNFINISHED.touch()
    progress.end()
    if output[-1] != "exit status 0":
        raise Failure(f"pip could not install {lock_file.relative_to(ROOT)}: {reason_in(output)}")
    stamp.write_text(fingerprint(lock_file))
    UNFINISHED.unlink(missing_ok=True)


def run_pip(lock_file: Path, progress: "Progress") -> Iterator[str]:
    """Yield pip's output line by line, then `exit status N`; show the progress while pip is silent."""
    quiet = ["--disable-pip-version-check", "--no-input", "--no-color", "--progress-bar", "off"]
    command = [str(PYTHON), "-m", "pip", "install", *quiet, "--require-hashes", "-r", str(lock_file)]
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # noqa: S603
    assert pip.stdout is not None  # noqa: S101
    try:
        rest = b""
        while True:
            if not select.select([pip.stdout], [], [], 0.5)[0]:
                progress.show()
                continue
            piece = os.read(pip.stdout.fileno(), 65536)
            if not piece:
                break
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace").strip()
        yield f"exit status {pip.wait()}"
    finally:
        if pip.poll() is None:
            pip.terminate()
            pip.wait()


def reason_in(output: list[str]) -> str:
    text = "\n".join(output)
    if "No space left on device" in text:
        return f"the disk is full ({ROOT}, or the folder for temporary files)"
    if "NewConnectionError" in text or "NameResolutionError" in text:
        return "the package index cannot be reached; is there a network?"
    errors = [line for line in output if line.startswith("ERROR:")] or output[-2:-1] or ["no reason given"]
    return errors[0].removeprefix("ERROR:").strip()


class Progress:
    """A progress line, rewritten in place on a terminal; elsewhere a new line every ten seconds."""

    def __init__(self, title: str) -> None:
        self.found = 0
        self.doing = "starting pip"
        self.began = self.shown = time.monotonic()
        self.is_terminal = sys.stdout.isatty()
        say(f"{title} (the first time this takes some minutes)…")

    def read(self, line: str) -> None:
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            self.found += 1
        if line.startswith(("Downloading ", "Using cached ")):
            self.doing = re.sub(r"\S*/|-[^ ]*\.whl|\.metadata", "", line).lower()
        elif line.startswith("Installing collected packages"):
            self.doing = "unpacking"
        self.show()

    def show(self) -> None:
        now = time.monotonic()
        if now - self.shown < (0.2 if self.is_terminal else 10):
            return
        self.shown = now
        state = f"  {now - self.began:4.0f} s  {self.found} packages, {self.doing}"
        sys.stdout.write(f"\r\033[K{state[:78]}" if self.is_terminal else f"{state}\n")
        sys.stdout.flush()

    def end(self) -> None:
        if self.is_terminal:
            sys.stdout.write("\r\033[K")
        say(f"  done in {time.monotonic() - self.began:.0f} s")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in NEEDED_MEGABYTES:
        sys.exit("usage: bootstrap.py run|dev [ARGUMENT…]")
    try:
        main(sys.argv[1], sys.argv[2:])
    except Failure as failure:
        sys.exit(f"chatapi: {failure}")
    except KeyboardInterrupt:
        sys.stderr.write("\nchatapi: interrupted; the next make goes on with the installation\n")
        sys.exit(130)
    except OSError as error:
        sys.exit(f"chatapi: {error.strerror or error}: {error.filename or ROOT}")
