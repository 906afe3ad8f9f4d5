"""A finished completion's event log, rebuilt for viewers who come late."""

from collections.abc import Iterator
from uuid import UUID

from accounts.principal import Principal
from chatapi.completions.runs.event_log import EventLog
from conversations.completion_selectors import get_unstored_completion
from conversations.exceptions import NotStored
from conversations.models import Completion, Message
from conversations.selectors import answer_of, failure_of, get_completion, read_sounds, stored_ids
from core.exceptions import NotFound
from core.ids import COMPLETION, format_id
from engines.answers import Answer, AnswerEnd, Choice
from engines.events import (
    AudioDelta,
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStart,
)
from engines.messages import ReasoningPart, RefusalPart, SpokenPart, TextPart, ToolCall


def replay(who: Principal, completion_id: UUID) -> EventLog | None:
    """Return the log of a stored completion; None while it is still running.

    Raises `NotStored` if it has ended and nothing of it was kept, or one of its answers was deleted.
    """
    public_id = format_id(COMPLETION, completion_id)
    try:
        completion = get_completion(who, public_id)
    except NotFound:
        if get_unstored_completion(who, public_id).state == Completion.State.IN_PROGRESS:
            return None
        raise NotStored from None
    answer = answer_of(completion)
    if answer.state == "in_progress":
        return None
    if Message.objects.filter(completion=completion, emptied_at__isnull=False).exists():
        raise NotStored
    log = EventLog(answer.head, stored_ids(completion))
    for event in _events(answer, read_sounds(who.workspace_id, answer)):
        log.append(event)
    finishes = tuple(
        Finish(choice.finish_reason, choice.index) for choice in answer.choices if choice.finish_reason
    )
    log.end(AnswerEnd(answer.state, finishes, answer.usage, failure_of(completion)))
    return log


def _events(answer: Answer, sounds: dict[str, bytes]) -> Iterator[Event]:
    for choice in answer.choices:
        calls = 0
        for part in choice.message.parts:
            match part:
                case TextPart():
                    yield TextDelta(part.text, choice.index, choice.logprobs)
                case RefusalPart():
                    yield RefusalDelta(part.text, choice.index)
                case ReasoningPart():
                    yield ReasoningDelta(part.text, choice.index)
                case SpokenPart():
                    yield _spoken(part, choice, sounds)
                case ToolCall():
                    yield ToolCallStart(calls, part.id, part.name, choice.index)
                    yield ToolCallArguments(calls, part.arguments, choice.index)
                    calls += 1


def _spoken(part: SpokenPart, choice: Choice, sounds: dict[str, bytes]) -> AudioDelta:
    data = sounds.get(part.blob.sha256) if part.blob else None
    return AudioDelta(part.id, data, part.transcript, part.expires_at, choice.index)
