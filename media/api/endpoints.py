"""What the endpoints beside Django share: refusals in the envelope, and seeing that the client has left."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from accounts.asgi_auth import AsgiAuthenticator
from accounts.authentication import Principal
from core.exceptions import ApiError, Internal, MethodNotAllowed, ServiceUnavailable
from core.http.body import ClientGone
from core.http.exception_handler import api_error_of
from core.http.responses import send_refusal
from media.inspection import media_api_error
from media.processing.exceptions import MediaError
from media.processing.sandbox.exceptions import SandboxBusy, SandboxError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

Headers = list[tuple[bytes, bytes]]


class Endpoint(ABC):
    """An ASGI application for some methods of one address; whatever it raises is answered."""

    methods: tuple[str, ...] = ("POST",)

    @abstractmethod
    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            if scope["method"] not in self.methods:
                raise MethodNotAllowed(scope["method"], ", ".join(self.methods))
            await self.respond(scope, receive, send_noting)
        except ClientGone:
            return
        except asyncio.CancelledError:
            if not is_begun:
                stopping = ServiceUnavailable("The service is stopping.", code="interrupted")
                await send_refusal(stopping, receive, send)
            raise
        except Exception as error:
            problem = api_error(error)
            if isinstance(problem, Internal):
                logger.exception("A request could not be answered")
            if is_begun:  # too late for a status: the connection is cut, so that nobody takes it for the end
                logger.warning("An answer was cut off: %s", problem.message)
                return
            await send_refusal(problem, receive, send)


class KeyedEndpoint(Endpoint):
    """One that answers a known caller. Nothing of a body is read before."""

    def __init__(self, callers: AsgiAuthenticator) -> None:
        self._callers = callers

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = await self._callers.identify(scope)
        await self.respond_to(caller.principal, scope, receive, send)

    @abstractmethod
    async def respond_to(self, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None: ...


class MethodRouter:
    """One address, of which some methods are an endpoint's, and the others Django's."""

    def __init__(self, endpoint: Endpoint, others: ASGIApp) -> None:
        self._endpoint = endpoint
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        chosen = self._endpoint if scope["method"] in self._endpoint.methods else self._others
        await chosen(scope, receive, send)


def api_error(error: Exception) -> ApiError:
    """What a client is told of a failure."""
    if isinstance(error, MediaError):
        return media_api_error(error, "file")
    if isinstance(error, SandboxBusy):
        return ServiceUnavailable(error.message, code="busy", retry_after=5)
    if isinstance(error, SandboxError):
        # a client that tries again would cost the same work to the same end
        return ApiError(error.message, code="processing_failed", headers={"x-should-retry": "false"})
    return api_error_of(error)


@asynccontextmanager
async def watched(receive: Receive) -> AsyncIterator[asyncio.Event]:
    """An event that is set once the client has left; the request's body must have been read."""
    is_gone = asyncio.Event()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        is_gone.set()

    watching = asyncio.ensure_future(watch())
    try:
        yield is_gone
    finally:
        watching.cancel()


async def unless_gone(is_gone: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, which is cancelled, with `ClientGone`, when the client leaves before."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(is_gone.wait())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})


async def send_whole(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})
