"""The OpenAI dialect's request."""

from typing import Any

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
from chatapi.completions.schemas.response_format import OpenAIResponseFormatSerializer
from chatapi.completions.schemas.tools import (
    FunctionCallSerializer,
    FunctionChoiceField,
    FunctionSerializer,
    OpenAIToolSerializer,
    ToolCallsField,
    ToolChoiceField,
)
from core.validation import exceptions
from core.validation.content_field import ContentField
from core.validation.fields import (
    BooleanField,
    DiscriminatedField,
    EnumField,
    ListField,
    StrictSerializer,
    StringField,
    VoiceField,
)


class OpenAISystemMessageSerializer(StrictSerializer):
    """`developer` is the newer word for `system`."""

    role = EnumField(("system", "developer"))
    content = ContentField(TEXT)
    name = StringField(required=False, max_length=NAME_LIMIT)


class OpenAIUserMessageSerializer(StrictSerializer):
    role = EnumField(("user",))
    content = ContentField(USER)
    name = StringField(required=False, max_length=NAME_LIMIT)


class OpenAIAssistantMessageSerializer(StrictSerializer):
    role = EnumField(("assistant",))
    content = ContentField(ASSISTANT, may_be_empty=True, required=False, allow_null=True)
    refusal = StringField(required=False, allow_null=True)
    name = StringField(required=False, max_length=NAME_LIMIT)
    audio = SpokenReferenceSerializer(required=False, allow_null=True)
    tool_calls = ToolCallsField(required=False)
    function_call = FunctionCallSerializer(required=False, allow_null=True)


class OpenAIToolMessageSerializer(StrictSerializer):
    role = EnumField(("tool",))
    content = ContentField(TEXT)
    tool_call_id = StringField(max_length=256)


class OpenAIFunctionMessageSerializer(StrictSerializer):
    """The deprecated form of a tool message."""

    role = EnumField(("function",))
    content = ContentField(TEXT, required=False, allow_null=True)
    name = StringField(max_length=64)


_SYSTEM = OpenAISystemMessageSerializer()


class OpenAIMessageField(DiscriminatedField):
    key = "role"
    kinds = {
        "developer": _SYSTEM,
        "system": _SYSTEM,
        "user": OpenAIUserMessageSerializer(),
        "assistant": OpenAIAssistantMessageSerializer(),
        "tool": OpenAIToolMessageSerializer(),
        "function": OpenAIFunctionMessageSerializer(),
    }


class OpenAIAudioOptionsSerializer(StrictSerializer):
    voice = VoiceField()
    format = EnumField(SPOKEN_FORMATS)


class OpenAIChatCompletionRequestSerializer(ChatRequestSerializer):
    model = StringField()
    messages = ListField(child=OpenAIMessageField(), max_length=MAX_MESSAGES)
    response_format = OpenAIResponseFormatSerializer(required=False)
    modalities = ListField(child=EnumField(MODALITIES), min_length=1, default=["text"])
    audio = OpenAIAudioOptionsSerializer(required=False)
    tools = ListField(child=OpenAIToolSerializer(), required=False)
    tool_choice = ToolChoiceField(required=False)
    parallel_tool_calls = BooleanField(default=True)
    functions = ListField(child=FunctionSerializer(), required=False)
    function_call = FunctionChoiceField(required=False)
    stream = BooleanField(default=False)
    context = ConversationContextField(required=False)  # type: ignore[assignment]
    ssml_enabled = BooleanField(default=False)

    def check_sound(self, attrs: dict[str, Any], *, streams: bool) -> None:
        if "audio" not in attrs:
            raise exceptions.missing("audio")
        super().check_sound(attrs, streams=streams)
