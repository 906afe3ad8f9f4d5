"""What the ASGI endpoints share: errors in the API's envelope, and noticing that the client left."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.exceptions import ApiError, Internal, MethodNotAllowed, ServiceUnavailable
from core.http.body import ClientDisconnected
from core.http.call_record import CLIENT_DISCONNECTED, CallRecord, call_of
from core.http.exception_handler import to_api_error
from core.http.responses import end_stream, send_error

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class Receiver:
    """An ASGI `receive` that can be ended: from then on, the client counts as gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_ended = False
        self.on_end: list[Callable[[], None]] = []

    def __call__(self) -> Awaitable[Message]:
        return _disconnect() if self.is_ended else self._receive()

    def end(self) -> None:
        self.is_ended = True
        for leave in self.on_end:
            leave()


async def _disconnect() -> Message:
    return {"type": "http.disconnect"}


class Sender:
    """An ASGI `send` that remembers whether the response has begun; `headers` are added to its own.

    `call` is the record of the call that is answered.

    `encode_error` is set once a response has begun that an error can still end in its own format.
    """

    def __init__(self, send: Send, call: CallRecord) -> None:
        self._send = send
        self.call = call
        self.has_begun = False
        self.headers: dict[str, str] = {}
        self.encode_error: Callable[[ApiError], bytes] | None = None

    def __call__(self, message: Message) -> Awaitable[None]:
        # no coroutine of its own: there is one message for each piece of a stream
        if not self.has_begun:
            self.has_begun = True
            if self.headers:
                added = [(name.encode(), value.encode()) for name, value in self.headers.items()]
                message["headers"] = [*message["headers"], *added]
        return self._send(message)


class Endpoint(ABC):
    """An ASGI application for some methods of one URL; it answers with whatever error it raises."""

    methods: tuple[str, ...] = ("POST",)

    @abstractmethod
    async def respond(self, scope: Scope, receive: Receiver, send: Sender) -> None: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sender = Sender(send, call_of(scope))
        try:
            if scope["method"] not in self.methods:
                raise MethodNotAllowed(scope["method"], ", ".join(self.methods))
            await self.respond(scope, Receiver(receive), sender)
        except ClientDisconnected:
            sender.call.fail(CLIENT_DISCONNECTED)
        except asyncio.CancelledError:
            if not sender.has_begun:
                stopping = ServiceUnavailable("The service is stopping.", code="interrupted")
                sender.call.refuse(stopping)
                await send_error(stopping, receive, sender)
            raise
        except Exception as error:
            problem = to_api_error(error)
            sender.call.refuse(problem)
            if isinstance(problem, Internal) and problem is not error:  # who raises it has said why
                logger.exception("A request could not be answered")
            elif isinstance(error, OperationalError | InterfaceError):
                logger.error("The database does not answer: %s", error)
            if not sender.has_begun:
                await send_error(problem, receive, sender)
                return
            logger.warning("An answer was cut off: %s", problem.message)
            if sender.encode_error is not None:
                await end_stream(sender, sender.encode_error(problem))
            # else cut the connection, so that nobody takes it for the end


class MethodRouter:
    """One URL where an endpoint serves some methods, and Django the others."""

    def __init__(self, endpoint: Endpoint, others: ASGIApp) -> None:
        self._endpoint = endpoint
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        chosen = self._endpoint if scope["method"] in self._endpoint.methods else self._others
        await chosen(scope, receive, send)


class on_disconnect:  # noqa: N801 (a context manager, used like a function)
    """Call `leave` if the client leaves while the block runs; the request's body must have been read."""

    def __init__(self, receive: Receiver, leave: Callable[[], None]) -> None:
        self._receive = receive
        self._leave = leave

    def __enter__(self) -> None:
        self._receive.on_end.append(self._leave)
        if self._receive.is_ended:
            self._leave()
        self._watcher = asyncio.ensure_future(self._watch())

    def __exit__(self, *_: object) -> None:
        self._receive.on_end.remove(self._leave)
        self._watcher.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()


@contextmanager
def watch_disconnect(receive: Receiver) -> Iterator[asyncio.Event]:
    """Yield an event that is set once the client has left; the request's body must have been read."""
    is_gone = asyncio.Event()
    with on_disconnect(receive, is_gone.set):
        yield is_gone


async def cancel_on_disconnect(is_gone: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of `work`; if the client leaves first, cancel it and raise `ClientDisconnected`."""
    task = asyncio.ensure_future(work)
    disconnect = asyncio.ensure_future(is_gone.wait())
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnected
    finally:
        disconnect.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
