"""The process that makes the rows, while the one that started it writes them.

This module imports no model: the new process sets Django up first.
"""

import multiprocessing
import pickle
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatapi.demo.history import Plan
    from chatapi.demo.tables import Rows


def produce(plan: "Plan") -> Iterator["Rows"]:
    """Yield the rows of `make_history` from a process of its own. Raises `EOFError` if that dies."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_history, args=(pickle.dumps(plan), sender), daemon=True)
    process.start()
    sender.close()
    try:
        while data := receiver.recv_bytes():
            yield pickle.loads(data)  # noqa: S301 (our own process's)
    finally:
        receiver.close()
        process.terminate()
        process.join()


def _send_history(plan: bytes, sender: Connection) -> None:
    import django

    django.setup()
    from chatapi.demo.history import make_history

    for rows in make_history(pickle.loads(plan)):  # noqa: S301
        sender.send_bytes(pickle.dumps(rows, protocol=pickle.HIGHEST_PROTOCOL))
    sender.send_bytes(b"")
