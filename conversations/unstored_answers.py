"""Answers that are being made, as messages not stored yet: their ids are known, and where they belong."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from uuid import UUID

from msgspec import structs

from conversations.models import Completion, Conversation, Message
from conversations.running_answers import RunningAnswers
from conversations.settlement import answer_id
from engines.messages import Part, SpokenPart


def unstored_answers(conversation: Conversation) -> list[Message]:
    """Return the answers that are being made in a conversation, each without its content, in one query."""
    running = Completion.objects.filter(
        # SQLite takes the index of those in progress only by the workspace
        workspace_id=conversation.workspace_id,
        conversation=conversation,
        state=Completion.State.IN_PROGRESS,
    )
    # sorted here: for the order's sake SQLite would read all completions of the workspace
    in_order = sorted(running, key=attrgetter("id"))
    return [answer for completion in in_order for answer in _answers_of(completion)]


def _answers_of(completion: Completion) -> Iterable[Message]:
    if completion.first_answer is None or completion.conversation_id is None:
        return
    for choice in range(completion.request.get("n", 1)):
        yield Message(
            id=answer_id(completion.first_answer, choice),
            conversation_id=completion.conversation_id,
            parent_id=completion.prompt_id,
            role=Message.Role.ASSISTANT,
            parts=(),  # type: ignore[misc]
            completion=completion,
            choice=choice,
            created_at=completion.created_at,
        )


def add_what_is_written(answers: Iterable[Message], running: RunningAnswers | None) -> None:
    """Put into these what this process has written of them so far."""
    written: dict[UUID, dict[int, tuple[Part, ...]]] = {}
    for answer in answers:
        if running is None or answer.completion_id is None:
            continue
        if answer.completion_id not in written:
            choices = running.written(answer.completion_id)
            written[answer.completion_id] = {one.index: _unstored(one.message.parts) for one in choices}
        answer.parts = written[answer.completion_id].get(answer.choice or 0, ())


def _unstored(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return these without the sound, which is no file yet."""
    return tuple(structs.replace(part, blob=None) if isinstance(part, SpokenPart) else part for part in parts)
