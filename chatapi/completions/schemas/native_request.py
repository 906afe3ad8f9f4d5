"""The native dialect's request: tests/contract/openapi.yaml, name by name, and what we accept beyond it."""

from typing import Any

from rest_framework.fields import empty

from chatapi.completions.schemas.chat_request import (
    MAX_MESSAGES,
    MODALITIES,
    NAME_LIMIT,
    SPOKEN_FORMATS,
    ChatRequestSerializer,
    SpokenReferenceSerializer,
)
from chatapi.completions.schemas.content_parts import ASSISTANT, TEXT, USER
from chatapi.completions.schemas.parameters import ConversationContextField
from chatapi.completions.schemas.response_format import ResponseFormatSerializer
from chatapi.completions.schemas.tools import ToolCallsField, ToolChoiceField, ToolSerializer
from core.validation import exceptions
from core.validation.content_field import ContentField
from core.validation.fields import (
    BooleanField,
    DiscriminatedField,
    EnumField,
    ListField,
    StrictSerializer,
    StringField,
)


class SystemMessageSerializer(StrictSerializer):
    name = StringField(required=False, max_length=NAME_LIMIT)
    role = EnumField(("system", "developer"))
    content = ContentField(TEXT, strings=True, may_be_empty=True)


class UserMessageSerializer(StrictSerializer):
    name = StringField(required=False, max_length=NAME_LIMIT)
    role = EnumField(("user",))
    content = ContentField(USER, may_be_empty=True)


class AssistantContentField(ContentField):
    """Content that may be null if the message has something else; the serializer below checks that."""

    def run_validation(self, data: Any = empty) -> Any:
        return None if data is None else super().run_validation(data)


class AssistantMessageSerializer(StrictSerializer):
    """`content` may be missing or null when `tool_calls`, `audio` or `refusal` is there."""

    name = StringField(required=False, max_length=NAME_LIMIT)
    role = EnumField(("system", "assistant"))
    audio = SpokenReferenceSerializer(required=False)
    content = AssistantContentField(ASSISTANT, may_be_empty=True)
    tool_calls = ToolCallsField(required=False)
    refusal = StringField(required=False)

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        if type(data) is dict and data.get("content") is None:
            if not (data.get("tool_calls") or data.get("audio") or data.get("refusal")):
                raise exceptions.missing("content")
            data = {**data, "content": None}
        return super().run_validation(data)


class ToolMessageSerializer(StrictSerializer):
    role = EnumField(("tool",))
    content = ContentField(TEXT, strings=True, may_be_empty=True)
    tool_call_id = StringField(max_length=256)


_SYSTEM = SystemMessageSerializer()


class MessageField(DiscriminatedField):
    """A message, by its role. `system` is also an assistant's if the message calls tools or was spoken."""

    key = "role"
    kinds = {
        "system": _SYSTEM,
        "developer": _SYSTEM,
        "user": UserMessageSerializer(),
        "assistant": AssistantMessageSerializer(),
        "tool": ToolMessageSerializer(),
    }

    def choose(self, kind: str, data: dict[str, Any]) -> StrictSerializer | None:
        if kind == "system" and (data.get("tool_calls") or data.get("audio")):
            return self.kinds["assistant"]
        return self.kinds.get(kind)


class AudioOptionsSerializer(StrictSerializer):
    voice = StringField(required=False, max_length=128)
    format = EnumField(SPOKEN_FORMATS, required=False)


class ChatCompletionRequestSerializer(ChatRequestSerializer):
    context = ConversationContextField(required=False)  # type: ignore[assignment]
    model = StringField(required=False)
    messages = ListField(child=MessageField(), max_length=MAX_MESSAGES)
    response_format = ResponseFormatSerializer(required=False)
    modalities = ListField(child=EnumField(MODALITIES), default=["text"])
    audio = AudioOptionsSerializer(required=False)
    tools = ListField(child=ToolSerializer(), required=False)
    tool_choice = ToolChoiceField(required=False)
    parallel_tool_calls = BooleanField(default=True)
    stream = BooleanField(default=True)
    ssml_enabled = BooleanField(default=False)
