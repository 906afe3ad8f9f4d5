"""Queries of the history, each scoped to what the caller may see and bounded to a page."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Prefetch, Q, QuerySet

from accounts.ownership import visible_to
from accounts.principal import Principal
from conversations.asset_holds import hold_id
from conversations.models import Completion, Conversation, Message, SpokenAnswer, spoken_answer_id
from core.blob import Blob
from core.exceptions import NotFound
from core.ids import COMPLETION, CONVERSATION, MESSAGE, format_id, parse_id
from engines import messages as engine_messages
from engines.answers import Answer, AnswerHead, Choice, CompletionState, Failure
from engines.events import FinishReason, Usage
from engines.messages import Part, SpokenPart
from media.file_presenter import TEXT_KINDS, FilePresenter, present_files
from media.models import Rendition
from media.services import SPEECH_RENDITIONS, read_bytes

RenditionKind = Rendition.Kind

USAGE_COLUMNS = [name for name in Usage.__struct_fields__ if name != "estimated"]


def readable(who: Principal, through: str = "") -> Q:
    """Return the condition on what the caller may read; `through` leads from the rows to conversations.

    What was deleted is not there, although it can still be restored.
    """
    return visible_to(who, through) & Q(**{f"{through}deleted_at": None})


def get_conversation(who: Principal, public_id: str, *, param: str = "conversation_id") -> Conversation:
    """Return a conversation. Raises `NotFound` if the caller sees no such conversation."""
    return find_conversation(who, public_id, among=Conversation.objects.all(), param=param)


def find_conversation(
    who: Principal, public_id: str, *, among: QuerySet[Conversation], param: str = "conversation_id"
) -> Conversation:
    id = parse_id(CONVERSATION, public_id)
    found = among.filter(readable(who), id=id).first() if id else None
    if found is None:
        raise NotFound("There is no such conversation.", param=param)
    return found


def get_completion(who: Principal, public_id: str, *, with_answers: bool = True) -> Completion:
    """Return a completion with its conversation and, if they are wanted, its request and answers.

    Raises `NotFound` if the caller sees no such completion.
    """
    id = parse_id(COMPLETION, public_id)
    rows = Completion.objects.filter(readable(who, through="conversation__")).select_related("conversation")
    rows = rows.prefetch_related(shown_answers()) if with_answers else rows.defer("request")
    found = rows.filter(id=id).first() if id else None
    if found is None:
        raise NotFound("There is no such completion.", param="completion_id")
    return found


def shown_answers() -> "Prefetch[Any]":
    """Return what reads the answers of completions along with them, without those that were deleted."""
    return Prefetch("answers", Message.objects.filter(emptied_at=None).order_by("choice"))


def stored_ids(completion: Completion) -> tuple[str, str] | None:
    """Return the public ids of a completion's conversation and of its first answer's message."""
    if completion.conversation_id is None or completion.first_answer is None:
        return None
    return format_id(CONVERSATION, completion.conversation_id), format_id(MESSAGE, completion.first_answer)


def find_completion(id: UUID) -> Completion | None:
    """Find a completion for billing's admin pages, which show all workspaces."""
    return Completion.objects.defer("request").filter(pk=id).first()


def answer_of(completion: Completion) -> Answer:
    """Return the answer as it was given, or as much of it as there is.

    It has no tier if the request was not read.
    """
    request = {} if "request" in completion.get_deferred_fields() else completion.request
    return Answer(
        head=AnswerHead(
            format_id(COMPLETION, completion.id),
            int(completion.created_at.timestamp()),
            completion.model or completion.served_by,
        ),
        choices=tuple(_choice_of(message) for message in completion.answers.all()),
        state=msgspec.convert(completion.state, CompletionState),
        usage=usage_of(completion),
        metadata=completion.metadata,
        service_tier=(request.get("params") or {}).get("service_tier"),
    )


def _choice_of(row: Message) -> Choice:
    message = engine_messages.Message("assistant", row.parts, row.name or None)
    finish_reason = msgspec.convert(row.finish_reason or None, FinishReason | None)
    return Choice(row.choice or 0, message, finish_reason, row.logprobs)


def usage_of(completion: Completion) -> Usage | None:
    """Return what a completion used, or None while it is in progress."""
    if completion.state == Completion.State.IN_PROGRESS:
        return None
    counts = {name: getattr(completion, name) for name in USAGE_COLUMNS}
    return Usage(**counts, estimated=completion.usage_estimated)


def failure_of(completion: Completion) -> Failure | None:
    return None if completion.error is None else msgspec.convert(completion.error, Failure)


def spoken_answer_parts(who: Principal, ids: Collection[str], now: datetime) -> dict[str, tuple[Part, ...]]:
    """Return the parts of the answers spoken under these ids, except those that have expired."""
    names = {spoken_answer_id(who.workspace_id, id): id for id in ids}
    seen = readable(who, through="message__conversation__")
    rows = SpokenAnswer.objects.select_related("message").filter(seen, id__in=names, expires_at__gt=now)
    return {names[row.id]: row.message.parts for row in rows}


def read_sounds(workspace_id: UUID, answer: Answer) -> dict[str, bytes]:
    """Read the bytes of the spoken parts, by SHA-256, except those no longer kept."""
    sounds = {}
    for choice in answer.choices:
        for part in choice.message.parts:
            if isinstance(part, SpokenPart) and part.blob is not None:
                try:
                    sounds[part.blob.sha256] = read_bytes(workspace_id, part.blob)
                except FileNotFoundError:
                    continue
    return sounds


def blobs_in(messages: Iterable[Message]) -> Iterator[Blob]:
    """Yield the files that these messages refer to, whether or not they are still kept."""
    for message in messages:
        for part in message.parts:
            blob = getattr(part, "blob", None)
            if blob is not None:
                yield blob


def files_of(
    workspace_id: UUID, conversation_id: UUID, messages: Iterable[Message]
) -> dict[str, FilePresenter]:
    """Return the files of a conversation's messages that are still kept, with what the API shows of them.

    By SHA-256; at most two queries.
    """
    return present_files(
        workspace_id,
        blobs_in(messages),
        partial(hold_id, conversation_id),
        kinds=(RenditionKind.THUMBNAIL, *TEXT_KINDS, *SPEECH_RENDITIONS),
        with_content=(*TEXT_KINDS, RenditionKind.PEAKS),
    )
