"""The search: what the index has, and what is not indexed yet, each checked against its row.

So what was deleted, changed or hidden a moment ago is not found, whatever the index says.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from accounts.ownership import visible_to
from accounts.principal import Principal
from conversations.item_ids import parse_message_id
from conversations.lists import ConversationFilters, shown_conversations
from conversations.models import Conversation, SearchDocument, SearchMark
from conversations.search.documents import document_ids
from conversations.search.index import WantedWords, find_documents
from conversations.search.owners import end_user_word, owners_seen_by, workspace_code
from conversations.search.query import SearchQuery
from conversations.search.snippets import Piece, snippet
from conversations.search.texts import (
    Field,
    SearchedMessage,
    SearchedText,
    message_texts,
    read_conversations,
    read_messages,
    title_texts,
)
from core.cursors import Cursors
from core.ids import CONVERSATION, parse_id
from core.pagination import CursorPage, PageRequest, no_such_position

MAX_MARKS, MAX_TAIL = 20_000, 1000
"""How many marks, the newest, a search looks through, and how many of its workspace."""
MAX_CANDIDATES = 5000
"""How many documents that have the words a page looks at, whosoever they are."""
MAX_READ = 500
"""How many messages a page reads at most, to see whether they say what is asked for."""
MAX_SIZE = 1_000_000
"""How many characters of them it reads at most, roughly; those beyond ASCII take five times as long."""
READ_AT_ONCE = 50
"""How many are read next if what was read first was not enough."""
MAX_MATCHES = 10
"""How many texts of a message are shown."""
MAX_BEGINNINGS = 4
"""How many beginnings of words are asked of the index: each is a search of its own."""
_LAST = 2**63 - 1
_NOWHERE = UUID(int=0)


class Match(NamedTuple):
    """A text that has what was asked for."""

    field: Field
    item_id: str | None
    snippet: list[Piece]


class Hit(NamedTuple):
    """A message, or None for the title of a conversation, in which all was found."""

    conversation: Conversation
    message: SearchedMessage | None
    matches: list[Match]

    @property
    def created_at(self) -> datetime:
        return (self.message or self.conversation).created_at


class _Found(NamedTuple):
    """A hit before its conversation is read as lists show it."""

    position: int
    conversation_id: UUID
    message: SearchedMessage | None
    matches: list[Match]


class SearchPage(CursorPage[Hit]):
    """A page of hits, the newest first; it may have fewer than asked for, or none, though more follow.

    `is_complete` is False while more waits to be indexed than a search looks through.
    """

    def __init__(self, items: Sequence[Hit], next_cursor: str | None, *, is_complete: bool) -> None:
        super().__init__(items, next_cursor)
        self.is_complete = is_complete


def search(who: Principal, query: SearchQuery, page: PageRequest, filters: ConversationFilters) -> SearchPage:
    """Search in what the caller sees. Raises `BadRequest` for an `after` that is none."""
    cursors = Cursors("search", who.workspace_id, who.owner_name, query, filters)
    below = _LAST if page.after is None else _position_of(page.after, who, cursors, filters)
    tail = _Tail(who.workspace_id, _selected(who, filters))
    candidates = merge(
        (place for place in tail.places if place.position < below),
        _indexed(who, query, filters, below, tail),
        key=lambda place: place.position,
        reverse=True,
    )
    found, stopped_at = _verified(candidates, query, page.limit + 1)
    if len(found) > page.limit:
        stopped_at = found[page.limit - 1].position
    cursor = None if stopped_at is None else cursors.seal([str(stopped_at)])
    return SearchPage(_shown(found[: page.limit]), cursor, is_complete=tail.is_whole)


class _Place(NamedTuple):
    """Where something may be found. One without a conversation says that no more is looked at here."""

    position: int
    conversation_id: UUID | None = None
    message_id: UUID | None = None


def _selected(who: Principal, filters: ConversationFilters) -> QuerySet[Conversation]:
    return filters.select(Conversation.objects.filter(visible_to(who)), who.workspace_id)


def _position_of(after: str, who: Principal, cursors: Cursors, filters: ConversationFilters) -> int:
    sealed = cursors.open(after)
    if sealed is not None:
        return int(sealed[0])
    message, conversation = parse_message_id(after), parse_id(CONVERSATION, after)
    for places in (SearchDocument.objects, SearchMark.objects):
        seen = places.filter(
            visible_to(who, "conversation__"), conversation__deleted_at__isnull=not filters.deleted
        )
        named = (
            seen.filter(message=message) if message else seen.filter(message=None, conversation=conversation)
        )
        position = named.order_by("pk").values_list("pk", flat=True).first()
        if position is not None:
            return int(position)
    raise no_such_position()


class _Tail:
    """What is marked, and the index does not have, or not as it is now."""

    def __init__(self, workspace_id: UUID, selected: QuerySet[Conversation]) -> None:
        newest = SearchMark.objects.order_by("-pk").values_list("pk", "conversation", "message")
        oldest = newest[MAX_MARKS : MAX_MARKS + 1].first()
        if oldest is not None:  # one workspace's backlog is not to hide what others store
            newest = newest.filter(pk__gt=oldest[0])
        marks = list(newest.filter(conversation__workspace=workspace_id)[:MAX_TAIL])
        self.is_whole = oldest is None and len(marks) < MAX_TAIL
        # of several marks for one place, the first gives its document the id
        self.marked = {(conversation, message): pk for pk, conversation, message in marks}
        self.places: list[_Place] = []
        if marks:
            seen = set(selected.filter(pk__in={one for one, _ in self.marked}).values_list("pk", flat=True))
            self.places = self._seen_places(seen)

    def _seen_places(self, seen: set[UUID]) -> list[_Place]:
        marked = {place: pk for place, pk in self.marked.items() if place[0] in seen}
        old = document_ids(marked)
        places = [_Place(old.get(place, pk), *place) for place, pk in marked.items()]
        return sorted(places, reverse=True)


def _indexed(
    who: Principal, query: SearchQuery, filters: ConversationFilters, below: int, tail: _Tail
) -> Iterator[_Place]:
    """Yield which documents have the words, and may be seen; at last, where it stopped."""
    selected = _selected(who, filters)
    looked_at, last = 0, below
    for ids in find_documents(_wanted(who, query, filters), below, MAX_CANDIDATES):
        documents = SearchDocument.objects.filter(
            Exists(selected.filter(pk=OuterRef("conversation"))), pk__in=ids
        ).order_by("-pk")
        for position, conversation, message in documents.values_list("pk", "conversation", "message"):
            if (conversation, message) not in tail.marked:
                yield _Place(position, conversation, message)
        looked_at, last = looked_at + len(ids), ids[-1]
    if looked_at == MAX_CANDIDATES:
        yield _Place(last)


def _wanted(who: Principal, query: SearchQuery, filters: ConversationFilters) -> WantedWords:
    code = workspace_code(who.workspace_id)
    whole = [(code + word, False) for word, is_prefix in query.terms.items() if not is_prefix]
    beginnings = [(code + word, True) for word, is_prefix in query.terms.items() if is_prefix]
    words = [*whole, *beginnings[:MAX_BEGINNINGS]]
    if filters.user:
        words.append((end_user_word(who.workspace_id, filters.user), False))
    return WantedWords(tuple(words), tuple(owners_seen_by(who)))


def _verified(
    candidates: Iterator[_Place], query: SearchQuery, wanted: int
) -> tuple[list[_Found], int | None]:
    """Return the first hits among these, and where this stopped if there may be more."""
    hits: list[_Found] = []
    read = size = 0
    for group in _groups(candidates, wanted):
        for place, texts, hit in _checked(group, query):
            if place.conversation_id is None:
                return hits, place.position
            size += sum(len(text) if text.isascii() else 5 * len(text) for _, text, _ in texts)
            if hit is not None:
                hits.append(hit)
            if len(hits) >= wanted or size > MAX_SIZE:
                return hits, place.position
        read += len(group)
        if read >= MAX_READ:
            return hits, group[-1].position
    return hits, None


def _groups(candidates: Iterator[_Place], first: int) -> Iterator[list[_Place]]:
    """Yield what is read at once: at first only as many as are wanted."""
    size = first
    while group := list(islice(candidates, size)):
        yield group
        size = READ_AT_ONCE


def _checked(
    places: Sequence[_Place], query: SearchQuery
) -> Iterator[tuple[_Place, Sequence[SearchedText], _Found | None]]:
    """Yield each of these places with what is searched of it now, and the hit if that is one."""
    read = read_messages(place.message_id for place in places if place.message_id is not None)
    messages = {message.id: message for message in read}
    said = message_texts(read)
    titled = [id for _, id, message_id in places if message_id is None and id is not None]
    conversations = read_conversations(titled)
    for place in places:
        position, conversation_id, message_id = place
        message = messages.get(message_id) if message_id else None
        conversation = message.conversation if message else conversations.get(conversation_id or _NOWHERE)
        if conversation is None or (message_id and message is None):  # it was deleted at this very moment
            yield place, (), None
            continue
        texts = said[message.id] if message else title_texts(conversation)
        matches = _matches(texts, query)
        yield place, texts, _Found(position, conversation.id, message, matches) if matches else None


def _matches(texts: Sequence[SearchedText], query: SearchQuery) -> list[Match]:
    found = query.find_in([text for _, text, _ in texts]) or []
    pairs = [(text, spans) for text, spans in zip(texts, found, strict=False) if spans]
    return [Match(field, item, snippet(text, spans)) for (field, text, item), spans in pairs[:MAX_MATCHES]]


def _shown(found: Sequence[_Found]) -> list[Hit]:
    """Return these with their conversations as lists show them."""
    rows = shown_conversations().filter(pk__in={one.conversation_id for one in found}) if found else ()
    conversations = {row.pk: row for row in rows}
    return [
        Hit(conversations[id], message, matches) for _, id, message, matches in found if id in conversations
    ]
