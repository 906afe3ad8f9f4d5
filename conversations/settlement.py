"""Settlement: store how completions ended, many in one transaction, each once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from billing.holds import ChargeSettlement
from billing.units import Units
from conversations.asset_holds import hold_files
from conversations.digest_chain import chain_digests
from conversations.models import (
    PREVIEW_LENGTH,
    Completion,
    Conversation,
    Message,
    SpokenAnswer,
    spoken_answer_id,
)
from conversations.stored_run import Admission, StoredRun
from core.blob import Blob
from core.bulk_sql import Exchange, Increase, Row, insert_rows, update_rows
from engines.answers import Outcome
from engines.events import Usage
from engines.messages import Part, RefusalPart, SpokenPart, TextPart
from media.processing.sound.output_formats import PCM16_BYTES_PER_MILLISECOND, PCM16_MEDIA_TYPE
from media.services import SPEECH_RENDITIONS, StoredFile

LAST_TIMESTAMP = 253_402_300_799
"""The last second of the year 9999: whatever an upstream says, the database can hold it."""


class Settlement(NamedTuple):
    """How a run ended, and what of that is billed."""

    run: StoredRun
    outcome: Outcome
    units: Units

    @property
    def charge(self) -> ChargeSettlement:
        outcome = self.outcome
        return ChargeSettlement(
            hold=self.run.admission.hold,
            model=outcome.served_by,
            units=self.units,
            end=outcome.state,
            at=outcome.ended_at,
            is_estimated=outcome.usage.estimated,
            requests=outcome.requests,
        )


def settle_all(settlements: Sequence[Settlement], costs: Mapping[UUID, int | None]) -> None:
    """Store these ends, with the costs, in nano-USD, of those just charged.

    Runs inside the caller's transaction. A completion that has already ended, or was deleted with its
    conversation, is skipped: no end is settled twice. But one that the sweep wrongly took for interrupted
    gets its true end, though not another bill.
    """
    were_open = update_rows(Completion, [_end_update(settlement, costs) for settlement in settlements])
    ending = [settlement for settlement, was_open in zip(settlements, were_open, strict=True) if was_open]
    answers = [(settlement, answer) for settlement in ending for answer in _answer_rows(settlement)]
    insert_rows(Message, [answer for _, answer in answers])
    _store_spoken_answers([row for pair in answers for row in _spoken_rows(*pair)])
    _update_conversations(ending, answers, costs)
    # last: whoever releases these files has the conversation locked
    hold_files([held for end in ending for held in _held_files(end)])
    _clear_failures([ended.run.id for ended in ending if ended.outcome.failure is not None])


def speech_files(outcome: Outcome) -> tuple[StoredFile, ...]:
    """Return the sounds of an answer, with the renditions that players want."""
    if not outcome.sounds:
        return ()
    return tuple(
        StoredFile(part.blob, milliseconds=_milliseconds(part.blob), renditions=SPEECH_RENDITIONS)
        for choice in outcome.choices
        for part in choice.message.parts
        if isinstance(part, SpokenPart) and part.blob is not None
    )


def _held_files(ended: Settlement) -> Iterable[tuple[UUID, UUID, StoredFile]]:
    run = ended.run
    if run.admission.conversation_id is None:
        return ()
    return ((run.workspace_id, run.admission.conversation_id, file) for file in speech_files(ended.outcome))


def _milliseconds(blob: Blob) -> int | None:
    return blob.size // PCM16_BYTES_PER_MILLISECOND if blob.media_type == PCM16_MEDIA_TYPE else None


def _store_spoken_answers(rows: list[SpokenAnswer]) -> None:
    if rows:  # an upstream may give two answers one id: then it means the last
        SpokenAnswer.objects.bulk_create(
            {row.id: row for row in rows}.values(),
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["message", "expires_at"],
        )


def _spoken_rows(ended: Settlement, answer: Row) -> list[SpokenAnswer]:
    """Return the ids under which an answer can be sent back."""
    return [
        SpokenAnswer(
            id=spoken_answer_id(ended.run.workspace_id, part.id),
            message_id=answer["id"],
            expires_at=datetime.fromtimestamp(min(part.expires_at, LAST_TIMESTAMP), UTC),
        )
        for part in answer["parts"]
        if isinstance(part, SpokenPart) and part.expires_at
    ]


def _answer_rows(ended: Settlement) -> list[Row]:
    """Return the messages that were written; a choice of which nothing came is not one."""
    place, outcome = ended.run.admission, ended.outcome
    if place.first_answer is None:
        return []
    return [
        {
            "id": answer_id(place.first_answer, choice.index),
            "conversation": place.conversation_id,
            "parent": place.prompt_id,
            "role": choice.message.role,
            "parts": choice.message.parts,
            "digest": chain_digests(place.prompt_digest, [choice.message])[0],
            "completion": ended.run.id,
            "choice": choice.index,
            "finish_reason": choice.finish_reason or "",
            "logprobs": choice.logprobs,
            "created_at": outcome.ended_at,
        }
        for choice in outcome.choices
        if choice.message.parts or choice.finish_reason
    ]


def answer_id(first_answer: UUID, choice: int) -> UUID:
    """Return the id of a choice's message; they follow each other, so that one id tells them all."""
    return UUID(int=first_answer.int + choice)


def _update_conversations(
    ending: Sequence[Settlement], answers: Sequence[tuple[Settlement, Row]], costs: Mapping[UUID, int | None]
) -> None:
    rows: dict[UUID, list[Row]] = {settlement.run.id: [] for settlement in ending}
    for settlement, answer in answers:
        rows[settlement.run.id].append(answer)
    stored = [ended for ended in ending if ended.run.admission.conversation_id is not None]
    update_rows(
        Conversation,
        [_conversation_update(ended, rows[ended.run.id], costs.get(ended.run.id) or 0) for ended in stored],
    )
    for ended in stored:  # when the heads of those that have an answer have moved
        if ended.run.admission.head_before is not None and not _first_choice(rows[ended.run.id]):
            _move_head_back(ended.run.admission)


def _conversation_update(ended: Settlement, answers: Sequence[Row], cost: int) -> tuple[Row, Row]:
    """Return the update that adds an end to its conversation.

    The head moves to the answer, unless it has moved elsewhere meanwhile.
    """
    place = ended.run.admission
    changes: dict[str, Any] = {
        "updated_at": ended.outcome.ended_at,
        "message_count": Increase(len(answers)),
        "cost": Increase(cost),
    }
    first = _first_choice(answers)
    if first is not None:
        changes["head"] = Exchange(place.prompt_id, first["id"])
        changes["preview"] = preview(first["parts"])
    return {"id": place.conversation_id}, changes


def _first_choice(answers: Sequence[Row]) -> Row | None:
    return next((answer for answer in answers if answer["choice"] == 0), None)


def _move_head_back(place: Admission) -> None:
    """Show again what was shown before a message was to be answered anew, since no answer came."""
    waiting = Conversation.objects.filter(pk__in=[place.conversation_id], head=place.prompt_id)
    before = Completion.objects.filter(prompt=place.prompt_id, head_before=place.head_before)
    show_earlier_answers(waiting, before)


def show_earlier_answers(waiting: QuerySet[Conversation], vain: QuerySet[Completion]) -> None:
    """Let these conversations, whose heads these completions were to answer anew, show what they did before.

    If that was deleted meanwhile, another answer is shown, if there is one. While one more is being made, the
    head stays: it moves to that one.
    """
    before = Message.objects.filter(
        pk__in=vain.filter(prompt=OuterRef(OuterRef("head"))).values("head_before"), emptied_at=None
    ).exclude(pk=OuterRef("head"))
    newest_before = Subquery(before.order_by("-pk").values("pk")[:1])
    waiting.exclude(is_being_answered()).update(head=Coalesce(newest_before, newest_answer(), F("head")))


def is_being_answered() -> Exists:
    """Return the condition that an answer to a conversation's head is being made."""
    running = Completion.objects.filter(state=Completion.State.IN_PROGRESS)
    return Exists(running.filter(prompt=OuterRef("head")))


def newest_answer() -> Subquery:
    """Return the newest answer to a conversation's head, if it is there, of those that are shown."""
    answers = Message.objects.filter(
        Q(choice=None) | Q(choice=0), parent=OuterRef("head"), role=Message.Role.ASSISTANT, emptied_at=None
    )
    return Subquery(answers.order_by("-pk").values("pk")[:1])


def preview(parts: Iterable[Part]) -> str:
    """Return the first words of an answer, or of what was spoken."""
    spoken = ""
    for part in parts:
        if isinstance(part, TextPart | RefusalPart) and not part.text.isspace() and part.text:
            return _first_words(part.text)
        if isinstance(part, SpokenPart):
            spoken = spoken or part.transcript
    return _first_words(spoken)


def _first_words(text: str) -> str:
    return " ".join(text[: 2 * PREVIEW_LENGTH].split())[:PREVIEW_LENGTH]


def _end_update(ended: Settlement, costs: Mapping[UUID, int | None]) -> tuple[Row, Row]:
    """Return the update that ends a completion not yet ended: an end writes `served_by`, the sweep does not.

    A failed answer gives up its idempotency key, because a repeat is meant to succeed. Usage and cost stay
    as billed if that is already settled.
    """
    id, outcome = ended.run.id, ended.outcome
    keeps_key = outcome.state in ("completed", "cancelled")
    return {"id": id, "served_by": ""}, {
        **({} if keeps_key else {"idempotency_key": None}),
        "state": outcome.state,
        "served_by": outcome.served_by,
        "error": _stored_failure(ended),
        "first_event_at": outcome.first_event_at,
        "ended_at": outcome.ended_at,
        **(usage_columns(outcome.usage, costs[id]) if id in costs else {}),
    }


def _stored_failure(ended: Settlement) -> dict[str, Any] | None:
    """Return the failure as it is stored."""
    failure = ended.outcome.failure
    if failure is None:
        return None
    stored: dict[str, Any] = msgspec.to_builtins(failure)
    return stored if ended.run.admission.conversation_id is not None else wordless_error(stored)


def wordless_error(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what is kept of the failure of a run that nobody may read.

    A vendor may quote the run in any of its texts, even in a code.
    """
    if error is None:
        return None
    kept = {name: error[name] for name in ("status", "upstream_failure") if name in error}
    return {"message": "It was not kept.", "status": 502, **kept}


def _clear_failures(ids: Collection[UUID]) -> None:
    """Keep no words of these failures if the message that was to be answered was deleted meanwhile."""
    if not ids:
        return
    deleted = Completion.objects.filter(pk__in=ids, prompt__emptied_at__isnull=False)
    for completion in list(deleted.only("error")):
        Completion.objects.filter(pk=completion.pk).update(error=wordless_error(completion.error))


def usage_columns(usage: Usage, cost: int | None) -> Row:
    return {"usage_estimated": usage.estimated, **usage.counts, "cost": cost}
