"""Items in the shape of OpenAI's Conversations API, with our own members beside."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from accounts.permissions import Permission
from accounts.principal import Principal
from conversations.api.feedback_serializers import FeedbackSerializer
from conversations.api.media_presenter import (
    Address,
    Files,
    asset_reference,
    file_of,
    same_path,
    stored_sound,
    without_nulls,
)
from conversations.branches import Place, places_of
from conversations.feedback import Feedback, feedback_of
from conversations.items import Item
from conversations.models import Completion, Conversation, Message
from conversations.selectors import files_of, usage_of
from core.ids import FUNCTION_CALL, FUNCTION_OUTPUT, MESSAGE, REASONING, format_id
from core.money import format_usd
from engines.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    ReasoningPart,
    RefusalPart,
    SpokenPart,
    TextPart,
    ToolCall,
)
from engines.usage_json import usage_as_json

_show_feedback = FeedbackSerializer().to_representation
_INCOMPLETE_REASONS = {"length", "content_filter"}

FeedbackOnAnswers = Mapping[tuple[UUID | None, int], Sequence[Feedback]]
"""What was said of answers, by their completion and choice."""


class ItemContext(NamedTuple):
    """What is shown with items besides their messages: their files, places, and feedback.

    Without `shows_cost`, their cost is left out. `address` makes the addresses of files; None if none are
    wanted.
    """

    files: Files
    places: Mapping[UUID, Place]
    feedback: FeedbackOnAnswers
    shows_cost: bool
    address: Address | None


def present_items(
    conversation: Conversation,
    items: Sequence[Item],
    unstored: Sequence[Message] = (),
    *,
    who: Principal | None,
    address: Address | None,
) -> list[dict[str, Any]]:
    """Return items as they are shown to somebody, in as many queries for many as for one.

    Without anybody it is all that there is.
    """
    messages = list({item.message.id: item.message for item in items}.values())
    completions = [message.completion for message in messages if message.completion is not None]
    feedback: defaultdict[tuple[UUID | None, int], list[Feedback]] = defaultdict(list)
    for said in chain.from_iterable(feedback_of(who, completions).values()):
        feedback[said.completion_id, said.choice].append(said)
    context = ItemContext(
        files_of(conversation.workspace_id, conversation.id, messages),
        places_of(conversation.id, messages, unstored),
        feedback,
        who is None or who.may(Permission.USAGE),
        address,
    )
    return [_shown(item, context) for item in items]


def _shown(item: Item, context: ItemContext) -> dict[str, Any]:
    shape = _SHAPES[item.id.prefix](item, context)
    return {"id": str(item.id), "status": _status(item.message), **shape, **_beside(item, context, shape)}


def _message(item: Item, context: ItemContext) -> dict[str, Any]:
    message = item.message
    return {"type": "message", "role": message.role, "content": list(_content(message, context))}


def _reasoning(item: Item, context: ItemContext) -> dict[str, Any]:
    texts = [part.text for part in item.message.parts if isinstance(part, ReasoningPart)]
    content = [{"type": "reasoning_text", "text": text} for text in texts]
    return {"type": "reasoning", "summary": [], "content": content}


def _function_call(item: Item, context: ItemContext) -> dict[str, Any]:
    call = [part for part in item.message.parts if isinstance(part, ToolCall)][item.id.call]
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _function_output(item: Item, context: ItemContext) -> dict[str, Any]:
    message = item.message
    texts = [part.text for part in message.parts if isinstance(part, TextPart)]
    is_text = len(texts) == len(message.parts) < 2
    output = "".join(texts) if is_text else list(_content(message, context))
    return {"type": "function_call_output", "call_id": message.tool_call_id, "output": output}


_SHAPES = {
    MESSAGE: _message,
    REASONING: _reasoning,
    FUNCTION_CALL: _function_call,
    FUNCTION_OUTPUT: _function_output,
}


def _beside(item: Item, context: ItemContext, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return our own members. Usage and cost stand once for each completion, so that their sums are right."""
    message, completion = item.message, item.message.completion
    place = context.places[message.id]
    counted = completion if item.ends_message and message.choice == 0 else None
    usage = counted and usage_of(counted)
    feedback = context.feedback.get((message.completion_id, message.choice or 0), ())
    beside = {
        "message_id": message.public_id,
        "parent_id": place.parent_id and format_id(MESSAGE, place.parent_id),
        "siblings": [format_id(MESSAGE, id) for id in place.siblings],
        "completion_id": completion and completion.public_id,
        "state": completion and completion.state,
        "finish_reason": message.finish_reason or None,
        "usage": usage and usage_as_json(usage),
        "name": shape.get("name", message.name or None),
        "feedback": [_show_feedback(said) for said in feedback],
        "created_at": int(message.created_at.timestamp()),
    }
    if context.shows_cost:
        cost = None if counted is None else counted.cost
        beside["cost_usd"] = None if cost is None else format_usd(cost)
    return beside


def _status(message: Message) -> str:
    if message.completion is None:
        return "completed"
    if message.completion.state == Completion.State.IN_PROGRESS:
        return "in_progress"
    whole = message.completion.state == Completion.State.COMPLETED
    return "completed" if whole and message.finish_reason not in _INCOMPLETE_REASONS else "incomplete"


def _content(message: Message, context: ItemContext) -> Iterable[dict[str, Any]]:
    """Yield the parts of a message's content. What was spoken stands beside its text, or brings its own."""
    sounds = [_spoken(part, context) for part in message.parts if isinstance(part, SpokenPart)]
    beside = sounds[:1] if any(isinstance(part, TextPart) for part in message.parts) else []
    own = iter(sounds[len(beside) :])
    for part in message.parts:
        match part:
            case ToolCall() | ReasoningPart():
                continue
            case TextPart():
                yield _text(part.text, message.role) | ({"audio": beside.pop()} if beside else {})
            case SpokenPart():
                if (audio := next(own, None)) is not None:
                    yield {**_text(part.transcript, message.role), "audio": audio}
            case RefusalPart():
                yield {"type": "refusal", "refusal": part.text}
            case _:
                yield _file(part, context)


def _text(text: str, role: str) -> dict[str, Any]:
    if role == Message.Role.ASSISTANT:
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}


def _spoken(part: SpokenPart, context: ItemContext) -> dict[str, Any]:
    sound = stored_sound(part, context.files, context.address or same_path)
    known = {"id": part.id, "transcript": part.transcript, "expires_at": part.expires_at}
    return without_nulls(known) | sound


def _file(part: ImagePart | AudioPart | FilePart, context: ItemContext) -> dict[str, Any]:
    file, address = file_of(part, context.files), context.address or same_path
    url = address(file.url) if file and context.address else None
    asset = asset_reference(part.blob, file, address)
    match part:
        case ImagePart():
            thumbnail = file and file.thumbnail_url
            shown = {
                "type": "input_image",
                "detail": part.detail or "auto",
                "image_url": url or part.url,
                "source_url": part.url,
                "asset": asset,
                "thumbnail_url": thumbnail and address(thumbnail),
                "text": file and file.text,
            }
        case AudioPart():
            sound = stored_sound(part, context.files, address)
            audio = {"format": part.format, "transcript": file and file.transcript, **sound}
            shown = {"type": "input_file", "file_url": url, "audio": without_nulls(audio)}
        case FilePart():
            shown = {
                "type": "input_file",
                "file_id": part.file_id,
                "filename": part.filename,
                "file_url": url,
                "asset": asset,
            }
    return without_nulls(shown)
