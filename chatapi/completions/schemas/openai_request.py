"""The OpenAI dialect's request."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer

from chatapi.completions.schemas.chat_request import (
    MAX_MESSAGES,
    MODALITIES,
    NAME_LIMIT,
    SPOKEN_FORMATS,
    ChatRequestSerializer,
    SpokenReferenceSerializer,
)
from chatapi.completions.schemas.content_parts import ASSISTANT, TEXT, USER
from chatapi.completions.schemas.examples import CALL
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

    role = EnumField(("system", "developer"), help_text="Whose message it is.")
    content = ContentField(TEXT, help_text="The instructions: a text, or parts.")
    name = StringField(required=False, max_length=NAME_LIMIT, help_text="Which participant of this role.")


class OpenAIUserMessageSerializer(StrictSerializer):
    role = EnumField(("user",), help_text="Whose message it is.")
    content = ContentField(USER, help_text="What the user says, shows or plays: a text, or parts.")
    name = StringField(required=False, max_length=NAME_LIMIT, help_text="Which participant of this role.")


class OpenAIAssistantMessageSerializer(StrictSerializer):
    role = EnumField(("assistant",), help_text="Whose message it is.")
    content = ContentField(
        ASSISTANT,
        may_be_empty=True,
        required=False,
        allow_null=True,
        help_text="What was answered: a text, or parts.",
    )
    refusal = StringField(required=False, allow_null=True, help_text="Why the model did not answer.")
    name = StringField(required=False, max_length=NAME_LIMIT, help_text="Which participant of this role.")
    audio = SpokenReferenceSerializer(
        required=False, allow_null=True, help_text="The spoken answer, by its id."
    )
    tool_calls = ToolCallsField(required=False, help_text="What the model called.")
    function_call = FunctionCallSerializer(
        required=False, allow_null=True, help_text="Deprecated: the one call, now `tool_calls`."
    )


class OpenAIToolMessageSerializer(StrictSerializer):
    role = EnumField(("tool",), help_text="Whose message it is.")
    content = ContentField(TEXT, help_text="What the tool returned: a text, or parts.")
    tool_call_id = StringField(max_length=256, help_text="The call that it answers.")


class OpenAIFunctionMessageSerializer(StrictSerializer):
    """The deprecated form of a tool message."""

    role = EnumField(("function",), help_text="Whose message it is.")
    content = ContentField(
        TEXT, required=False, allow_null=True, help_text="What the function returned: a text, or parts."
    )
    name = StringField(max_length=64, help_text="The function that was called.")


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
    voice = VoiceField(help_text="One of `/v1/audio/voices`, or of the model's own.")
    format = EnumField(SPOKEN_FORMATS, help_text="The kind of sound; a stream can only carry `pcm16`.")


@extend_schema_serializer(examples=[CALL])
class OpenAIChatCompletionRequestSerializer(ChatRequestSerializer):
    model = StringField(help_text="Which model to ask, as `/v1/models` names it.")
    messages = ListField(
        child=OpenAIMessageField(),
        max_length=MAX_MESSAGES,
        help_text="The conversation so far, or with `context.conversation_id` what is new; then it may be "
        "empty.",
    )
    response_format = OpenAIResponseFormatSerializer(required=False, help_text="What form the answer has.")
    modalities = ListField(
        child=EnumField(MODALITIES),
        min_length=1,
        default=["text"],
        help_text="`audio`: the answer is spoken, too.",
    )
    audio = OpenAIAudioOptionsSerializer(required=False, help_text="How the answer is spoken.")
    tools = ListField(child=OpenAIToolSerializer(), required=False, help_text="What the model may call.")
    tool_choice = ToolChoiceField(
        required=False, help_text="Whether the model may or must call a tool, and which."
    )
    parallel_tool_calls = BooleanField(
        default=True, help_text="Whether the model may call several tools at once."
    )
    functions = ListField(
        child=FunctionSerializer(), required=False, help_text="Deprecated: read as `tools`."
    )
    function_call = FunctionChoiceField(required=False, help_text="Deprecated: read as `tool_choice`.")
    stream = BooleanField(default=False, help_text="Whether the answer comes in pieces, as it is made.")
    context = ConversationContextField(
        required=False,
        help_text="Any object, kept with the completion. `conversation_id` continues a conversation.",
    )  # type: ignore[assignment]
    ssml_enabled = BooleanField(
        default=False,
        help_text="Whether to ask the model for SSML, the markup of speech; it excludes a JSON "
        "`response_format`.",
    )

    def check_sound(self, attrs: dict[str, Any], *, streams: bool) -> None:
        if "audio" not in attrs:
            raise exceptions.missing("audio")
        super().check_sound(attrs, streams=streams)
