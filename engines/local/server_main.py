"""The model's process: llama.cpp's server on a loopback port that the system chooses.

Run as `python -m engines.local.server_main`. It reads one line of JSON (`ServerSettings`) from standard
input, prints lines of JSON (`ServerReport`) on standard output, and exits when standard input ends or the
thread that started it does. So it never outlives its parent, however the parent dies, and no secret ever
shows up in a list of processes.
What llama.cpp prints goes to `ServerSettings.log_path`.
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

import msgspec

from core.child_process import die_with_parent, ignore_stop_signals
from engines.local.model_file import ModelFileError, check_own_model, prepare_embedded_model
from engines.local.server_protocol import ServerReport, ServerSettings

LOG_LIMIT = 8 * 2**20
"""In bytes; a larger log is truncated."""
LOG_CHECK_PERIOD = 60.0
PROGRESS_PERIOD = 0.25
PROMPT_CACHE = 256
"""MiB of memory for the states of prompts that lost their slot; 12 KiB per token with this model."""
BATCH_TOKENS = 128
"""Prompt tokens read at once, about a second here.

Other streams are served and abandoned prompts dropped only between batches.
"""
LLAMA_VERBOSITY = 2
"""llama.cpp's verbosity; from 3 on it prints ten lines per request."""


class Reporter:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last = 0.0

    def send(self, report: ServerReport) -> None:
        self._out.write(msgspec.json.encode(report).decode() + "\n")
        self._out.flush()

    def progress(self, message: str, fraction: float) -> None:
        now = time.monotonic()
        if fraction in (0, 1) or now - self._last > PROGRESS_PERIOD:
            self._last = now
            self.send(ServerReport("loading", message, round(fraction, 3)))


def main() -> int:
    ignore_stop_signals()
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServerSettings)
    die_with_parent(settings.parent)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    reporter = Reporter(_divert_output(Path(settings.log_path)))
    try:
        server = _load(settings, reporter)
    except _CannotServe as refusal:
        reporter.send(ServerReport("failed", str(refusal)))
        return 1
    port = int(server.listening_address.rsplit(":", 1)[1])
    reporter.send(ServerReport("ready", port=port))
    while True:
        time.sleep(LOG_CHECK_PERIOD)
        _limit_log()


class _CannotServe(Exception):
    """The model cannot be served, and retrying would not help."""


def _load(settings: ServerSettings, reporter: Reporter) -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise _CannotServe(f"the package xllamacpp cannot be used here: {error}") from error
    try:
        path = _model_path(settings, reporter)
    except ModelFileError as error:
        raise _CannotServe(str(error)) from error
    reporter.progress("loading the model", 0)
    try:
        server = xllamacpp.Server(_parameters(xllamacpp.CommonParams(), settings, path))
    except (RuntimeError, ValueError) as error:
        raise _CannotServe(f"{path}: llama.cpp cannot load it ({error}); see {settings.log_path}") from error
    reporter.progress("loading the model", 1)
    return server


def _model_path(settings: ServerSettings, reporter: Reporter) -> Path:
    if settings.model_path is not None:
        return check_own_model(Path(settings.model_path))
    return prepare_embedded_model(Path(settings.models_folder), reporter.progress)


def _parameters(params: Any, settings: ServerSettings, path: Path) -> Any:
    params.model.path = str(path)
    params.model_alias = {"local"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings.api_key]
    params.n_parallel = settings.slots
    params.n_ctx = settings.slots * settings.context_length
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count() or 1
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cache_ram_mib = PROMPT_CACHE
    params.ctx_shift = False
    params.use_jinja = True
    params.ui = False
    params.endpoint_slots = True
    params.verbosity = LLAMA_VERBOSITY
    return params


def _exit_with_parent() -> None:
    while sys.stdin.buffer.read(2**16):
        pass
    os._exit(0)


def _divert_output(log_path: Path) -> TextIO:
    """Send what native code prints to the log; return the real standard output."""
    reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
    log_path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    _limit_log()
    return reports


def _limit_log() -> None:
    if os.fstat(2).st_size > LOG_LIMIT:
        os.ftruncate(2, 0)


if __name__ == "__main__":
    sys.exit(main())
