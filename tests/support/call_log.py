"""The record of calls in tests: their rows, and the lines of the log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import msgspec
from django.conf import settings

from chatapi.models import RequestRecord
from chatapi.request_log.writer import call_log, call_recorder
from core.ids import REQUEST, parse_id

FLUSH_SECONDS = 30


class CallLog(logging.Handler):
    """The lines of the log that were written meanwhile, and the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"

    def flushed(self) -> str:
        """Return the log when all that waits is written."""
        assert call_recorder.flush(FLUSH_SECONDS)
        return self.text

    def line(self, response: httpx2.Response) -> dict[str, Any]:
        """Return the only line of the call that was answered so."""
        [found] = [line for line in self.lines() if line["request"] == response.headers["x-request-id"]]
        return found

    def lines(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.flushed().splitlines()]

    def row(self, response: httpx2.Response) -> RequestRecord:
        self.flushed()
        id = parse_id(REQUEST, response.headers["x-request-id"])
        assert id is not None
        return RequestRecord.objects.get(pk=id)


def forget_waiting_calls() -> None:
    """Have the calls of earlier tests written while records are off: they wait for a second."""
    assert settings.CHATAPI_REQUESTS_KEPT_DAYS == 0
    assert call_recorder.flush(FLUSH_SECONDS)


@contextmanager
def logged_calls() -> Iterator[CallLog]:
    """Log what becomes of calls until the block ends; all of it is written by then."""
    log, level = CallLog(), call_log.level
    forget_waiting_calls()
    call_log.addHandler(log)
    call_log.setLevel(logging.INFO)
    try:
        yield log
    finally:
        log.flushed()
        call_log.setLevel(level)
        call_log.removeHandler(log)
