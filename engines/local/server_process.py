"""The supervisor that starts, watches and restarts the model's process.

It is a thread, not a task: so it serves any number of event loops, starting a process never blocks one,
and reading its reports needs no child watcher.
"""

import logging
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

import msgspec

from core import child_process
from core.child_process import child_command, describe_exit, spawn
from engines.base import Unavailable
from engines.local.server_protocol import ServerReport, ServerSettings

logger = logging.getLogger(__name__)

BACK_OFF_LIMIT = 30.0
STABLE_AFTER = 60.0
"""Seconds of life after which a crash no longer counts as part of a series."""
GIVE_UP_AFTER = 3
"""Consecutive exits before the model was loaded, after which requests stop waiting for the next start."""
RETRY_REFUSED_AFTER = 30.0
"""Seconds after which a refused load (a full disk, a missing package) is retried on demand."""

Progress = Callable[[str, float], None]
_decode_report = msgspec.json.Decoder(ServerReport).decode
_encode = msgspec.json.Encoder().encode


class ServerEndpoint(msgspec.Struct, frozen=True):
    """Where one incarnation of the process listens."""

    base_url: str
    api_key: str


class ModelProcess:
    """The model's process, started on demand and kept alive. All methods may be called from anywhere."""

    def __init__(
        self,
        settings: ServerSettings,
        progress: Progress | None = None,
        command: tuple[str, ...] = child_command(f"{__package__}.server_main"),
        *,
        retry_refused_after: float = RETRY_REFUSED_AFTER,
    ) -> None:
        self._settings = settings
        self._command = command
        self._progress = progress or _log_progress()
        self._retry_refused_after = retry_refused_after
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._endpoint: Future[ServerEndpoint] = Future()
        self._reason: str | None = "the local model is not started yet"
        self._refused_at: float | None = None
        self._stop = threading.Event()

    @property
    def unready_reason(self) -> str | None:
        return self._reason

    @property
    def pid(self) -> int | None:
        child = self._child
        return child.pid if child else None

    def start(self) -> Future[ServerEndpoint]:
        """Make sure that the process runs; the future is done when it listens, or has refused to."""
        with self._lock:
            if self._thread is None or (not self._thread.is_alive() and self._may_try_again()):
                self._stop = threading.Event()
                self._begin_loading("is being started")
                self._thread = threading.Thread(target=self._run, name="local-model", daemon=True)
                self._thread.start()
            return self._endpoint

    def wait_for_end(self, endpoint: ServerEndpoint | None, seconds: float) -> None:
        """Wait until the process at `endpoint` has been seen to end, for at most `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_current(endpoint), seconds)

    def _is_current(self, endpoint: ServerEndpoint | None) -> bool:
        future = self._endpoint
        return future.done() and not future.exception() and future.result() == endpoint

    def close(self) -> None:
        """End the process, which has nothing to save, and wait for its end; blocks for milliseconds."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
            child = self._child
        if child is not None:
            child_process.end(child)
        if thread is not None:
            thread.join()
        self._reason = "the local model is stopped"

    def _may_try_again(self) -> bool:
        return self._refused_at is None or time.monotonic() - self._refused_at > self._retry_refused_after

    def _run(self) -> None:
        delay, failures = 0.5, 0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                status = self._run_once()
            except _Stopped:
                break
            except OSError as error:
                self._mark_refused(f"its process cannot be started: {error}")
                return
            if self._stop.is_set() or self._refused_at is not None:
                break
            if time.monotonic() - started > STABLE_AFTER:
                delay = 0.5
            logger.error("the local model's process ended (%s); restarting it in %.1f s", status, delay)
            failures = 0 if self._endpoint.done() and not self._endpoint.exception() else failures + 1
            self._begin_loading(f"is being restarted, its process ended ({status})")
            if failures >= GIVE_UP_AFTER:
                self._fail_endpoint(Unavailable(f"The local model's process ends while it loads ({status})."))
            self._stop.wait(delay)
            delay = min(2 * delay, BACK_OFF_LIMIT)
        if self._stop.is_set():
            self._fail_endpoint(Unavailable("The local model was stopped."))

    def _run_once(self) -> str:
        """Run the process once, from its start to its end; return how it ended."""
        api_key = secrets.token_urlsafe(24)
        with self._spawn() as child:
            assert child.stdin is not None  # noqa: S101
            assert child.stdout is not None  # noqa: S101
            try:
                self._send_settings(child, api_key)
                for line in child.stdout:
                    self._handle_report(line, api_key)
            finally:
                with suppress(BrokenPipeError):  # it ended before it read everything
                    child.stdin.close()
        return describe_exit(child.returncode)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stop.is_set():
                raise _Stopped
            self._child = spawn(self._command, stdin=subprocess.PIPE)
            return self._child

    def _send_settings(self, child: subprocess.Popen[bytes], api_key: str) -> None:
        assert child.stdin is not None  # noqa: S101
        settings = msgspec.structs.replace(self._settings, api_key=api_key, parent=os.getpid())
        try:
            child.stdin.write(_encode(settings) + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            logger.debug("the local model's process ended before it was told anything")

    def _handle_report(self, line: bytes, api_key: str) -> None:
        try:
            report = _decode_report(line)
        except msgspec.DecodeError:
            logger.warning("the local model's process said %r", line[:200])
            return
        if report.state == "failed":
            self._mark_refused(report.message)
        elif report.state == "ready":
            self._reason = None
            self._endpoint.set_result(ServerEndpoint(f"http://127.0.0.1:{report.port}/v1", api_key))
            logger.info("the local model is ready")
        else:
            self._reason = f"the local model is loading ({report.message}, {report.fraction:.0%})"
            self._progress(report.message, report.fraction)

    def _begin_loading(self, what: str) -> None:
        with self._changed:
            if self._endpoint.done():
                self._endpoint = Future()
            self._refused_at = None
            # last: who has read that the model is not ready must not be given the old endpoint
            self._reason = f"the local model {what}"
            self._changed.notify_all()

    def _mark_refused(self, reason: str) -> None:
        self._refused_at = time.monotonic()
        self._reason = f"the local model cannot be used: {reason}"
        logger.error("%s", self._reason)
        self._fail_endpoint(Unavailable(f"The local model cannot be used: {reason}"))

    def _fail_endpoint(self, error: Unavailable) -> None:
        if not self._endpoint.done():
            self._endpoint.set_exception(error)


class _Stopped(Exception):
    """The supervisor was closed before the process started."""


def _log_progress() -> Progress:
    """Return a function that logs each step once, and a long one at every quarter."""
    logged: list[tuple[str, int]] = []

    def log(message: str, fraction: float) -> None:
        step = (message, int(fraction * 4))
        if logged[-1:] != [step]:
            logged[:] = [step]
            logger.info("%s: %d %%", message, fraction * 100)

    return log
