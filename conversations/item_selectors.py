"""Queries of a conversation's items: a page of one of its branches, or of all, or one item."""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from conversations.branches import newest_after, path_to_head, path_to_message
from conversations.item_ids import ItemId, parse_item_id, parse_message_id
from conversations.items import Item, items_of
from conversations.models import Conversation, Message
from conversations.running_answers import RunningAnswers
from conversations.selectors import USAGE_COLUMNS
from conversations.unstored_answers import add_what_is_written, unstored_answers
from core.exceptions import NotFound
from core.ids import MESSAGE
from core.pagination import Page, PageRequest, index_in, no_such_position

_COLUMNS = ("role", "parts", "name", "tool_call_id", "parent_id", "choice", "finish_reason", "created_at")
_OF_COMPLETION = ("state", "cost", "usage_estimated", *USAGE_COLUMNS)


class BranchChoice(NamedTuple):
    """Which messages are listed: of the branch that is shown, of all, or of one that a message names.

    That is the newest branch `through` the message, or the one that ends with it, its `leaf`.
    """

    kind: Literal["shown", "all", "through", "leaf"] = "shown"
    message_id: str = ""


class ItemPage(NamedTuple):
    """A page of items, and the conversation's answers that are being made."""

    page: Page[Item]
    unstored: Sequence[Message]


def shown_messages(messages: QuerySet[Message]) -> QuerySet[Message]:
    """Read of these, but for deleted ones, what items show, with what their completions used."""
    of_completion = [f"completion__{column}" for column in _OF_COMPLETION]
    shown = messages.filter(emptied_at=None).select_related("completion")
    return shown.only(*_COLUMNS, *of_completion)


def item_page(
    conversation: Conversation, branch: BranchChoice, page: PageRequest, running: RunningAnswers | None
) -> ItemPage:
    """Return a page of items.

    Only the ids of a branch are read, and of its messages as many as the page may show. Raises `NotFound` for
    the message that `branch` names, and `BadRequest` for an `after` that is not in the list.
    """
    # first: what ends meanwhile is then among the messages, and wins
    unstored = unstored_answers(conversation)
    after = _parse_cursor(page.after)
    if branch.kind == "all":
        ids = _all_ids(conversation, unstored, page, after)
    else:
        path = _branch_ids(conversation, branch, unstored)
        ids = path[::-1] if page.descending else path
        if after is not None:
            ids = ids[index_in(ids, after.message_id) :]
    if after is not None and ids[:1] != [after.message_id]:
        raise no_such_position()
    window = ids[: page.limit + 1]
    items = _items_in(_messages(conversation, window, unstored, running), page)
    if after is not None:
        items = items[index_in([item.id for item in items], after) + 1 :]
    has_more = len(items) > page.limit or len(ids) > len(window)
    return ItemPage(Page(items[: page.limit], has_more=has_more), unstored)


def get_item(conversation: Conversation, public_id: str, running: RunningAnswers | None) -> Item:
    """Return an item. Raises `NotFound` if the conversation has none of this id, or it was deleted."""
    id = parse_item_id(public_id)
    unstored = unstored_answers(conversation)
    found = _messages(conversation, [id.message_id], unstored, running) if id else []
    items = [item for message in found for item in items_of(message)]
    item = next((item for item in items if item.id == id), None)
    if item is None and items and id and id.prefix == MESSAGE:
        return items[0]  # `message_id` and `parent_id` name messages, of which each has an item
    if item is None:
        raise NotFound("There is no such item in this conversation.", param="item_id")
    return item


def _parse_cursor(after: str | None) -> ItemId | None:
    if after is None:
        return None
    id = parse_item_id(after)
    if id is None:
        raise no_such_position()
    return id


def _all_ids(
    conversation: Conversation, unstored: Sequence[Message], page: PageRequest, after: ItemId | None
) -> list[UUID]:
    """Return the ids of all branches' messages, in their order, from the cursor's on."""
    start = after and after.message_id
    stored = Message.objects.filter(conversation=conversation, emptied_at=None)
    if start is not None:
        stored = stored.filter(**{"id__lte" if page.descending else "id__gte": start})
    ids = set(stored.order_by(*page.directed("id")).values_list("id", flat=True)[: page.limit + 2])
    for answer in unstored:
        if start is None or (answer.id <= start if page.descending else answer.id >= start):
            ids.add(answer.id)
    return sorted(ids, reverse=page.descending)


def _branch_ids(conversation: Conversation, branch: BranchChoice, unstored: Sequence[Message]) -> list[UUID]:
    """Return the ids of a branch's messages, the root first, and of the answer being made to its last one."""
    if branch.kind == "shown":
        path = path_to_head(conversation.id)
        answers = [answer for answer in unstored if path and answer.parent_id == path[-1].id]
        newest = [answer.id for answer in answers if not answer.choice][-1:]
        return [*(step.id for step in path if not step.is_emptied), *newest]
    named = parse_message_id(branch.message_id)
    end = named and _end_of(conversation, named, branch, unstored)
    if end is None:
        param = "leaf" if branch.kind == "leaf" else "branch"
        raise NotFound("There is no such message in this conversation.", param=param)
    answer = next((answer for answer in unstored if answer.id == end), None)
    stored_end = end if answer is None else answer.parent_id
    path = path_to_message(conversation.id, stored_end) if stored_end else []
    ids = [step.id for step in path if not step.is_emptied]
    if answer is not None:
        return [*ids, end]
    if ids[-1:] != [end]:
        raise NotFound("There is no such message in this conversation.", param="leaf")
    return ids


def _end_of(
    conversation: Conversation, named: UUID, branch: BranchChoice, unstored: Sequence[Message]
) -> UUID | None:
    """Return the message with which the branch ends that another one names."""
    if branch.kind == "leaf" or any(answer.id == named for answer in unstored):
        return named
    prompts = {answer.parent_id for answer in unstored if answer.parent_id is not None}
    stored = newest_after(conversation.id, named, prompts)
    made = [answer.id for answer in unstored if answer.parent_id in stored and not answer.choice]
    return max((*stored, *made), default=None)


def _messages(
    conversation: Conversation,
    ids: Collection[UUID],
    unstored: Sequence[Message],
    running: RunningAnswers | None,
) -> list[Message]:
    """Return these messages in the order of their ids' list, without those just deleted."""
    rows = shown_messages(Message.objects.filter(conversation=conversation, id__in=ids))
    stored = {message.id: message for message in rows}
    made = {answer.id: answer for answer in unstored if answer.id in ids and answer.id not in stored}
    add_what_is_written(made.values(), running)
    found = {**made, **stored}
    return [found[id] for id in ids if id in found]


def _items_in(messages: Iterable[Message], page: PageRequest) -> list[Item]:
    items = [items_of(message) for message in messages]
    return [item for several in items for item in (several[::-1] if page.descending else several)]
