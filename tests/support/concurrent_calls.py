"""Calls made at the same moment, each in a thread with a connection of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import Any

from django.db import close_old_connections, connection


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Return what these calls return, in their order."""
    ready = Barrier(len(calls))

    def make(call: Callable[[], Any]) -> Any:
        with closing(connection):
            ready.wait()
            return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        answers = list(threads.map(make, calls))
    close_old_connections()
    return answers
