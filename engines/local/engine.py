"""The local engine: which prompt is decoded, under which constraint, and what the output means."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar

from engines.base import EngineError, InvalidRequest, Unavailable
from engines.events import Event, Finish, TextDelta, ToolCallArguments, ToolCallStart
from engines.local.grammar import ANY_OBJECT, MarkReader, NotConstrained, close_schema, json_grammar
from engines.local.prompts import build_call_prompt, build_text_prompt
from engines.local.server_process import ModelProcess, Progress, ServerEndpoint
from engines.local.server_protocol import ServerSettings
from engines.local.tool_decision import ToolDecider
from engines.messages import Message
from engines.model_spec import LOCAL_CONTEXT_LENGTH, ModelSpec
from engines.openai_compatible.engine import OpenAICompatibleEngine
from engines.openai_compatible.errors import Unreachable
from engines.requests import EngineRequest, ResponseFormat, Tool

logger = logging.getLogger(__name__)

MAX_OUTPUT_TOKENS = 4096
FORWARDED_PARAMS = ("temperature", "top_p", "stop", "frequency_penalty", "presence_penalty", "logit_bias")
"""Parameters that llama.cpp interprets as OpenAI does."""
EXIT_NOTICE_SECONDS = 2.0
"""Seconds within which the supervisor sees that the process has ended."""
GREEDY = {"temperature": 0}


class LocalEngine:
    """A model file served by llama.cpp in a process of its own.

    `progress` is called from another thread with the current loading step and its fraction (0…1).
    """

    unsupported: ClassVar[frozenset[str]] = frozenset({"logprobs", "top_logprobs"})

    def __init__(self, spec: ModelSpec, *, data_dir: Path, progress: Progress | None = None) -> None:
        self._spec = spec
        settings = ServerSettings(
            models_folder=str(data_dir / "models"),
            log_path=str(data_dir / "log" / "llama.log"),
            api_key="",
            slots=spec.slots,
            context_length=spec.context_length or LOCAL_CONTEXT_LENGTH,
            model_path=spec.model_path,
        )
        self.process = ModelProcess(settings, progress)
        self._client: OpenAICompatibleEngine | None = None
        self._endpoint: ServerEndpoint | None = None
        self._decider = ToolDecider(self._ask)
        self._warm_up_task: asyncio.Task[None] | None = None

    @property
    def unready_reason(self) -> str | None:
        return self.process.unready_reason

    async def start(self) -> None:
        self.process.start()
        if self._warm_up_task is None:
            self._warm_up_task = asyncio.create_task(self._warm_up())

    async def close(self) -> None:
        if self._warm_up_task is not None:
            self._warm_up_task.cancel()
            await asyncio.wait([self._warm_up_task])
            self._warm_up_task = None
        await self._drop_client()
        await asyncio.to_thread(self.process.close)

    async def stream(self, request: EngineRequest) -> AsyncGenerator[Event, None]:
        tool = await self._tool_to_call(request)
        events = self._stream_call(request, tool) if tool else self._stream_text(request)
        async with aclosing(events):
            async for event in events:
                yield event

    # --- what to answer with --------------------------------------------------------------------

    async def _tool_to_call(self, request: EngineRequest) -> Tool | None:
        """Choose the tool that this answer must or should call; None for an answer in words."""
        choice = request.tool_choice
        names = choice.names if choice else ()
        tools = tuple(tool for tool in request.tools if not names or tool.name in names)
        mode = choice.mode if choice else "auto"
        if not tools or mode == "none":
            return None
        message = _last_user_text(request.messages)
        if mode == "required":
            return tools[0] if len(tools) == 1 else (await self._decider.find_best(message, tools)).tool
        if request.messages[-1].role != "user" or not message.strip():
            return None  # a tool's result is answered in words
        best = await self._decider.find_best(message, tools)
        return best.tool if best.is_needed else None

    async def _stream_call(self, request: EngineRequest, tool: Tool) -> AsyncGenerator[Event, None]:
        schema = close_schema(tool.parameters) if tool.parameters else {**ANY_OBJECT, "maxProperties": 0}
        grammar = json_grammar(schema, exact=tool.strict)
        params = {**self._limits(request), **GREEDY, "grammar": grammar}
        # decoded greedily, whatever temperature was requested: a small model's arguments need it
        inner = _inner_request(request, build_call_prompt(request.messages, tool), params)
        opened = False
        try:
            async with aclosing(self._stream_constrained(inner)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        if not opened:
                            opened = True
                            yield ToolCallStart(0, _call_id(), tool.name)
                        yield ToolCallArguments(0, event.text)
                    elif isinstance(event, Finish) and event.reason == "stop":
                        if not opened:
                            raise NotConstrained
                        yield Finish("tool_calls")
                    else:
                        yield event
        except NotConstrained as error:
            raise _schema_error(f"tools[{request.tools.index(tool)}].function.parameters") from error

    async def _stream_text(self, request: EngineRequest) -> AsyncGenerator[Event, None]:
        params = {**self._limits(request), **_sampling_params(request.params)}
        grammar = _response_grammar(request.response_format)
        if grammar is not None:
            params["grammar"] = grammar
        inner = _inner_request(request, build_text_prompt(request.messages), params)
        try:
            async with aclosing(
                self._stream_constrained(inner) if grammar else self._stream_answer(inner)
            ) as events:
                async for event in events:
                    yield event
        except NotConstrained as error:
            raise _schema_error("response_format.json_schema.schema") from error

    def _limits(self, request: EngineRequest) -> dict[str, Any]:
        limit = self._spec.max_output_tokens or MAX_OUTPUT_TOKENS
        requested = request.params.get("max_completion_tokens") or request.params.get("max_tokens")
        # reporting progress lets llama.cpp notice in the middle of a long prompt that nobody is reading
        return {"max_tokens": min(requested or limit, limit), "return_progress": True}

    # --- asking the process ---------------------------------------------------------------------

    async def _ask(
        self, messages: tuple[Message, ...], params: dict[str, Any]
    ) -> tuple[str, dict[str, float]]:
        """Return a short greedy answer to a prompt of our own, and its likeliest first tokens."""
        text, tokens = "", dict[str, float]()
        inner = EngineRequest(messages, params={**GREEDY, **params})
        async with aclosing(self._stream_answer(inner)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    text += event.text
                    tokens = tokens or _first_tokens(event)
        return text, tokens

    async def _stream_constrained(self, request: EngineRequest) -> AsyncGenerator[Event, None]:
        """Stream an answer under a grammar, without its mark; raises `NotConstrained`."""
        reader = MarkReader()
        async with aclosing(self._stream_answer(request)) as events:
            async for event in events:
                if not isinstance(event, TextDelta):
                    yield event
                elif text := reader.push(event.text):
                    yield TextDelta(text)

    async def _stream_answer(self, request: EngineRequest) -> AsyncGenerator[Event, None]:
        """Stream one answer of llama.cpp; retried if the process died before the answer began."""
        for attempt in (1, 2):
            client = await self._connect()
            has_begun = False
            try:
                async with aclosing(client.stream(request)) as events:
                    async for event in events:
                        has_begun = True
                        yield event
                return
            except Unreachable as error:
                if has_begun or attempt == 2:
                    raise EngineError("The local model's process ended.", code="engine_crashed") from error
                # the connection may break before the supervisor has seen the process end
                await asyncio.to_thread(self.process.wait_for_end, self._endpoint, EXIT_NOTICE_SECONDS)

    async def _connect(self) -> OpenAICompatibleEngine:
        """Return a client of the process that runs now, waiting while the model loads."""
        try:
            async with asyncio.timeout(self._spec.first_event_timeout):
                endpoint = await _await_shared(self.process.start())
        except TimeoutError:
            raise Unavailable(f"Not ready in time: {self.unready_reason}.", retry_after=5) from None
        if self._client is None or self._endpoint != endpoint:
            await self._drop_client()
            self._endpoint = endpoint
            self._client = OpenAICompatibleEngine(
                endpoint.base_url,
                "local",
                api_key=endpoint.api_key,
                first_event_timeout=self._spec.first_event_timeout,
                idle_timeout=self._spec.idle_timeout,
                retries=0,
            )
        return self._client

    async def _warm_up(self) -> None:
        try:
            await self._decider.warm_up()
        except EngineError as error:
            logger.debug("no warming up: %s", error)

    async def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


async def _await_shared(future: Future[ServerEndpoint]) -> ServerEndpoint:
    """Await a future that others await too: giving up on it must not cancel it."""
    own = asyncio.wrap_future(future)
    own.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(own)


def _inner_request(
    request: EngineRequest, messages: tuple[Message, ...], params: dict[str, Any]
) -> EngineRequest:
    """Return the request for llama.cpp: always a stream, since a disconnect stops a stream at once."""
    return EngineRequest(
        messages, request.read_blob, request.report_sent, request.report_usage, params=params
    )


def _sampling_params(params: dict[str, Any]) -> dict[str, Any]:
    forwarded = {name: params[name] for name in FORWARDED_PARAMS if params.get(name) is not None}
    if params.get("seed") is not None:
        forwarded["seed"] = params["seed"] % (2**32 - 1)  # llama.cpp takes 32 bits; all set means random
        forwarded["cache_prompt"] = False  # prompts read in other batches give slightly different results
    return forwarded


def _response_grammar(format_: ResponseFormat | None) -> str | None:
    if format_ is None or format_.type == "text":
        return None
    if format_.type == "json_object" or format_.schema is None:
        return json_grammar(ANY_OBJECT, exact=True, pretty=True)
    return json_grammar(format_.schema, exact=True, pretty=True)


def _schema_error(param: str) -> InvalidRequest:
    return InvalidRequest(
        "The local model cannot be held to this schema: it is contradictory, or uses a keyword that "
        "cannot be enforced while decoding.",
        param=param,
    )


def _last_user_text(messages: tuple[Message, ...]) -> str:
    return next((message.text for message in reversed(messages) if message.role == "user"), "")


def _first_tokens(event: TextDelta) -> dict[str, float]:
    content = (event.logprobs or {}).get("content") or [{}]
    return {choice["token"]: choice["logprob"] for choice in content[0].get("top_logprobs", ())}


def _call_id() -> str:
    return f"call_{os.urandom(12).hex()}"
