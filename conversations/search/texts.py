"""What is searched: titles, and of each message its texts, its calls, and what its files say.

System messages are not: a product sends the same one in each conversation. Nor are titles that are the first
words of a message, which is found itself.
"""

# ruff: noqa: S608 (all names are our own)

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from conversations.item_ids import ItemId
from conversations.models import Conversation, Message
from conversations.search.schema import CONVERSATIONS, MESSAGES
from conversations.search.tokenizer import MAX_TEXT
from core.bulk_sql import fetch_by_ids, id_from_driver, time_from_driver
from core.ids import FUNCTION_CALL, FUNCTION_OUTPUT, MESSAGE, REASONING
from engines.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Part,
    ReasoningPart,
    RefusalPart,
    SpokenPart,
    TextPart,
    ToolCall,
    decode_parts,
)
from media.models import File, Rendition, asset_id, rendition_id

Field = Literal[
    "title", "text", "reasoning", "tool_call", "tool_output", "transcript", "picture_text", "file_name"
]

_READ_IN_FILES: dict[str, Field] = {
    Rendition.Kind.TRANSCRIPT.value: "transcript",
    Rendition.Kind.TEXT.value: "picture_text",
}


class SearchedText(NamedTuple):
    """A text that is searched; `item_id` is the item that it stands in, None for a title."""

    field: Field
    text: str
    item_id: str | None = None


class SearchedConversation(NamedTuple):
    """What is read of a conversation."""

    id: UUID
    workspace_id: UUID
    api_key_id: UUID | None
    created_at: datetime
    user_id: int | None
    end_user: str
    visibility: str
    title: str
    titled_by: str


class SearchedMessage(NamedTuple):
    """What is read of a message: a row of the ORM takes as long as all its words."""

    id: UUID
    conversation: SearchedConversation
    role: str
    parts: tuple[Part, ...]
    created_at: datetime


def title_texts(conversation: SearchedConversation) -> list[SearchedText]:
    if conversation.titled_by == Conversation.TitledBy.FIRST_WORDS or not conversation.title:
        return []
    return [SearchedText("title", conversation.title)]


def read_conversations(ids: Iterable[UUID]) -> dict[UUID, SearchedConversation]:
    """Read of these conversations what the search needs, by their ids."""
    rows = fetch_by_ids(f"SELECT {_OF_CONVERSATION} FROM {CONVERSATIONS} c WHERE c.id IN ({{ids}})", set(ids))
    return {found.id: found for found in map(_conversation, rows)}


def read_messages(ids: Iterable[UUID]) -> list[SearchedMessage]:
    """Read those of these messages that are searched: not deleted ones, nor system messages."""
    conversations: dict[Any, SearchedConversation] = {}
    return [
        SearchedMessage(
            id_from_driver(id),
            conversations.get(row[0]) or conversations.setdefault(row[0], _conversation(row)),
            role,
            decode_parts(parts),
            time_from_driver(created_at),
        )
        for id, role, parts, created_at, *row in fetch_by_ids(_READ_MESSAGES, ids)
    ]


_OF_CONVERSATION = ", ".join(f"c.{name}" for name in SearchedConversation._fields)
_READ_MESSAGES = (
    f"SELECT m.id, m.role, m.parts, m.created_at, {_OF_CONVERSATION} "
    f"FROM {MESSAGES} m JOIN {CONVERSATIONS} c ON c.id = m.conversation_id "
    "WHERE m.id IN ({ids}) AND m.emptied_at IS NULL AND m.role <> 'system'"
)


def _conversation(row: Sequence[Any]) -> SearchedConversation:
    id, workspace, key, created_at, *others = row
    return SearchedConversation(
        id_from_driver(id),
        id_from_driver(workspace),
        key and id_from_driver(key),
        time_from_driver(created_at),
        *others,
    )


def message_texts(messages: Sequence[SearchedMessage]) -> dict[UUID, list[SearchedText]]:
    """Return what is searched of these messages, of each `MAX_TEXT` characters. At most two queries."""
    files = _FileReader(messages)
    return {message.id: list(_bounded(_texts_of(message, files))) for message in messages}


def _bounded(texts: Iterable[SearchedText]) -> Iterator[SearchedText]:
    left = MAX_TEXT
    for found in texts:
        if left <= 0:
            return
        yield found._replace(text=found.text[:left])
        left -= len(found.text)


def _texts_of(message: SearchedMessage, files: "_FileReader") -> Iterator[SearchedText]:
    calls = 0
    is_output = message.role == Message.Role.TOOL
    content = str(ItemId(FUNCTION_OUTPUT if is_output else MESSAGE, message.id))
    for part in message.parts:
        match part:
            case TextPart() | RefusalPart():
                yield SearchedText("tool_output" if is_output else "text", part.text, content)
            case ReasoningPart():
                yield SearchedText("reasoning", part.text, str(ItemId(REASONING, message.id)))
            case ToolCall():
                item_id = str(ItemId(FUNCTION_CALL, message.id, calls))
                calls += 1
                yield SearchedText("tool_call", f"{part.name} {part.arguments}", item_id)
            case SpokenPart():
                yield SearchedText("transcript", part.transcript, content)
            case _:
                for field, text in files.texts_of(part, message.conversation):
                    yield SearchedText(field, text, content)


class _FileReader:
    """Reads what the files of messages say, and how they are called, for all at once."""

    def __init__(self, messages: Iterable[SearchedMessage]) -> None:
        self._read: dict[UUID, list[tuple[Field, str]]] = {}
        self._named: dict[UUID, list[File]] = {}
        assets = {
            asset_id(message.conversation.workspace_id, part.blob.sha256)
            for message in messages
            for part in message.parts
            if isinstance(part, ImagePart | AudioPart | FilePart) and part.blob is not None
        }
        if not assets:
            return
        ids = [rendition_id(asset, kind) for asset in assets for kind in _READ_IN_FILES]
        ready = Rendition.objects.filter(pk__in=ids, state=Rendition.State.READY)
        for rendition in ready.only("asset", "kind", "content"):
            content: dict[str, str] | None = rendition.content
            if content:
                found = self._read.setdefault(rendition.asset_id, [])
                found.append((_READ_IN_FILES[rendition.kind], content["text"]))
        for file in File.showing.filter(asset__in=assets).order_by("pk"):
            self._named.setdefault(file.asset_id, []).append(file)

    def texts_of(self, part: Part, conversation: SearchedConversation) -> Iterator[tuple[Field, str]]:
        names = [part.filename] if isinstance(part, FilePart) and part.filename else []
        blob = getattr(part, "blob", None)
        if blob is not None:
            asset = asset_id(conversation.workspace_id, blob.sha256)
            names += [file.filename for file in self._named.get(asset, ()) if _has_owner(file, conversation)]
            yield from self._read.get(asset, ())
        for name in dict.fromkeys(names):
            yield "file_name", name


def _has_owner(file: File, conversation: SearchedConversation) -> bool:
    """Tell whether a file is of whom the conversation is: others may have other names for the same bytes."""
    return (file.user_id, file.end_user, file.api_key_id is None) == (
        conversation.user_id,
        conversation.end_user,
        conversation.api_key_id is None,
    )
