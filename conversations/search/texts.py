"""What is searched: titles, and of each message its texts, its calls, and what its files say.

System messages are not: a product sends the same one in each conversation. Nor are titles that are the first
words of a message, which is found itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from conversations.item_ids import ItemId
from conversations.models import Conversation, Message
from conversations.selectors import blobs_in
from core.ids import FUNCTION_CALL, FUNCTION_OUTPUT, MESSAGE, REASONING
from engines.messages import FilePart, Part, ReasoningPart, RefusalPart, SpokenPart, TextPart, ToolCall
from media.models import File, Rendition, asset_id, rendition_id

Field = Literal[
    "title", "text", "reasoning", "tool_call", "tool_output", "transcript", "picture_text", "file_name"
]
FIELDS: tuple[Field, ...] = Field.__args__  # type: ignore[attr-defined]

_READ_IN_FILES: dict[str, Field] = {
    Rendition.Kind.TRANSCRIPT.value: "transcript",
    Rendition.Kind.TEXT.value: "picture_text",
}


SEARCHED_OF_CONVERSATION = ("workspace", "api_key", "user", "end_user", "visibility", "title", "titled_by")
_OF_MESSAGE = ("conversation", "role", "parts", "emptied_at", "created_at")


class SearchedText(NamedTuple):
    """A text that is searched; `item_id` is the item that it stands in, None for a title."""

    field: Field
    text: str
    item_id: str | None = None


def title_texts(conversation: Conversation) -> list[SearchedText]:
    if conversation.titled_by == Conversation.TitledBy.FIRST_WORDS or not conversation.title:
        return []
    return [SearchedText("title", conversation.title)]


def message_texts(messages: Sequence[Message]) -> dict[UUID, list[SearchedText]]:
    """Return what is searched of these messages, which have their conversations with them.

    Nothing of a deleted one, or of a system message. At most two queries.
    """
    searched = [row for row in messages if row.emptied_at is None and row.role != Message.Role.SYSTEM]
    files = _FileReader(searched)
    return {row.pk: list(_texts_of(row, files)) for row in searched}


def _texts_of(message: Message, files: "_FileReader") -> Iterator[SearchedText]:
    calls = 0
    is_output = message.role == Message.Role.TOOL
    content = str(ItemId(FUNCTION_OUTPUT if is_output else MESSAGE, message.pk))
    for part in message.parts:
        match part:
            case TextPart() | RefusalPart():
                yield SearchedText("tool_output" if is_output else "text", part.text, content)
            case ReasoningPart():
                yield SearchedText("reasoning", part.text, str(ItemId(REASONING, message.pk)))
            case ToolCall():
                item_id = str(ItemId(FUNCTION_CALL, message.pk, calls))
                calls += 1
                yield SearchedText("tool_call", f"{part.name} {part.arguments}", item_id)
            case SpokenPart():
                yield SearchedText("transcript", part.transcript, content)
            case _:
                for field, text in files.texts_of(part, message.conversation):
                    yield SearchedText(field, text, content)


class _FileReader:
    """Reads what the files of messages say, and how they are called, for all at once."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._read: dict[UUID, list[tuple[Field, str]]] = {}
        self._named: dict[UUID, list[File]] = {}
        assets = {
            asset_id(message.conversation.workspace_id, blob.sha256)
            for message in messages
            for blob in blobs_in([message])
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


def with_conversations(messages: QuerySet[Message]) -> QuerySet[Message]:
    """Read of messages what is searched, with their conversations."""
    return messages.select_related("conversation").only(
        *_OF_MESSAGE, *(f"conversation__{name}" for name in SEARCHED_OF_CONVERSATION)
    )
