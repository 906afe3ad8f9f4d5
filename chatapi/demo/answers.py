"""Completions: what a model answers, what that used and cost, how it ended, and what people said of it."""

from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from chatapi.completions.billable_usage import billing_units
from chatapi.demo.books import Bill, Books
from chatapi.demo.demo_models import PricedModels
from chatapi.demo.feedback import Rated, Scores
from chatapi.demo.library import Library
from chatapi.demo.people import Owner
from chatapi.demo.rows import Ids, Milliseconds, as_json, following_id, time_text
from chatapi.demo.tables import Row
from chatapi.demo.texts import Texts
from conversations.labels import label_rows
from conversations.models import Completion, spoken_answer_id
from core.ids import CONVERSATION
from engines.events import Usage
from engines.messages import Part, ReasoningPart, RefusalPart, SpokenPart, TextPart, ToolCall

State = Completion.State
MAX_PROMPT = 32_000
"""Tokens; more of a long conversation no model was sent."""
MAX_SECONDS = 25
_TOOLS = (
    {
        "name": "find_orders",
        "description": "Find orders of a customer.",
        "parameters": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "limit": {"type": "integer"}},
        },
    },
)
_ERRORS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (
        State.FAILED,
        {"message": "The model is overloaded. Try again.", "type": "rate_limit_error", "param": None}
        | {"code": "rate_limit_exceeded", "status": 429, "retry_after": 8.0},
    ),
    (
        State.FAILED,
        {"message": "The upstream did not answer within 120 s.", "type": "server_error", "param": None}
        | {"code": "upstream_timeout", "status": 504, "retry_after": None},
    ),
    (
        State.FAILED,
        {"message": "The connection to the upstream broke off.", "type": "server_error", "param": None}
        | {"code": "upstream_error", "status": 502, "retry_after": None},
    ),
)


class Asked(NamedTuple):
    """A call to answer a message. `head_before` is the head if the message is answered anew."""

    owner: Owner
    conversation_id: str
    prompt_id: str
    head_before: str | None
    model: str
    metadata: Mapping[str, str]
    tokens: int
    at: Milliseconds
    uses_tools: bool = False


class Given(NamedTuple):
    """An answer: the parts of each of its choices."""

    choices: tuple[tuple[Part, ...], ...]
    finish: str = "stop"
    state: str = State.COMPLETED.value


class Ended(NamedTuple):
    """A completion that ended, with the ids of its answers."""

    id: str
    answers: tuple[str, ...]
    at: Milliseconds
    cost: int


class Answerer:
    """The rows of all completions, with their bills and what is said of them."""

    def __init__(self, models: PricedModels, books: Books, scores: Scores, random: Random, ids: Ids) -> None:
        self.completions: list[Row] = []
        self.labels: list[Row] = []
        self.spoken: list[Row] = []
        self._models = models
        self._books = books
        self._scores = scores
        self._random = random
        self._ids = ids

    # --- what is answered -------------------------------------------------------------------------

    def give(self, asked: Asked, texts: Texts, library: Library, choices: int) -> Given:
        """Make up an answer."""
        random = self._random
        made = tuple(self._parts(asked, texts, library) for _ in range(choices))
        chance = random.random()
        if chance < 0.015:
            return Given(made, "", State.CANCELLED.value)
        return Given(made, "length" if chance < 0.03 else "stop")

    def _parts(self, asked: Asked, texts: Texts, library: Library) -> tuple[Part, ...]:
        random = self._random
        if asked.model == "demo-voice":
            expires_at = asked.at // 1000 + 3600
            spoken = library.speak(random, f"audio_{random.getrandbits(96):024x}", expires_at)
            if spoken is not None:
                return (spoken,)
        if random.random() < 0.003:
            return (RefusalPart("I am sorry, I cannot help with that."),)
        answer = TextPart(texts.answer(random))
        if asked.model == "demo-reasoning":
            return (ReasoningPart(texts.question(random)), answer)
        return (answer,)

    def call_tool(self, texts: Texts) -> ToolCall:
        random = self._random
        arguments = as_json({"name": random.choice(texts.names), "limit": random.randrange(1, 50)})
        return ToolCall(f"call_{random.getrandbits(96):024x}", "find_orders", arguments)

    # --- how it ends ------------------------------------------------------------------------------

    def complete(self, asked: Asked, given: Given) -> Ended:
        """Write a completion that answered."""
        written = sum(_length(part) for parts in given.choices for part in parts) // 4 + 1
        usage = self._usage(asked, given, written)
        seconds = min(MAX_SECONDS, 0.8 + written / 70)
        ended_at = asked.at + int(1000 * seconds)
        ended = self._end(asked, given.state, usage, ended_at, None, len(given.choices))
        self._add_spoken(asked, given, ended)
        if given.state == State.COMPLETED and self._random.random() < 0.07:
            self._scores.rate(Rated(asked.owner, ended.id, ended_at))
        return ended

    def fail(self, asked: Asked) -> Ended:
        """Write a completion that failed, or that a process left behind, and that answered nothing."""
        state, error = self._random.choice(_ERRORS)
        if self._random.random() < 0.2:
            usage = Usage(estimated=True)
            return self._end(asked, State.INTERRUPTED.value, usage, asked.at + 15_000, None, 1)
        return self._end(asked, state, Usage(), asked.at + 2500, error, 1)

    def _usage(self, asked: Asked, given: Given, written: int) -> Usage:
        prompt = min(asked.tokens, MAX_PROMPT)
        cached = prompt * 4 // 5 // 128 * 128 if prompt > 1024 and asked.model != "demo-local" else 0
        parts = given.choices[0]
        reasoning = sum(len(part.text) // 4 for part in parts if isinstance(part, ReasoningPart))
        spoken = written if any(isinstance(part, SpokenPart) for part in parts) else 0
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=written,
            cached_tokens=cached,
            reasoning_tokens=min(reasoning, written),
            completion_audio_tokens=spoken,
            estimated=given.state == State.CANCELLED,
        )

    def _end(
        self,
        asked: Asked,
        state: str,
        usage: Usage,
        ended_at: Milliseconds,
        error: Mapping[str, Any] | None,
        choices: int,
    ) -> Ended:
        owner, ids, has_answered = asked.owner, self._ids, usage.completion_tokens > 0
        id, first_answer = ids.at(asked.at), ids.at(asked.at)
        tariff = self._models.at(asked.model, asked.at)
        units = billing_units(usage, 0)
        bill = Bill(id, owner, tariff, units, asked.at, ended_at, state, usage.estimated)
        cost = self._books.charge(bill)
        # an end that did not answer gives up its key, since a repeat is meant to succeed
        key = f"retry-{id}" if has_answered and owner.key_id and self._random.random() < 0.04 else None
        self.completions.append(
            (
                id,
                owner.workspace_id,
                owner.key_id,
                owner.user_id,
                owner.end_user,
                asked.conversation_id,
                asked.prompt_id,
                first_answer,
                asked.head_before,
                None,
                "openai" if owner.key_id else "native",
                asked.model,
                "" if state == State.INTERRUPTED else asked.model,
                state,
                key,
                id * 2 if key else "",
                self._request(asked, choices),
                as_json(asked.metadata),
                None if error is None else as_json(error),
                *usage.counts.values(),
                int(usage.estimated),
                cost,
                time_text(asked.at),
                time_text(asked.at + 600) if has_answered else None,
                time_text(ended_at),
            )
        )
        if asked.metadata:
            rows = label_rows("completion", UUID(id), UUID(owner.workspace_id), asked.metadata)
            self.labels += [(id, row["digest"].hex) for row in rows]
        answers = tuple(
            following_id(first_answer, choice) if choice else first_answer for choice in range(choices)
        )
        return Ended(id, answers, ended_at, cost)

    def _request(self, asked: Asked, choices: int) -> str:
        """Return what is stored of a request: whatever differs from the defaults."""
        request: dict[str, Any] = {"tools": _TOOLS} if asked.uses_tools else {}
        if asked.owner.key_id:
            request["params"] = {"temperature": 0.7, "max_completion_tokens": 2000}
        if choices > 1:
            request["n"] = choices
        request |= {"stream": True, "model": asked.model}
        if not asked.owner.key_id:
            named = CONVERSATION + asked.conversation_id
            request |= {"context": {"conversation_id": named}, "conversation_id": named}
        return as_json(request)

    def _add_spoken(self, asked: Asked, given: Given, ended: Ended) -> None:
        for message_id, parts in zip(ended.answers, given.choices, strict=True):
            for part in parts:
                if isinstance(part, SpokenPart) and part.expires_at:
                    id = spoken_answer_id(UUID(asked.owner.workspace_id), part.id)
                    self.spoken.append((id.hex, message_id, time_text(1000 * part.expires_at)))


def _length(part: Part) -> int:
    return len(getattr(part, "text", "") or getattr(part, "transcript", "") or getattr(part, "arguments", ""))
