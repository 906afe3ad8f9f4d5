"""Lists of conversations: filtered, in an order in which rows move, with what is being answered in them."""

from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from typing import Literal
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.ownership import WayOfSeeing, visible_to, ways_of_seeing
from accounts.principal import Principal
from conversations.labels import labelled
from conversations.models import Completion, Conversation
from conversations.selectors import find_conversation
from core.cursors import Cursors
from core.ids import CONVERSATION, parse_id
from core.pagination import CursorPage, PageRequest, read_moving_page
from core.value import Value

OrderBy = Literal["updated_at", "created_at"]

FEW = 2000
"""How many answers of a model, or in a state, are looked up by it."""

_HIDDEN = ("scope", "titled_by")
_SHOWN = [field.name for field in Conversation._meta.concrete_fields if field.name not in _HIDDEN]
_OF_LAST_COMPLETION = [f"last_completion__{name}" for name in ("conversation", "model", "state")]


class ConversationFilters(Value, frozen=True):
    """Which conversations are wanted. None is for any; times are in seconds, the last excluded.

    `user` is an end user; empty, whom it was made for nobody. `model` and `state` are the last answer's.
    """

    user: str | None = None
    model: str | None = None
    state: str | None = None
    pinned: bool | None = None
    archived: bool | None = False
    deleted: bool = False
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
    created_after: int | None = None
    created_before: int | None = None
    updated_after: int | None = None
    updated_before: int | None = None

    def select(self, rows: QuerySet[Conversation], workspace_id: UUID) -> QuerySet[Conversation]:
        return labelled(rows.filter(self._condition), workspace_id, self.metadata, self.tags)

    def few_conversations(self, workspace_id: UUID) -> set[UUID] | None:
        """Return those that may have the wanted last answer if they are few: a list finds few late.

        There are indexes of models, and of all states but that of most.
        """
        if self.model is None and self.state in (None, Completion.State.COMPLETED):
            return None
        found = Completion.objects.filter(workspace_id=workspace_id)
        if self.model is not None:
            found = found.filter(model=self.model)
        if self.state is not None:
            found = found.filter(state=self.state)
        ids = list(found.values_list("conversation", flat=True)[: FEW + 1])
        return {id for id in ids if id is not None} if len(ids) <= FEW else None

    @property
    def _condition(self) -> Q:
        columns: dict[str, object] = {
            "deleted_at__isnull": not self.deleted,
            "end_user": self.user,
            "last_completion__model": self.model,
            "last_completion__state": self.state,
            "pinned": self.pinned,
            "archived": self.archived,
            "created_at__gte": _time(self.created_after),
            "created_at__lt": _time(self.created_before),
            "updated_at__gte": _time(self.updated_after),
            "updated_at__lt": _time(self.updated_before),
        }
        condition = Q(**{name: value for name, value in columns.items() if value is not None})
        if self.user:
            condition &= ~Q(end_user="")  # SQLite takes the index of end users only where this is said
        if self.model is not None or self.state is not None:
            condition &= Q(last_completion__conversation__isnull=False)  # a deleted answer is not there
        return condition


def conversation_page(
    who: Principal, page: PageRequest, filters: ConversationFilters, order_by: OrderBy = "updated_at"
) -> CursorPage[Conversation]:
    """Return conversations that the caller sees, with a query for each of their `ways_of_seeing`."""
    few = filters.few_conversations(who.workspace_id)
    order = page.directed("updated_at", "pk") if order_by == "updated_at" else page.directed("pk")
    whose = (who.workspace_id, who.owner_name)
    return read_moving_page(
        [filters.select(_seen(way, order_by, few), who.workspace_id) for way in ways_of_seeing(who)],
        page,
        partial(parse_id, CONVERSATION),
        order=order,
        among=Conversation.objects.filter(visible_to(who), deleted_at__isnull=not filters.deleted),
        cursors=Cursors("conversations", *whose, order, filters),
    )


def _seen(way: WayOfSeeing, order_by: OrderBy, few: Collection[UUID] | None) -> QuerySet[Conversation]:
    """Return the conversations that are seen in a way, by the index of that way; of `few` if they are given.

    Those indexes are in the order of updates. In the order of creation, or for few, a database would rather
    read the whole workspace, unless it is told to find first what is few.
    """
    if few is None and (order_by == "updated_at" or way.is_wide):
        return shown_conversations().filter(way.condition)
    seen = Conversation.objects.filter(way.condition)
    return shown_conversations().filter(
        pk__in=(seen if few is None else seen.filter(pk__in=few)).values("pk")
    )


def shown_conversations() -> QuerySet[Conversation]:
    """Read of conversations what is shown, with model and state of the last answer."""
    return Conversation.objects.select_related("last_completion").only(*_SHOWN, *_OF_LAST_COMPLETION)


def get_shown_conversation(who: Principal, public_id: str) -> Conversation:
    """Return a conversation as lists have it. Raises `NotFound` if the caller sees no such conversation."""
    return find_conversation(who, public_id, among=shown_conversations())


def running_completions(conversations: Collection[Conversation]) -> dict[UUID, UUID]:
    """Return, by conversation, the newest of its completions in progress."""
    if not conversations:
        return {}
    running = Completion.objects.filter(
        workspace_id__in={row.workspace_id for row in conversations},
        state=Completion.State.IN_PROGRESS,
        conversation__in=[row.pk for row in conversations],
    )
    # sorted here: for the order's sake SQLite would read all completions of the workspace
    found = sorted(running.values_list("pk", "conversation"))
    return {conversation: completion for completion, conversation in found if conversation is not None}


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
