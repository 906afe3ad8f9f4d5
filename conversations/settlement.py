"""Settle: store how a completion ended, many in one transaction, each once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from chatapi.completions.answers import Choice, Failure, State
from chatapi.engines.values import Blob, Usage, Value
from chatapi.identifiers import new_id
from conversations.bulk import Row, insert_rows, update_rows
from conversations.models import Completion, Conversation, Message
from conversations.threading import digests
from media.services import register_blobs


class Settlement(Value, frozen=True):
    """How a completion ended. `choices` hold what was made of the answer, as far as it came."""

    completion_id: UUID
    workspace_id: UUID
    conversation_id: UUID
    prompt_id: UUID
    prompt_digest: str
    state: State
    choices: tuple[Choice, ...]
    usage: Usage
    served_by: str
    ended_at: datetime
    first_event_at: datetime | None = None
    failure: Failure | None = None
    blobs: tuple[Blob, ...] = ()


def settle_all(settlements: Sequence[Settlement]) -> None:
    """Store these ends. Runs inside the caller's transaction.

    A completion that has ended already, or that was deleted with its conversation, is passed over:
    no end is settled twice. But one that the sweep took for interrupted, wrongly, gets its true end.
    """
    were_open = update_rows(Completion, [_ended_row(settlement) for settlement in settlements])
    ending = [settlement for settlement, was_open in zip(settlements, were_open, strict=True) if was_open]
    answers = [(settlement, answer) for settlement in ending for answer in _answers(settlement)]
    register_blobs([(ended.workspace_id, blob) for ended in ending for blob in ended.blobs])
    insert_rows(Message, [answer for _, answer in answers])
    update_rows(Conversation, [_moved_head(*pair) for pair in answers if pair[1]["choice"] == 0])


def _answers(ended: Settlement) -> list[Row]:
    """The messages that were written; a choice of which nothing came is none."""
    return [
        {
            "id": new_id(),
            "conversation": ended.conversation_id,
            "parent": ended.prompt_id,
            "role": choice.message.role,
            "parts": choice.message.parts,
            "digest": digests(ended.prompt_digest, [choice.message])[0],
            "completion": ended.completion_id,
            "choice": choice.index,
            "finish_reason": choice.finish_reason or "",
            "logprobs": choice.logprobs,
            "created_at": ended.ended_at,
        }
        for choice in ended.choices
        if choice.message.parts or choice.finish_reason
    ]


def _moved_head(ended: Settlement, answer: Row) -> tuple[Row, Row]:
    """The conversation goes on at the answer, unless it has gone on elsewhere meanwhile."""
    where = {"id": ended.conversation_id, "head": ended.prompt_id}
    return where, {"head": answer["id"], "updated_at": ended.ended_at}


def _ended_row(ended: Settlement) -> tuple[Row, Row]:
    """Only what has no end yet is ended: `served_by` is written with the end, not by the sweep.

    An answer that failed gives up its idempotency key: a repeat is meant to succeed.
    """
    may_be_joined = ended.state in ("completed", "cancelled")
    return {"id": ended.completion_id, "served_by": ""}, {
        **({} if may_be_joined else {"idempotency_key": None}),
        "state": ended.state,
        "served_by": ended.served_by,
        "error": None if ended.failure is None else msgspec.to_builtins(ended.failure),
        "first_event_at": ended.first_event_at,
        "ended_at": ended.ended_at,
        "usage_estimated": ended.usage.estimated,
        **ended.usage.counts,
    }
