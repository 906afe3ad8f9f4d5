"""What is searched: titles, and of each message its texts, its calls, and what its files say.

System messages are not: a product sends the same one in each conversation. Nor are titles that are the first
words of a message, which is found itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from conversations.item_ids import ItemId
from conversations.models import Conversation, Message
from conversations.search.tokenizer import MAX_TEXT
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
)
from media.models import File, Rendition, asset_id, rendition_id

Field = Literal[
    "title", "text", "reasoning", "tool_call", "tool_output", "transcript", "picture_text", "file_name"
]

_READ_IN_FILES: dict[str, Field] = {
    Rendition.Kind.TRANSCRIPT.value: "transcript",
    Rendition.Kind.TEXT.value: "picture_text",
}


_OF_CONVERSATION = (
    *("workspace", "api_key", "user", "end_user", "visibility"),
    *("title", "titled_by", "created_at"),
)


class SearchedText(NamedTuple):
    """A text that is searched; `item_id` is the item that it stands in, None for a title."""

    field: Field
    text: str
    item_id: str | None = None


def title_texts(conversation: Conversation) -> list[SearchedText]:
    if conversation.titled_by == Conversation.TitledBy.FIRST_WORDS or not conversation.title:
        return []
    return [SearchedText("title", conversation.title)]


class SearchedMessage(NamedTuple):
    """What is read of a message: a row of the ORM takes as long as all its words."""

    id: UUID
    conversation: Conversation
    role: str
    parts: tuple[Part, ...]
    created_at: datetime


def read_conversations(ids: Iterable[UUID]) -> dict[UUID, Conversation]:
    """Read of these conversations what the search needs, by their ids."""
    wanted = list(ids)
    rows = Conversation.objects.filter(pk__in=wanted).only(*_OF_CONVERSATION) if wanted else ()
    return {row.pk: row for row in rows}


def read_messages(ids: Iterable[UUID]) -> list[SearchedMessage]:
    """Read those of these messages that are searched: not deleted ones, nor system messages."""
    rows = Message.objects.filter(pk__in=list(ids), emptied_at=None).exclude(role=Message.Role.SYSTEM)
    found: list[Any] = list(rows.values_list("pk", "conversation", "role", "parts", "created_at"))
    conversations = read_conversations({row[1] for row in found})
    return [
        SearchedMessage(id, conversations[conversation], role, parts, created_at)
        for id, conversation, role, parts, created_at in found
        if conversation in conversations
    ]


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

    def texts_of(self, part: Part, conversation: Conversation) -> Iterator[tuple[Field, str]]:
        names = [part.filename] if isinstance(part, FilePart) and part.filename else []
        blob = getattr(part, "blob", None)
        if blob is not None:
            asset = asset_id(conversation.workspace_id, blob.sha256)
            names += [file.filename for file in self._named.get(asset, ()) if _has_owner(file, conversation)]
            yield from self._read.get(asset, ())
        for name in dict.fromkeys(names):
            yield "file_name", name


def _has_owner(file: File, conversation: Conversation) -> bool:
    """Tell whether a file is of whom the conversation is: others may have other names for the same bytes."""
    return (file.user_id, file.end_user, file.api_key_id is None) == (
        conversation.user_id,
        conversation.end_user,
        conversation.api_key_id is None,
    )
