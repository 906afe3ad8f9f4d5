"""The scripted engine, which plays a script as events."""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncGenerator, Iterator
from typing import ClassVar

import msgspec

from engines.base import InvalidRequest
from engines.events import (
    AudioDelta,
    Event,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStart,
    Usage,
)
from engines.requests import EngineRequest
from engines.scripted.answer_plan import call_arguments, plan_answer
from engines.scripted.directives import Script, TextStep, ToolCallStep
from engines.scripted.tone import wav, word_pcm

_WORDS = re.compile(r"\S+\s*|\s+")
_FRAGMENT = 8
"""Characters of a call's arguments per chunk."""
_SOUND_LIFETIME = 3600
"""Seconds until a spoken answer expires."""


class ScriptedEngine:
    unsupported: ClassVar[frozenset[str]] = frozenset({"logprobs", "top_logprobs"})

    @property
    def unready_reason(self) -> str | None:
        return None

    async def start(self) -> None:
        """Do nothing: there is nothing to start."""

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""

    async def stream(self, request: EngineRequest) -> AsyncGenerator[Event, None]:
        script = plan_answer(request)
        request.report_sent(1)
        await asyncio.sleep(script.wait)
        if script.error is not None:
            raise script.error
        play = _Playback(request, script)
        chunks = 0
        for event in play.events():
            _fail_if_due(script, chunks)
            await asyncio.sleep(script.slow)
            yield event
            chunks += 1
        _fail_if_due(script, chunks)
        if script.ending == "stall":
            await asyncio.Event().wait()
        if script.ending == "finish":
            yield Finish(play.reason)
            yield play.usage()


def _fail_if_due(script: Script, chunks: int) -> None:
    if script.error_after is not None and chunks == script.error_after[0]:
        raise script.error_after[1]


class _Playback:
    """One answer being played; a token is one piece of its text, calls or reasoning."""

    def __init__(self, request: EngineRequest, script: Script) -> None:
        self._request = request
        self._script = script
        self._seed = hashlib.sha256(msgspec.json.encode(request.messages)).hexdigest()
        self._format = _unstreamed_format(request) if script.speaks else ""
        self._tokens_left = _token_limit(request)
        self._is_cut = False
        self._calls = 0
        self._tokens = 0
        self._reasoning_tokens = 0
        self._spoken: list[str] = []
        self._end_reason: FinishReason | None = None

    @property
    def reason(self) -> FinishReason:
        """Why the answer ended, once its events have been played."""
        return self._script.finish or self._end_reason or ("tool_calls" if self._calls else "stop")

    def events(self) -> Iterator[Event]:
        for item in self._script.content:
            yield from self._call(item) if isinstance(item, ToolCallStep) else self._say(item)
            if self._is_cut:
                break
        if self._spoken:
            yield self._end_of_speech()

    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=sum(len(message.text.split()) for message in self._request.messages),
            completion_tokens=self._tokens,
            reasoning_tokens=self._reasoning_tokens,
            completion_audio_tokens=len(self._spoken),
        )

    def _say(self, item: TextStep) -> Iterator[Event]:
        text = self._cut_at_stop(item.text) if item.kind == "text" else item.text
        words = self._take(_WORDS.findall(text))
        if item.kind == "text" and self._script.speaks:
            yield from self._speak(words)
        elif item.kind == "text":
            yield from map(TextDelta, words)
        elif item.kind == "refuse":
            yield from map(RefusalDelta, words)
        else:
            self._reasoning_tokens += len(words)
            yield from map(ReasoningDelta, words)

    def _call(self, call: ToolCallStep) -> Iterator[Event]:
        arguments = call_arguments(call, self._request)
        fragments = self._take([arguments[at : at + _FRAGMENT] for at in range(0, len(arguments), _FRAGMENT)])
        if not fragments:
            return
        index = self._calls
        self._calls += 1
        yield ToolCallStart(index, f"call_{self._id(index)}", call.name)
        for fragment in fragments:
            yield ToolCallArguments(index, fragment)

    def _speak(self, words: list[str]) -> Iterator[Event]:
        is_first = not self._spoken
        self._spoken += words
        if not self._request.stream or not words:
            return
        if is_first:
            yield AudioDelta(id=f"audio_{self._id('sound')}")
        for word in words:
            yield AudioDelta(data=word_pcm(), transcript=word)

    def _end_of_speech(self) -> Event:
        expires_at = int(time.time()) + _SOUND_LIFETIME
        if self._request.stream:
            return AudioDelta(expires_at=expires_at)
        pcm = word_pcm() * len(self._spoken)
        return AudioDelta(
            id=f"audio_{self._id('sound')}",
            data=pcm if self._format == "pcm16" else wav(pcm),
            transcript="".join(self._spoken),
            expires_at=expires_at,
        )

    def _cut_at_stop(self, text: str) -> str:
        stop = self._request.params.get("stop") or ()
        stops = (stop,) if isinstance(stop, str) else stop
        ends = [at for one in stops if one and (at := text.find(one)) >= 0]
        if not ends:
            return text
        self._is_cut = True
        return text[: min(ends)]

    def _take(self, pieces: list[str]) -> list[str]:
        """Take as many of the pieces as the token limit allows."""
        if self._tokens_left is not None and len(pieces) > self._tokens_left:
            pieces = pieces[: self._tokens_left]
            self._is_cut = True
            self._end_reason = "length"
        self._tokens += len(pieces)
        self._tokens_left = None if self._tokens_left is None else self._tokens_left - len(pieces)
        return pieces

    def _id(self, what: object) -> str:
        return hashlib.sha256(f"{self._seed}/{what}".encode()).hexdigest()[:24]


def _token_limit(request: EngineRequest) -> int | None:
    limit = request.params.get("max_completion_tokens")
    return request.params.get("max_tokens") if limit is None else limit


def _unstreamed_format(request: EngineRequest) -> str:
    """Return the format of sound that is not streamed."""
    format_ = (request.audio and request.audio.format) or "wav"
    if not request.stream and format_ not in ("wav", "pcm16"):
        raise InvalidRequest(f"The scripted engine cannot make {format_}.", param="audio.format")
    return format_
