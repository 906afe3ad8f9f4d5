"""Stored completions and what they answered, as OpenAI's API shows them."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import msgspec
from rest_framework.request import Request

from accounts.authentication import principal_of
from accounts.permissions import Permission
from chatapi.completions.dialects import DIALECTS
from chatapi.completions.dialects.openai import call_as_json, sound_as_json
from conversations import selectors
from conversations.api.feedback_serializers import FeedbackSerializer
from conversations.api.media_presenter import Address, Files, stored_sound
from conversations.asset_holds import hold_id
from conversations.feedback import Feedback, feedback_of
from conversations.models import Completion, Message
from core.exceptions import envelope
from core.ids import CONVERSATION, format_id
from engines.answers import Answer
from engines.messages import ImagePart, ReasoningPart, RefusalPart, SpokenPart, TextPart, ToolCall
from engines.usage_json import usage_as_json
from media.file_presenter import FilePresenter, present_files


def show_whole(request: Request, completion: Completion) -> dict[str, Any]:
    """Show a completion with its sounds; without what was said to who may not read the history."""
    who = principal_of(request)
    if not who.may(Permission.HISTORY_READ):
        return {**show_listed(completion, ()), "choices": []}
    workspace_id, answer = completion.workspace_id, selectors.answer_of(completion)
    feedback = feedback_of(who, [completion]).get(completion.pk, ())
    body = _show(completion, answer, selectors.read_sounds(workspace_id, answer), feedback)
    files = selectors.files_of(workspace_id, completion.stored_conversation.pk, completion.answers.all())
    _add_stored_sounds(body, answer, files, request.build_absolute_uri)
    return body


def show_listed(completion: Completion, feedback: Collection[Feedback]) -> dict[str, Any]:
    """Show a completion as lists do: without the bytes of its sounds."""
    return _show(completion, selectors.answer_of(completion), {}, feedback)


def show_outline(completion: Completion) -> dict[str, Any]:
    """Show of a completion that nobody reads that there is one, and what it used."""
    answer = selectors.answer_of(completion)
    return {
        "id": completion.public_id,
        "object": "chat.completion",
        "created": answer.head.created,
        "model": answer.head.model,
        "state": completion.state,
        **({} if answer.usage is None else {"usage": usage_as_json(answer.usage)}),
    }


def _show(
    completion: Completion, answer: Answer, sounds: dict[str, bytes], feedback: Collection[Feedback]
) -> dict[str, Any]:
    """Return the OpenAI object, and beside it the completion's state, conversation, error and feedback."""
    body: dict[str, Any] = msgspec.to_builtins(DIALECTS["openai"].render(answer, sounds))
    failure = selectors.failure_of(completion)
    if failure is not None:
        body |= envelope(failure.message, failure.type, failure.param, failure.code)
    conversation_id = completion.conversation_id
    return body | {
        "state": completion.state,
        "metadata": answer.metadata,
        "conversation_id": conversation_id and format_id(CONVERSATION, conversation_id),
        "feedback": [FeedbackSerializer(one).data for one in feedback],
    }


def _add_stored_sounds(body: dict[str, Any], answer: Answer, files: Files, address: Address) -> None:
    for choice, choice_body in zip(answer.choices, body["choices"], strict=True):
        for part in choice.message.parts:
            if isinstance(part, SpokenPart):
                choice_body["message"]["audio"] |= stored_sound(part, files, address)


# --- the messages that were answered --------------------------------------------------------------


def picture_files(completion: Completion, messages: Collection[Message]) -> dict[str, FilePresenter]:
    """Return the pictures in these messages that are still kept, by SHA-256, in one query."""
    blobs = [part.blob for row in messages for part in row.parts if isinstance(part, ImagePart) and part.blob]
    holder_of = partial(hold_id, completion.stored_conversation.pk)
    return present_files(completion.workspace_id, blobs, holder_of, kinds=())


def show_message(message: Message, picture_urls: Mapping[str, str]) -> dict[str, Any]:
    """Show a stored message as `ChatCompletionStoreMessage`; the pictures' URLs are by SHA-256.

    OpenAI's object has room for texts, pictures and calls. Sounds and files are shown as items.
    """
    parts = [part for part in message.parts if not isinstance(part, ToolCall | ReasoningPart | RefusalPart)]
    shown_parts = [_part(part, picture_urls) for part in parts if isinstance(part, TextPart | ImagePart)]
    has_several = len(parts) > 1 or any(isinstance(part, ImagePart) for part in parts)
    calls = [call_as_json(part) for part in message.parts if isinstance(part, ToolCall)]
    spoken = next((part for part in message.parts if isinstance(part, SpokenPart)), None)
    return {
        "id": message.public_id,
        "role": message.role,
        "content": _join(message, TextPart),
        "refusal": _join(message, RefusalPart),
        "content_parts": shown_parts if has_several else None,
        "name": message.name or None,
        "tool_calls": calls or None,
        "tool_call_id": message.tool_call_id or None,
        "audio": spoken and {"data": "", "expires_at": 0, **sound_as_json(spoken, {})},
    }


def _join(message: Message, kind: type[TextPart] | type[RefusalPart]) -> str | None:
    texts = [part.text for part in message.parts if isinstance(part, kind)]
    return "".join(texts) if texts else None


def _part(part: TextPart | ImagePart, picture_urls: Mapping[str, str]) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    url = (part.blob and picture_urls.get(part.blob.sha256)) or part.url or ""
    return {"type": "image_url", "image_url": {"url": url, "detail": part.detail or "auto"}}
