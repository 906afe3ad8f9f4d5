"""The stored history as OpenAI's Conversations API shows it: a message is an item."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from conversations.models import Completion, Message
from core.blob import Blob
from core.http.serializers import (
    ConstantField,
    OptionalTextField,
    PublicIdField,
    TimestampField,
)
from core.ids import COMPLETION, MESSAGE, format_id
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
from media.api.serializers import RenditionSerializer
from media.file_presenter import FilePresenter
from media.services import SPEECH_RENDITIONS

Files = Mapping[str, FilePresenter]
"""Files by SHA-256."""

_INCOMPLETE_REASONS = {"length", "content_filter"}
_OMITTED_WHEN_EMPTY = {"tool_calls", "tool_call_id", "name"}


class AssetReferenceSerializer(serializers.Serializer[Blob]):
    """`url` is there while the file is kept: a path that needs no key, and expires."""

    sha256 = serializers.CharField()
    media_type = serializers.CharField()
    bytes = serializers.IntegerField(source="size")
    url = serializers.CharField(required=False)
    width = serializers.IntegerField(required=False, help_text="Pixels; of pictures.")
    height = serializers.IntegerField(required=False)
    seconds = serializers.FloatField(required=False, help_text="Of sounds.")


class ItemPartSerializer(serializers.Serializer[Part]):
    """Which keys are there depends on `type`. Bytes are never inlined: `asset` names them."""

    type = serializers.ChoiceField(
        [
            "input_text",
            "output_text",
            "reasoning_text",
            "refusal",
            "input_image",
            "input_audio",
            "input_file",
            "output_audio",
        ]
    )
    text = serializers.CharField(required=False, help_text="Of a picture: what was read in it.")
    annotations = serializers.ListField(child=serializers.DictField(), required=False)
    refusal = serializers.CharField(required=False)
    image_url = serializers.CharField(required=False)
    detail = serializers.CharField(required=False)
    file_id = serializers.CharField(required=False)
    filename = serializers.CharField(required=False)
    format = serializers.CharField(required=False)
    id = serializers.CharField(required=False)
    transcript = serializers.CharField(required=False, help_text="Of a sound; absent until it was heard.")
    expires_at = serializers.IntegerField(required=False)
    asset = AssetReferenceSerializer(required=False)
    thumbnail_url = serializers.CharField(required=False)
    renditions = RenditionSerializer(many=True, required=False)


class CalledFunctionSerializer(serializers.Serializer[ToolCall]):
    name = serializers.CharField()
    arguments = serializers.CharField()


class ItemToolCallSerializer(serializers.Serializer[ToolCall]):
    id = serializers.CharField()
    type = ConstantField("function")
    function = CalledFunctionSerializer(source="*")


class ItemSerializer(serializers.Serializer[Message]):
    """One stored message. `tool_calls`, `tool_call_id` and `name` are there where there are any."""

    # the context holds `files`, those of the messages' parts

    id = PublicIdField(MESSAGE)
    object = ConstantField("conversation.item")
    type = ConstantField("message")
    status = serializers.ChoiceField(["completed", "in_progress", "incomplete"])
    role = serializers.ChoiceField(Message.Role.values)
    content = ItemPartSerializer(many=True)
    tool_calls = ItemToolCallSerializer(many=True, required=False)
    tool_call_id = serializers.CharField(required=False)
    name = serializers.CharField(required=False)
    parent_id = PublicIdField(MESSAGE, allow_null=True)
    completion_id = PublicIdField(COMPLETION, allow_null=True, help_text="The completion it answers.")
    finish_reason = OptionalTextField()
    created_at = TimestampField()

    def to_representation(self, instance: Message) -> dict[str, Any]:
        calls = [part for part in instance.parts if isinstance(part, ToolCall)]
        content = [part for part in instance.parts if not isinstance(part, ToolCall)]
        show_call = ItemToolCallSerializer().to_representation
        item = {
            "id": instance.public_id,
            "object": "conversation.item",
            "type": "message",
            "status": _status(instance),
            "role": instance.role,
            "content": [_part(part, instance.role, self.context["files"]) for part in content],
            "tool_calls": [show_call(call) for call in calls],
            "tool_call_id": instance.tool_call_id,
            "name": instance.name,
            "parent_id": instance.parent_id and format_id(MESSAGE, instance.parent_id),
            "completion_id": instance.completion_id and format_id(COMPLETION, instance.completion_id),
            "finish_reason": instance.finish_reason or None,
            "created_at": int(instance.created_at.timestamp()),
        }
        return {key: value for key, value in item.items() if value or key not in _OMITTED_WHEN_EMPTY}


def _status(message: Message) -> str:
    if message.completion is None:
        return "completed"
    if message.completion.state == Completion.State.IN_PROGRESS:
        return "in_progress"
    whole = message.completion.state == Completion.State.COMPLETED
    return "completed" if whole and message.finish_reason not in _INCOMPLETE_REASONS else "incomplete"


def _part(part: Part, role: str, files: Files) -> dict[str, Any]:
    match part:
        case TextPart() if role == Message.Role.ASSISTANT:
            return {"type": "output_text", "text": part.text, "annotations": []}
        case TextPart():
            return {"type": "input_text", "text": part.text}
        case RefusalPart():
            return {"type": "refusal", "refusal": part.text}
        case ReasoningPart():
            return {"type": "reasoning_text", "text": part.text}
        case ToolCall():
            raise TypeError("a tool call is no content")
        case _:
            return _without_nulls(_media_part(part, files))


def _media_part(part: ImagePart | AudioPart | FilePart | SpokenPart, files: Files) -> dict[str, Any]:
    file = files.get(part.blob.sha256) if part.blob else None
    asset = _asset(part.blob, file)
    match part:
        case ImagePart():
            return {
                "type": "input_image",
                "image_url": part.url,
                "detail": part.detail or "auto",
                "asset": asset,
                "thumbnail_url": file and file.thumbnail_url,
                "text": file and file.text,
            }
        case AudioPart():
            heard = file and file.transcript
            return {"type": "input_audio", "format": part.format, "asset": asset, "transcript": heard}
        case FilePart():
            return {
                "type": "input_file",
                "file_id": part.file_id,
                "filename": part.filename,
                "asset": asset,
            }
        case SpokenPart():
            return {
                "type": "output_audio",
                "id": part.id,
                "transcript": part.transcript,
                "expires_at": part.expires_at,
                **stored_sound(part, files),
            }


def stored_sound(part: SpokenPart, files: Files) -> dict[str, Any]:
    """Show where a spoken answer can be heard: the original sound, and the renditions players want."""
    file = files.get(part.blob.sha256) if part.blob else None
    show = RenditionSerializer(context={"holder": file and file.holder}).to_representation
    made = file and [show(file.renditions[kind]) for kind in SPEECH_RENDITIONS if kind in file.renditions]
    return _without_nulls({"asset": _asset(part.blob, file), "renditions": made})


def _asset(blob: Blob | None, file: FilePresenter | None) -> dict[str, Any] | None:
    if blob is None:
        return None
    reference = {"sha256": blob.sha256, "media_type": blob.media_type, "bytes": blob.size}
    if file is None:
        return reference
    width, height = file.asset.width, file.asset.height
    facts = {"url": file.url, "width": width, "height": height, "seconds": file.seconds}
    return reference | _without_nulls(facts)


def _without_nulls(shown: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in shown.items() if value is not None}
