"""The pump: it runs an engine and appends what the engine yields to the completion's log.

It does not belong to a connection: viewers come and go. It ends the log once the run's end is stored.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from chatapi.completions.runs.crash_journal import MAX_COUNT, JournalSlot
from chatapi.completions.runs.event_log import Entry, EventLog
from chatapi.completions.runs.multiple_choices import request_choices
from chatapi.completions.runs.speaker import Speaker, SpeechOptions
from chatapi.completions.token_counts import PromptEstimate, fill_missing_counts
from core.value import Value
from engines.answers import (
    AnswerEnd,
    AnswerHead,
    Assembler,
    Choice,
    CompletionState,
    Failure,
    Outcome,
    assemble,
)
from engines.base import EngineError, PromptTooLong
from engines.events import (
    AudioDelta,
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    Usage,
)
from engines.messages import Message, TextPart
from engines.model_registry import Registry
from engines.model_spec import ModelSpec
from engines.requests import EngineRequest
from media.processing.sound.output_formats import sound_media_type
from media.processing.speech.plain_stream import PlainStream
from media.processing.speech.ssml.ssml_stream import SsmlStream

logger = logging.getLogger(__name__)

ANSWER_BYTES = 128 * 1024 * 1024
"""The most bytes of an answer, which is kept in memory until its end."""
EVENT_BYTES = 100
"""The bytes that an event costs besides its content."""
COUNT_SECONDS = 2.0
"""How long a model that has finished is waited for to tell its usage, once nobody reads its answer."""

_NOTHING = Usage()
_UNSTORABLE = Failure("The answer could not be stored.", code="unstorable", status=500)


class PreparedRequest(Value, frozen=True):
    """A request as one model is asked it, with the price it is billed at.

    `substitutes` counts what stands for media in its prompt. `prompt` is what is billed for it if the engine
    does not count, and `speech_limit` the most tokens that are billed of the speech made of its answer here.
    """

    request: EngineRequest
    substitutes: Usage = Usage()
    prompt: PromptEstimate = PromptEstimate()
    price_id: UUID | None = None
    speech_limit: int = MAX_COUNT


class SentPrompts:
    """What one model has reported of the request: how often it has got it, and what it had counted."""

    def __init__(self) -> None:
        self.prompts = 0
        self.usages: list[Usage] = []

    def count(self, change: int) -> None:
        self.prompts += change


class PumpedRun(Protocol):
    """What the pump must know of a run. `request` has the whole history, but is not prepared for a model."""

    @property
    def id(self) -> UUID: ...

    @property
    def head(self) -> AnswerHead: ...

    @property
    def stored_ids(self) -> tuple[str, str] | None: ...

    @property
    def request(self) -> EngineRequest: ...

    @property
    def candidates(self) -> Sequence[ModelSpec]:
        """The models that may answer, in the order in which they are asked."""

    @property
    def is_ssml(self) -> bool: ...

    @property
    def speech_options(self) -> SpeechOptions | None:
        """How the answer is spoken if the model does not speak itself; None if it is not to be spoken."""

    @property
    def is_cancelled_when_left(self) -> bool: ...

    async def prepare(self, spec: ModelSpec) -> PreparedRequest: ...


class Pump:
    """The pump of one run. `slot` is where progress is recorded, `settle` stores the end."""

    def __init__(
        self,
        run: PumpedRun,
        registry: Registry,
        slot: JournalSlot,
        settle: Callable[[Outcome], Awaitable[None]],
    ) -> None:
        self.log = EventLog(run.head, run.stored_ids, self.leave if run.is_cancelled_when_left else None)
        self._run = run
        self._request = run.request
        self._prepared = PreparedRequest(run.request)
        self._slot = slot
        self._texts: dict[int, SsmlStream | PlainStream] = {}
        self._choices_with_text: set[int] = set()
        self._speakers: dict[int, Speaker] = {}
        self._served_by = run.candidates[0]
        self._registry = registry
        self._settle = settle
        self._finishes: dict[int, Finish] = {}
        self._partial_usage: Usage | None = None
        self._first_event_at: datetime | None = None
        self._cancelled_as: Literal["cancelled", "interrupted"] | None = None
        self._engine_is_running = True
        self._has_started = False
        self._sent = SentPrompts()
        self._has_heard_all = False
        self._is_left = False
        self._count_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self._pump(), name=f"pump {self._run.id}")

    def cancel(self, state: Literal["cancelled", "interrupted"] = "cancelled") -> None:
        """Stop the engine and settle what was generated. Does nothing once the engine is done."""
        if self._engine_is_running and self._cancelled_as is None:
            self._cancelled_as = state
            if self._has_started:  # a task that is cancelled before its first step never runs
                self.task.cancel()

    def leave(self) -> None:
        """Stop, since nobody reads the answer any more.

        Where the model has said its last word, its answer is whole, and its usage is waited for.
        """
        if self._has_heard_all or len(self._finishes) < self._request.n:
            self.cancel()
        elif self._engine_is_running and not self._is_left:
            self._is_left = True
            seconds = 0 if self._slot.was_counted else COUNT_SECONDS
            self._count_timer = asyncio.get_running_loop().call_later(seconds, self.task.cancel)

    @property
    def written(self) -> tuple[Choice, ...]:
        """What the log holds so far, as it would be stored. May be read in any thread."""
        return self._assemble(tuple(self.log.entries), ()).choices()

    async def _pump(self) -> None:
        state: CompletionState = "completed"
        failure: Failure | None = None
        self._has_started = True
        try:
            if self._cancelled_as is None:
                await self._answer()
        except asyncio.CancelledError:
            if not self._is_left:
                self._cancelled_as = self._cancelled_as or "interrupted"
        except EngineError as error:
            if not self._is_left:
                state, failure = "failed", _failure(error)
        except Exception:
            logger.exception("Completion %s failed", self._run.id)
            state, failure = "failed", Failure("The engine failed.", code="internal_error", status=500)
        self._engine_is_running = False
        if self._count_timer is not None:
            self._count_timer.cancel()
        if self._is_left and self._speakers:  # what was not spoken yet never will be
            self._cancelled_as = self._cancelled_as or "cancelled"
        self._close_texts()
        for speaker in self._speakers.values():
            speaker.end()
        await self._end(self._cancelled_as or state, failure)

    async def _end(self, state: CompletionState, failure: Failure | None) -> None:
        """Store the end of the run, or as much of it as can be stored."""
        finishes = () if failure else tuple(self._finishes[choice] for choice in sorted(self._finishes))
        ended = AnswerEnd(state, finishes, self._usage(state), failure)
        for outcome in self._outcomes(ended):
            try:
                await self._settle(outcome)
            except Exception:
                logger.exception("The end of completion %s could not be stored", self._run.id)
            else:
                self._slot.release()
                break
        if outcome.state != state:
            ended = AnswerEnd("failed", failure=_UNSTORABLE)
        self.log.end(ended)

    def _outcomes(self, ended: AnswerEnd) -> Iterator[Outcome]:
        """Yield the outcome as it is, then without what may have kept it from being stored.

        The second has only the text, the third nothing. Each is built only when it is needed.
        """
        whole = self._assemble(self.log.entries, ended.finishes)
        choices = whole.choices()
        yield self._outcome(ended, choices, whole.sounds())
        fallback = AnswerEnd("failed", usage=ended.usage, failure=_UNSTORABLE)
        yield self._outcome(fallback, tuple(map(_text_only, choices)), {})
        yield self._outcome(fallback, (), {})

    def _assemble(self, entries: Sequence[Entry], finishes: Sequence[Finish]) -> Assembler:
        sound_type = sound_media_type(self._request.sound_format)
        return assemble(entries, finishes, choices=self._request.n, sound_type=sound_type)

    async def _answer(self) -> None:
        """Ask the model, and its fallbacks if it fails before its first event.

        A fallback that cannot read the whole prompt is none.
        """
        failure: Exception | None = None
        for spec in self._run.candidates:
            try:
                await self._answer_with(spec)
            except PromptTooLong:
                if failure is None:
                    raise
            except Exception as error:
                if self._first_event_at is not None or not getattr(error, "may_fall_back", True):
                    raise
                failure, self._sent = error, SentPrompts()
                # a fault of our own in calling this model says nothing about the next
                is_known = isinstance(error, EngineError)
                # vendors' messages quote what they were sent: of a run that is not stored, nobody keeps them
                told = error if self.log.stored_ids else type(error).__name__
                how = getattr(error, "upstream_failure", None) or "no upstream"
                logger.warning("Model %s failed (%s: %s)", spec.id, how, told, exc_info=not is_known)
            else:
                return
        if failure is not None:
            raise failure

    async def _answer_with(self, spec: ModelSpec) -> None:
        self._prepared = await self._run.prepare(spec)
        self._served_by = spec
        self._begin_texts(None if "audio" in spec.output_modalities else self._run.speech_options)
        try:
            async with (
                asyncio.timeout(spec.total_timeout),
                contextlib.aclosing(self._events_of(spec)) as events,
            ):
                await self._consume(events)
        except TimeoutError:
            raise EngineError(
                f"The answer took longer than {spec.total_timeout:.0f} seconds.",
                status=504,
                code="answer_timeout",
                upstream_failure="timeout",
            ) from None
        self._has_heard_all = True
        if not self._is_left:
            await self._finish_speaking()

    def _events_of(self, spec: ModelSpec) -> AsyncGenerator[Event, None]:
        engine, prepared = self._registry.engine(spec), self._prepared
        self._sent = sent = SentPrompts()
        request = msgspec.structs.replace(
            prepared.request, report_sent=sent.count, report_usage=sent.usages.append
        )
        self._partial_usage = None
        self._slot.record_request(prepared.price_id, prepared.prompt)
        if request.n == 1 or spec.supports_n:
            return engine.stream(request)
        return self._record_each_prompt(request_choices(engine.stream, request))

    async def _record_each_prompt(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """Pass on the events, and record that each choice that begins has read the prompt."""
        begun: set[int] = set()
        async with contextlib.aclosing(events):
            async for event in events:
                if not isinstance(event, Usage) and event.choice not in begun:
                    begun.add(event.choice)
                    self._slot.record_requests(len(begun))
                yield event

    # --- text that is read aloud, or is SSML ------------------------------------------------------

    def _begin_texts(self, speech: SpeechOptions | None) -> None:
        is_ssml = self._run.is_ssml
        choices = range(self._request.n) if is_ssml or speech else ()
        stream = SsmlStream if is_ssml else PlainStream
        self._texts = {choice: stream(is_spoken=speech is not None) for choice in choices}
        if speech is not None:
            self._speakers = {n: Speaker(n, speech, self.log.append, self._may_speak) for n in choices}

    def _may_speak(self, size: int) -> bool:
        """Record that so many more bytes of sound were made; return whether they are within what is held."""
        return self._slot.add_speech(size, self._prepared.speech_limit)

    def _add_text(self, event: TextDelta) -> None:
        text = self._texts[event.choice]
        self._choices_with_text.add(event.choice)
        self._append_text(text.add(event.text), event.choice, event.logprobs)
        if event.choice in self._speakers:
            self._speakers[event.choice].say(text.take())

    def _append_text(self, text: str, choice: int, logprobs: dict[str, Any] | None = None) -> None:
        if text or logprobs:
            self.log.append(TextDelta(text, choice, logprobs))

    def _close_texts(self) -> None:
        """Complete the texts that were sent, however the answer ended."""
        for choice in self._choices_with_text:
            self._append_text(self._texts[choice].close(), choice)

    async def _finish_speaking(self) -> None:
        self._close_texts()
        for choice, speaker in self._speakers.items():
            speaker.say(self._texts[choice].take(rest=True))
        for speaker in self._speakers.values():
            await speaker.finish()

    async def _consume(self, events: AsyncIterator[Event]) -> None:
        append, journal_slot = self.log.append, self._slot
        wanted = range(self._request.n)
        size = 0
        async for event in events:
            if isinstance(event, TextDelta):  # nearly all are; every other check costs five times as much
                content = len(event.text)
            elif isinstance(event, Usage):
                self._record_usage(event)
                continue
            else:
                content = _size_of(event)
            if event.choice not in wanted:
                continue
            if self._first_event_at is None:
                self._first_event_at = datetime.now(UTC)
                journal_slot.record_start()
            if not content and isinstance(event, Finish):
                self._finishes[event.choice] = event
                continue
            size += EVENT_BYTES + content
            if size > ANSWER_BYTES:
                raise EngineError("The model's answer is too long to be kept.", code="answer_too_long")
            journal_slot.add(event)
            if self._texts and isinstance(event, TextDelta):
                self._add_text(event)
            else:
                append(event)
        if len(self._finishes) < self._request.n:
            raise EngineError(
                "The model's answer broke off.", code="upstream_incomplete", upstream_failure="broken_off"
            )

    def _record_usage(self, usage: Usage) -> None:
        """Record what the engine counted.

        If that lacks the answer, our count is used until the end: more of the answer may still be spoken.
        """
        if not usage.total_tokens:
            return  # every call uses some: it was not counted
        if usage.lacks_completion:
            self._partial_usage = usage
        else:
            self._slot.record_usage(
                fill_missing_counts(usage, self._slot.usage) if usage.lacks_prompt else usage
            )

    def _usage(self, state: CompletionState) -> Usage:
        """Return what is billed of an answer that ended so.

        Of an answer that its client cancelled or left, each prompt that a model has got is; of one that ended
        otherwise, those whose answers had begun.
        """
        prompts_sent = self._sent.prompts if state == "cancelled" else 0
        if self._first_event_at is None and not prompts_sent:
            return Usage()
        if prompts_sent > self._slot.requests:
            self._slot.record_requests(prompts_sent)
        if self._sent.usages and not self._slot.was_counted:
            self._slot.record_told_usage(self._sent.usages)
        usage, substitutes = self._slot.usage, self._prepared.substitutes
        if self._partial_usage is not None:
            usage = fill_missing_counts(self._partial_usage, usage)
        return (usage + substitutes if substitutes != _NOTHING else usage).clamped

    def _outcome(self, ended: AnswerEnd, choices: tuple[Choice, ...], sounds: dict[str, bytes]) -> Outcome:
        return Outcome(
            state=ended.state,
            choices=choices,
            sounds=sounds,
            usage=ended.usage or Usage(),
            images=self._slot.images if ended.usage and ended.usage.prompt_tokens else 0,
            requests=self._slot.requests,
            served_by=self._served_by.id,
            failure=ended.failure,
            first_event_at=self._first_event_at,
            ended_at=datetime.now(UTC),
        )


def _text_only(choice: Choice) -> Choice:
    texts = tuple(part for part in choice.message.parts if isinstance(part, TextPart))
    return Choice(choice.index, Message("assistant", texts), choice.finish_reason)


def _size_of(event: Event) -> int:
    match event:
        case ReasoningDelta() | RefusalDelta():
            return len(event.text)
        case ToolCallArguments():
            return len(event.fragment)
        case AudioDelta():
            return len(event.data or b"") + len(event.transcript or "")
    return 0


def _failure(error: EngineError) -> Failure:
    return Failure(
        error.message,
        error.type,
        error.param,
        error.code,
        error.status,
        error.retry_after,
        error.upstream_failure,
    )
