"""Changes to stored completions: other metadata, and deletion."""

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from conversations.deletion import can_be_restored, delete_conversations
from conversations.emptying import empty_messages, lock_completions
from conversations.labels import replace_completion_labels
from conversations.models import Completion, Conversation
from conversations.settlement import wordless_error
from core.exceptions import Conflict, NotFound


def replace_metadata(completion: Completion, metadata: Mapping[str, str]) -> None:
    """Give a completion other metadata, by which it is found from now on."""
    with transaction.atomic():
        _lock(completion)
        completion.metadata = dict(metadata)
        completion.save(update_fields=["metadata"])
        replace_completion_labels(completion)


def delete_completion(completion: Completion) -> None:
    """Delete what a completion says: from now on it is like one that was never stored.

    Its row stays, with what it used and cost. Its answers are emptied. If its call began the conversation,
    and nothing else was added to that, the conversation is deleted too: permanently where none can be
    restored. Raises `Conflict` while it is being made.
    """
    with transaction.atomic():
        locked = _lock(completion)
        if locked.state == Completion.State.IN_PROGRESS:
            raise Conflict(
                "The answer is still being made. Cancel it first, then delete it.",
                param="completion_id",
                code="in_progress",
            )
        answers = list(locked.answers.all())
        lock_completions(answers)
        conversation = Conversation.objects.select_for_update(of=("self",), no_key=True).get(
            pk=locked.stored_conversation.pk
        )
        is_alone = _is_all_there_is(locked, conversation)
        empty_messages(conversation, answers)
        _forget(locked)
        _leave_conversation(conversation, locked, is_alone=is_alone)
    if is_alone and not can_be_restored():  # not in the same transaction: `delete_conversations` says why
        delete_conversations(Conversation.objects.filter(pk=conversation.pk, deleted_at__isnull=False))


def _lock(completion: Completion) -> Completion:
    """Lock a completion, as its settlement does, before its conversation. Raises `NotFound` if it is gone."""
    rows = Completion.objects.select_for_update(of=("self",), no_key=True).select_related("conversation")
    found = rows.filter(pk=completion.pk, conversation__deleted_at=None, conversation__isnull=False).first()
    if found is None:
        raise NotFound("There is no such completion.", param="completion_id")
    return found


def _is_all_there_is(completion: Completion, conversation: Conversation) -> bool:
    """Tell whether the conversation holds nothing but this call and its answers."""
    if conversation.created_at != completion.created_at:
        return False
    others = conversation.completions.exclude(pk=completion.pk)
    added = conversation.messages.exclude(created_at=completion.created_at).exclude(completion=completion)
    return not others.exists() and not added.exists()


def _forget(completion: Completion) -> None:
    completion.labels.all().delete()
    completion.scores.all().delete()
    Completion.objects.filter(pk=completion.pk).update(
        conversation=None,
        prompt=None,
        first_answer=None,
        request={},
        metadata={},
        error=wordless_error(completion.error),
        # an end is stored only while nothing is said of who served it: one that comes late brings words
        served_by=completion.served_by or completion.model,
    )


def _leave_conversation(conversation: Conversation, completion: Completion, *, is_alone: bool) -> None:
    changes: dict[str, object] = {}
    if conversation.last_completion_id == completion.pk:
        newest = conversation.completions.order_by("-pk").values_list("pk", flat=True).first()
        changes["last_completion"] = newest
    if is_alone:
        changes["deleted_at"] = timezone.now()
    if changes:
        Conversation.objects.filter(pk=conversation.pk).update(**changes)
