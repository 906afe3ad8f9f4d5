"""Queries of completions: lists of what is stored, what it answered, and whose it is that is not stored."""

from collections.abc import Mapping
from functools import partial
from uuid import UUID

from django.db import connection
from django.db.models import Q

from accounts.ownership import made_by
from accounts.principal import Principal
from conversations.item_ids import parse_message_id
from conversations.labels import labelled_completions
from conversations.models import Completion, Conversation, Message
from conversations.selectors import readable, shown_answers
from core.bulk_sql import fetch, id_from_driver, id_to_driver
from core.exceptions import NotFound
from core.ids import COMPLETION, CONVERSATION, parse_id
from core.pagination import Page, PageRequest, index_in, read_page
from core.value import Value


class CompletionFilter(Value, frozen=True):
    """Which completions are listed: those that have all of these; None stands for any.

    `conversation_id` is as the client wrote it, `idempotency_key` as it is stored.
    """

    model: str | None = None
    state: str | None = None
    conversation_id: str | None = None
    user: str | None = None
    idempotency_key: str | None = None
    metadata: Mapping[str, str] = {}


def completion_page(who: Principal, wanted: CompletionFilter, page: PageRequest) -> Page[Completion]:
    """Return completions with their answers, but without their requests, which may be long."""
    seen = Completion.objects.filter(_readable(who, wanted))
    rows = labelled_completions(seen, who.workspace_id, wanted.metadata)
    equal = {"model": wanted.model, "state": wanted.state, "idempotency_key": wanted.idempotency_key}
    rows = rows.filter(**{column: value for column, value in equal.items() if value is not None})
    rows = rows.defer("request").prefetch_related(shown_answers())
    return read_page(rows, page, partial(parse_id, COMPLETION), among=seen)


def _readable(who: Principal, wanted: CompletionFilter) -> Q:
    """Return the condition on what the caller may read and wants, by whose it is.

    That of a whole workspace is read in the order of its completions. What is few is not searched for there:
    its conversations are found first, by an index, and then their completions by theirs.
    """
    if who.token_id is None and not wanted.user and wanted.conversation_id is None:
        of_nobody = Q() if wanted.user is None else Q(conversation__end_user="")
        return Q(workspace_id=who.workspace_id) & readable(who, through="conversation__") & of_nobody
    conversations = Conversation.objects.filter(readable(who))
    if wanted.user is not None:
        conversations = conversations.filter(end_user=wanted.user)
    if wanted.conversation_id is not None:
        id = parse_id(CONVERSATION, wanted.conversation_id)
        is_found = id is not None and conversations.filter(pk=id).exists()
        return Q(conversation_id=id) if is_found else Q(pk__in=())
    if wanted.user:  # SQLite takes the index of end users only where this is said
        conversations = conversations.exclude(end_user="")
    found = Completion.objects.filter(conversation__in=conversations.values("pk"))
    return Q(pk__in=found.values("pk"))  # else a database reads all completions, since they are in order


# --- what a completion answered -------------------------------------------------------------------


def answered_page(completion: Completion, page: PageRequest) -> Page[Message]:
    """Return the messages that a completion answered, root first, without those that were deleted.

    Two queries: one for the path, which has only ids, and one for the messages of the page.
    """
    path = _path_ids(completion.prompt_id)
    if page.descending:
        path.reverse()
    start = 0 if page.after is None else index_in(path, parse_message_id(page.after)) + 1
    ids = path[start : start + page.limit]
    rows = {message.pk: message for message in Message.objects.filter(pk__in=ids).defer("logprobs")}
    return Page([rows[id] for id in ids if id in rows], has_more=len(path) > start + page.limit)


def _path_ids(message_id: UUID | None) -> list[UUID]:
    """Return the ids of the messages from the root to this one that were not deleted."""
    if message_id is None:
        return []
    table = connection.ops.quote_name(Message._meta.db_table)
    rows = fetch(
        f"""
        WITH RECURSIVE path(id, parent_id, emptied_at, depth) AS (
            SELECT id, parent_id, emptied_at, 0 FROM {table} WHERE id = ?
            UNION ALL
            SELECT m.id, m.parent_id, m.emptied_at, path.depth + 1
            FROM {table} m JOIN path ON m.id = path.parent_id
        )
        SELECT id FROM path WHERE emptied_at IS NULL ORDER BY depth DESC
        """,  # noqa: S608 (the table's own name)
        [id_to_driver(message_id)],
    )
    return [id_from_driver(id) for (id,) in rows]


# --- completions that nobody reads, but whoever sent the call may cancel --------------------------


def get_unstored_completion(who: Principal, public_id: str) -> Completion:
    """Return a completion of the caller's that is not stored.

    Whose it is its own row says: nobody else's is found, whatever conversation it continued.
    """
    id = parse_id(COMPLETION, public_id)
    found = (
        Completion.objects.filter(made_by(who), conversation=None, pk=id).defer("request").first()
        if id
        else None
    )
    if found is None:
        raise NotFound("There is no such completion.", param="completion_id")
    return found


def completion_by_key(who: Principal, idempotency_key: str) -> Completion | None:
    """Return what the caller's call with this key started; `idempotency_key` is as it is stored.

    It may be of a conversation that was deleted meanwhile, or not stored at all.
    """
    rows = Completion.objects.filter(workspace_id=who.workspace_id, idempotency_key=idempotency_key)
    return rows.select_related("conversation").defer("request").first()
