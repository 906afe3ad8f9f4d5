"""What the ASGI endpoints share: errors in the API's envelope, and noticing that the client left."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from accounts.asgi_auth import AsgiAuthenticator
from accounts.principal import Principal
from core.exceptions import ApiError, Internal, MethodNotAllowed, ServiceUnavailable
from core.http.body import ClientDisconnected
from core.http.exception_handler import to_api_error
from core.http.responses import send_error
from media.inspection import media_api_error
from media.processing.exceptions import MediaError
from media.processing.sandbox.exceptions import SandboxBusy, SandboxError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

Headers = list[tuple[bytes, bytes]]


class Endpoint(ABC):
    """An ASGI application for some methods of one URL; it answers with whatever error it raises."""

    methods: tuple[str, ...] = ("POST",)

    @abstractmethod
    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_begun = False

        async def tracking_send(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            if scope["method"] not in self.methods:
                raise MethodNotAllowed(scope["method"], ", ".join(self.methods))
            await self.respond(scope, receive, tracking_send)
        except ClientDisconnected:
            return
        except asyncio.CancelledError:
            if not is_begun:
                stopping = ServiceUnavailable("The service is stopping.", code="interrupted")
                await send_error(stopping, receive, send)
            raise
        except Exception as error:
            problem = endpoint_api_error(error)
            if isinstance(problem, Internal):
                logger.exception("A request could not be answered")
            if is_begun:  # too late for a status: cut the connection, so that nobody takes it for the end
                logger.warning("An answer was cut off: %s", problem.message)
                return
            await send_error(problem, receive, send)


class AuthenticatedEndpoint(Endpoint):
    """An endpoint for known callers. It reads nothing of a body before it knows the caller."""

    def __init__(self, callers: AsgiAuthenticator) -> None:
        self._callers = callers

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = await self._callers.identify(scope)
        await self.respond_to(caller.principal, scope, receive, send)

    @abstractmethod
    async def respond_to(self, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None: ...


class MethodRouter:
    """One URL where an endpoint serves some methods, and Django the others."""

    def __init__(self, endpoint: Endpoint, others: ASGIApp) -> None:
        self._endpoint = endpoint
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        chosen = self._endpoint if scope["method"] in self._endpoint.methods else self._others
        await chosen(scope, receive, send)


def endpoint_api_error(error: Exception) -> ApiError:
    """Return the error that a client is sent for an exception."""
    if isinstance(error, MediaError):
        return media_api_error(error, "file")
    if isinstance(error, SandboxBusy):
        return ServiceUnavailable(error.message, code="busy", retry_after=5)
    if isinstance(error, SandboxError):
        # a retry would cost the same work and end the same way
        return ApiError(error.message, code="processing_failed", headers={"x-should-retry": "false"})
    return to_api_error(error)


@asynccontextmanager
async def watch_disconnect(receive: Receive) -> AsyncIterator[asyncio.Event]:
    """Yield an event that is set once the client has left; the request's body must have been read."""
    is_gone = asyncio.Event()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        is_gone.set()

    watcher = asyncio.ensure_future(watch())
    try:
        yield is_gone
    finally:
        watcher.cancel()


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


async def send_response(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})
