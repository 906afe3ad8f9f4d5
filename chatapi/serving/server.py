"""uvicorn, configured and stopped the way `manage.py run` needs it."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import uvicorn
from django.conf import settings

from accounts.client_address import trusted_proxies
from chatapi.serving.http_protocol import BoundedHttpProtocol

SWITCH_INTERVAL = 0.0005
"""The longest, in seconds, that a computing thread (the database's) holds up the event loop."""

GRACE_SECONDS = 10
"""Seconds that stopping may take beyond the time that streams get to end."""


class Server(uvicorn.Server):
    """A server that reports when it is asked to stop, and treats SIGHUP (a closed terminal) as SIGTERM.

    `watch()` runs alongside once it listens.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_stop: Callable[[], None],
        watch: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(config)
        self._on_stop = on_stop
        self._watch = watch
        self._watching: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _spare_collections()
        self._watching = asyncio.create_task(self._watch())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            self._on_stop()
        super().handle_exit(sig, frame)
        if self.force_exit:
            _exit_now("stopped at once: answers under way were cut off", 130)


def _deserves_traceback(record: logging.LogRecord) -> bool:
    """Return False for an answer cut off by the server's end, which one line has already reported."""
    return not (record.exc_info and record.exc_info[0] is asyncio.CancelledError)


def config_for(app: Any) -> uvicorn.Config:
    proxies = trusted_proxies()
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedHttpProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies or None,
        backlog=2048,
        timeout_keep_alive=75,  # longer than a proxy's: the client must be the one to close first
        timeout_graceful_shutdown=settings.CHATAPI_SHUTDOWN_SECONDS,
    )


def serve(
    app: Any,
    listener: socket.socket,
    *,
    on_stop: Callable[[], None],
    watch: Callable[[], Coroutine[Any, Any, None]],
) -> bool:
    """Serve until a signal says stop; return whether it ever started. The signal handler runs `on_stop`."""

    def begin_stop() -> None:
        _exit_after(settings.CHATAPI_SHUTDOWN_SECONDS + GRACE_SECONDS)
        on_stop()

    sys.setswitchinterval(SWITCH_INTERVAL)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_deserves_traceback)
    server = Server(config_for(app), begin_stop, watch)
    # uvicorn raises the signal again once it has stopped; by then it has done its job
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, server.handle_exit)
    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[listener]))
    except SystemExit:  # the application did not start: uvicorn has logged why
        return False
    return server.started


def _spare_collections() -> None:
    """Exempt all that was loaded from garbage collection: all streams would stop while it is gone through."""
    gc.collect()
    gc.freeze()


def _exit_after(seconds: float) -> None:
    timer = threading.Timer(seconds, _exit_now, [f"not stopped after {seconds:.0f} s: leaving anyway", 1])
    timer.daemon = True
    timer.start()


def _exit_now(why: str, status: int) -> None:
    os.write(2, f"chatapi: {why}\n".encode())
    os._exit(status)
