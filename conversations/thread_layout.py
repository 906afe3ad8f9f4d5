"""A conversation laid out for reading: the current branch, and the abandoned ones beside it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from msgspec import structs

from conversations.models import Completion, Message
from core.blob import Blob
from core.value import Value
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
from media.file_presenter import FilePresenter

Files = Mapping[str, FilePresenter] | None
"""Files by SHA-256."""


class ThreadLine(Value, frozen=True):
    """One message of the thread. `depth` counts the branches off the current one."""

    message: Any
    depth: int
    starts_branch: bool
    completions: tuple[Any, ...] = ()
    """The completions that answer this message."""


class ShownPart(Value, frozen=True):
    """A part as shown: `kind` is its heading, `transcript` what was said.

    `reference` says where its bytes are, `file` shows them.
    """

    kind: str
    text: str = ""
    reference: str = ""
    file: Any = None
    transcript: str | None = None


def lay_out_thread(
    messages: Sequence[Message], completions: Sequence[Completion], head_id: UUID | None
) -> Iterator[ThreadLine]:
    """Yield the lines. `messages` are in stored order; part of a conversation will do."""
    by_id = {message.id: message for message in messages}
    children: dict[UUID | None, list[Message]] = defaultdict(list)
    for message in messages:
        children[message.parent_id if message.parent_id in by_id else None].append(message)
    answers: dict[UUID | None, list[Completion]] = defaultdict(list)
    for completion in completions:
        answers[completion.prompt_id].append(completion)
    current = _path_to(head_id, by_id)
    stack = _stack_entries(children[None], 0, current)
    while stack:
        message, depth, starts_branch = stack.pop()
        yield ThreadLine(message, depth, starts_branch, tuple(answers[message.id]))
        stack += _stack_entries(children[message.id], depth, current)


def _path_to(head_id: UUID | None, by_id: dict[UUID, Message]) -> set[UUID]:
    path: set[UUID] = set()
    while head_id is not None and head_id in by_id:
        path.add(head_id)
        head_id = by_id[head_id].parent_id
    return path


def _stack_entries(
    siblings: list[Message], depth: int, current: set[UUID]
) -> list[tuple[Message, int, bool]]:
    """Return siblings as a stack: abandoned branches come off first, the current one last."""
    if not siblings:
        return []
    continuing = next((message for message in siblings if message.id in current), siblings[-1])
    others = [message for message in siblings if message is not continuing]
    return [(continuing, depth, False), *((message, depth + 1, True) for message in reversed(others))]


def present_part(part: Part, files: Files) -> ShownPart:
    """Prepare a part for display.

    `files` are the message's files that are still kept; None if none may be shown.
    """
    match part:
        case TextPart():
            return ShownPart("text", part.text)
        case RefusalPart():
            return ShownPart("refusal", part.text)
        case ReasoningPart():
            return ShownPart("reasoning", part.text)
        case ToolCall():
            return ShownPart("tool call", f"{part.name}({part.arguments})", part.id)
        case ImagePart():
            return _shown_media("image", part.blob, files, reference=part.url or "")
        case AudioPart():
            shown = _shown_media("audio", part.blob, files)
            return structs.replace(shown, transcript=shown.file and shown.file.transcript)
        case FilePart():
            name, reference = part.filename or "", part.file_id or ""
            return _shown_media("file", part.blob, files, text=name, reference=reference)
        case SpokenPart():
            return _shown_media("spoken", part.blob, files, transcript=part.transcript)


def _shown_media(
    kind: str,
    blob: Blob | None,
    files: Files,
    *,
    reference: str = "",
    **words: str,
) -> ShownPart:
    file = files.get(blob.sha256) if blob and files is not None else None
    if blob is not None and files is not None and file is None:
        reference = f"{reference} {blob.media_type}, {blob.size} bytes, {blob.sha256}: no longer kept".strip()
    return ShownPart(kind, reference=reference, file=file, **words)
