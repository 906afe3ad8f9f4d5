"""The engine that speaks to any OpenAI-compatible upstream."""

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from core.known_secrets import KNOWN_SECRETS, KnownSecrets
from core.secret_variables import read_secret
from engines.base import EngineError
from engines.events import Event
from engines.openai_compatible.chunk_reader import INCOMPLETE
from engines.openai_compatible.errors import (
    TimedOut,
    Transient,
    Unreachable,
    error_for_connection,
    error_for_status,
)
from engines.openai_compatible.reachability import Reachability
from engines.openai_compatible.request_body import encode_request
from engines.openai_compatible.upstream_response import (
    DEFAULT_LIMITS,
    ResponseLimits,
    UpstreamResponse,
    read_error_body,
)
from engines.requests import EngineRequest

if TYPE_CHECKING:
    from engines.model_spec import ModelSpec

logger = logging.getLogger(__name__)

RETRY_AFTER_LIMIT = 5.0
"""Seconds that an upstream may ask us to wait; a longer wait is passed on to the client."""
BACK_OFF = 0.25
KEEP_ALIVE = 30.0
LARGE_BODY = 2**20
"""In bytes; a larger body is sent in pieces."""
PIECE = 2**18
NOT_COMPRESSED = ("", "identity", "none")
"""Content encodings; "none" is not registered, but some servers send it to keep proxies off."""


class OpenAICompatibleEngine:
    """One model of one upstream. Times are in seconds.

    `first_event_timeout` counts from the request, `idle_timeout` from the last byte; `retries` is how often
    to retry a call that failed before its first event; `sleep` waits between two attempts.
    """

    unsupported: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        connect_timeout: float = 10,
        first_event_timeout: float = 300,
        idle_timeout: float = 120,
        retries: int = 2,
        supports_n: bool = False,
        context_length: int | None = None,
        limits: ResponseLimits = DEFAULT_LIMITS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        base = URL(base_url)
        # what the address has of parameters, such as a version or a key, belongs to each request
        self._url = base.with_path(
            f"{base.raw_path.rstrip('/')}/chat/completions", encoded=True, keep_query=True
        )
        self._model = model
        self._api_key = api_key
        self._secrets = KnownSecrets()
        for secrets in (self._secrets, KNOWN_SECRETS):
            secrets.add(api_key or "")
            secrets.add_url(base_url, user_is_secret=True)
        self._connect_timeout = connect_timeout
        self._first_event_timeout = first_event_timeout
        self._idle_timeout = idle_timeout
        self._retries = retries
        self._supports_n = supports_n
        self._context_length = context_length
        self._limits = limits
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lingering: set[aiohttp.ClientResponse] = set()
        self._reachability = Reachability(self._url, connect_timeout)

    @classmethod
    def from_spec(cls, spec: "ModelSpec") -> "OpenAICompatibleEngine":
        api_key = read_secret(spec.api_key_env) if spec.api_key_env else None
        if spec.api_key_env and not api_key:
            logger.warning("model %s: %s is not set, so no key is sent", spec.id, spec.api_key_env)
        return cls(
            spec.base_url or "",
            spec.upstream_model or spec.id,
            api_key=api_key,
            connect_timeout=spec.connect_timeout,
            first_event_timeout=spec.first_event_timeout,
            idle_timeout=spec.idle_timeout,
            retries=spec.retries,
            supports_n=spec.supports_n,
            context_length=spec.context_length,
        )

    @property
    def unready_reason(self) -> str | None:
        return self._reachability.problem

    async def start(self) -> None:
        self._reachability.start()

    async def close(self) -> None:
        await self._reachability.close()
        while self._lingering:
            self._lingering.pop().close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def stream(self, request: EngineRequest) -> AsyncGenerator[Event, None]:
        body = await encode_request(request, self._model, supports_n=self._supports_n)
        try:
            call, events = await self._begin(body, request)
            try:
                while events:
                    for event in events:
                        yield event
                    events = await call.read()
            finally:
                self._leave(call, request)
        except EngineError as error:
            error.mask(self._secrets)
            if error.upstream_failure is None:
                error.upstream_failure = "broken_off" if error.code == INCOMPLETE else "invalid_answer"
            raise

    async def _begin(self, body: list[bytes], request: EngineRequest) -> tuple[UpstreamResponse, list[Event]]:
        """Return the call and its first events, after as many attempts as needed and allowed."""
        for attempt in itertools.count():
            try:
                return await self._attempt(body, request)
            except Transient as error:
                delay = self._delay(error, attempt)
                if delay is None:
                    raise
                logger.info("attempt %d at %s failed (%s), trying again", attempt + 1, self._model, error)
            await self._sleep(delay)
        raise AssertionError("unreachable")

    def _delay(self, error: Transient, attempt: int) -> float | None:
        """Return the seconds until the next attempt; None if there is to be none."""
        if attempt >= self._retries:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= RETRY_AFTER_LIMIT else None
        if error.status == 429:
            return None
        return BACK_OFF * float(2**attempt) * random.uniform(0.5, 1)  # noqa: S311  (jitter is not secret)

    async def _attempt(
        self, body: list[bytes], request: EngineRequest
    ) -> tuple[UpstreamResponse, list[Event]]:
        deadline = asyncio.get_running_loop().time() + self._first_event_timeout
        sending = _Sending(body, request.report_sent)
        try:
            response = await self._post(sending, request.stream, deadline)
            return await self._read_first(request, response, deadline)
        except EngineError:
            sending.take_back()
            raise

    async def _read_first(
        self, request: EngineRequest, response: aiohttp.ClientResponse, deadline: float
    ) -> tuple[UpstreamResponse, list[Event]]:
        call = UpstreamResponse(
            response,
            choices=request.n,
            streamed=request.stream,
            first_deadline=deadline,
            idle_timeout=self._idle_timeout,
            context_length=self._context_length,
            lingering=self._lingering,
            limits=self._limits,
        )
        try:
            return call, await call.read()
        except asyncio.CancelledError:
            self._leave(call, request)
            raise
        except BaseException:
            call.close()
            raise

    @staticmethod
    def _leave(call: UpstreamResponse, request: EngineRequest) -> None:
        """Close a call; report what was counted of its answer and is not known yet."""
        if (usage := call.take_usage()) is not None:
            request.report_usage(usage)
        call.close()

    async def _post(self, sending: "_Sending", streamed: bool, deadline: float) -> aiohttp.ClientResponse:
        headers = {"Accept": "text/event-stream" if streamed else "application/json"}
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._open_session().post(
                    self._url, data=sending, headers=headers, allow_redirects=False
                )
        except aiohttp.ServerTimeoutError as error:
            message = "The upstream took no connection in time."
            raise Unreachable(message, status=504, upstream_failure="timeout") from error
        except TimeoutError as error:
            raise TimedOut("The upstream did not answer in time.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise error_for_connection(error) from error
        if 200 <= response.status < 300:
            _refuse_compressed(response)
            return response
        try:
            fault = await read_error_body(response)
        finally:
            response.close()
        raise error_for_status(response.status, response.headers, fault)

    def _open_session(self) -> aiohttp.ClientSession:
        """Return the session of the running loop, without which it cannot be created."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout),
                headers=self._headers(),
                # a few bytes may decompress to gigabytes, so nothing compressed is read
                auto_decompress=False,
            )
        return self._session

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "chatapi",
            # an upstream that compresses holds chunks back until it has a block of them
            "Accept-Encoding": "identity",
        }
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        return headers


def _refuse_compressed(response: aiohttp.ClientResponse) -> None:
    encoding = response.headers.get("Content-Encoding", "")
    if encoding.strip().lower() not in NOT_COMPRESSED:
        response.close()
        raise EngineError(f"The upstream compressed its answer ({encoding[:40]!a}), unasked.")


class _Sending(aiohttp.Payload):
    """A request's body, which reports when it has been sent whole.

    Large ones are sent in pieces. Its length is known: not every upstream supports chunked requests.
    """

    _autoclose = True

    def __init__(self, pieces: list[bytes], report_sent: Callable[[int], None]) -> None:
        super().__init__(pieces, content_type="application/json")
        self._size: int = sum(map(len, pieces))
        self._report_sent = report_sent
        self._was_sent = False

    async def write(self, writer: AbstractStreamWriter) -> None:
        if self._size <= LARGE_BODY:
            await writer.write(b"".join(self._value))
        else:
            for part in self._value:
                for start in range(0, len(part), PIECE):
                    await writer.write(part[start : start + PIECE])
                    await asyncio.sleep(0)
        self._was_sent = True
        self._report_sent(1)

    def take_back(self) -> None:
        """Report that the upstream refused what it got."""
        if self._was_sent:
            self._was_sent = False
            self._report_sent(-1)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._value).decode(encoding, errors)
