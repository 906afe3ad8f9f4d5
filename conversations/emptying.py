"""Deletion of single messages: they are emptied, and no word of them stays anywhere in their conversation.

An emptied message stays as a mark, because its digest is in those of all that follow it.
"""

from collections.abc import Collection, Sequence
from functools import reduce
from operator import or_
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from conversations.admission import first_words
from conversations.asset_holds import release_files
from conversations.branches import path_to_message
from conversations.models import Completion, Conversation, Message, Score, SpokenAnswer
from conversations.selectors import blobs_in
from conversations.settlement import preview, wordless_error
from engines import messages as engine_messages

Role = Message.Role
M = TypeVar("M", bound=Model)


def empty_messages(conversation: Conversation, messages: Sequence[Message]) -> None:
    """Empty these messages of a conversation, and make anew what it shows of them; then `conversation` is so.

    What was spoken of them, their scores, and the conversation's holds on their files go too. Those that are
    emptied already stay as they are. An answer that is being made is not stored, and cannot be emptied.
    """
    with transaction.atomic():
        lock_completions(messages)
        list(_to_change(Conversation.objects.filter(pk=conversation.pk)))
        wanted = Message.objects.filter(pk__in=[message.pk for message in messages])
        columns = wanted.only("role", "parts", "parent_id", "completion_id", "choice")
        emptied = list(columns.filter(conversation=conversation, emptied_at=None))
        if not emptied:
            return
        ids = [message.pk for message in emptied]
        Message.objects.filter(pk__in=ids).update(parts=(), name="", logprobs=None, emptied_at=timezone.now())
        SpokenAnswer.objects.filter(message__in=ids).delete()
        _delete_scores(emptied)
        _clear_completions(emptied)
        _release_files(conversation, emptied)
        conversation.refresh_from_db()
        _update_conversation(conversation, emptied)


def lock_completions(messages: Collection[Message]) -> None:
    """Lock the completions that wrote these messages, or answer them.

    Settlement, feedback and deletion lock a completion first too, and its conversation after it.
    """
    list(_to_change(_completions_of(messages).order_by("pk")))


def _to_change(rows: QuerySet[M]) -> QuerySet[M, Any]:
    return rows.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True)


def _completions_of(messages: Collection[Message]) -> QuerySet[Completion]:
    ids = {message.completion_id for message in messages if message.completion_id is not None}
    return Completion.objects.filter(Q(pk__in=ids) | Q(prompt__in=messages))


def _delete_scores(emptied: Collection[Message]) -> None:
    answers = [
        Q(completion=message.completion_id, choice=message.choice or 0)
        for message in emptied
        if message.completion_id is not None
    ]
    if answers:
        Score.objects.filter(reduce(or_, answers)).delete()


def _clear_completions(emptied: Collection[Message]) -> None:
    """Clear what their completions repeat of them: a predicted answer, and an error may quote both.

    The error of one that is in progress is cleared at its end.
    """
    changed = []
    for completion in _completions_of(emptied).only("request", "error"):
        params = completion.request.get("params") or {}
        if "prediction" not in params and completion.error is None:
            continue
        if "prediction" in params:
            kept = {name: value for name, value in params.items() if name != "prediction"}
            completion.request = {**completion.request, "params": kept}
        completion.error = wordless_error(completion.error)
        changed.append(completion)
    if changed:
        Completion.objects.bulk_update(changed, ["request", "error"])


def _release_files(conversation: Conversation, emptied: Collection[Message]) -> None:
    """Release the files that no other message of the conversation refers to."""
    digests = {blob.sha256 for blob in blobs_in(emptied)}
    if not digests:
        return
    names_one: Q = reduce(or_, (Q(parts__contains=digest) for digest in digests))
    others = Message.objects.filter(names_one, conversation=conversation).only("parts")
    still_named = {blob.sha256 for blob in blobs_in(others)}
    release_files(conversation.workspace_id, conversation.id, digests - still_named)


def _update_conversation(conversation: Conversation, emptied: Collection[Message]) -> None:
    left = Message.objects.filter(conversation=conversation, emptied_at=None)
    changes: dict[str, Any] = {
        "message_count": max(0, conversation.message_count - len(emptied)),
        "updated_at": timezone.now(),
    }
    if conversation.titled_by != Conversation.TitledBy.CLIENT:
        question = left.filter(role=Role.USER).order_by("id").first()
        said = [engine_messages.Message("user", question.parts)] if question else []
        changes |= {"title": first_words(said), "titled_by": Conversation.TitledBy.FIRST_WORDS}
    if any(message.role == Role.ASSISTANT for message in emptied):
        answers = left.filter(Q(choice=None) | Q(choice=0), role=Role.ASSISTANT)
        answer = answers.order_by("-id").first()
        changes["preview"] = preview(answer.parts) if answer else ""
    if conversation.head_id in {message.pk for message in emptied}:
        changes["head_id"] = _head_after(conversation)
    for name, value in changes.items():
        setattr(conversation, name, value)
    conversation.save(update_fields=[name.removesuffix("_id") for name in changes])


def _head_after(conversation: Conversation) -> Any:
    """Return where the head goes from an emptied message: up its branch, or else to the newest message.

    While its answer is being made it stays: the answer becomes the head only if it still finds it there.
    """
    head = conversation.head_id
    if head is None or Completion.objects.filter(prompt=head, state=Completion.State.IN_PROGRESS).exists():
        return head
    shown = [step.id for step in path_to_message(conversation.id, head) if not step.is_emptied]
    if shown:
        return shown[-1]
    left = Message.objects.filter(conversation=conversation, emptied_at=None)
    return left.order_by("-id").values_list("id", flat=True).first()
