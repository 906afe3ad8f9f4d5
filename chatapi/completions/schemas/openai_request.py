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
from chatapi.completions.schemas.examples import (
    CALL,
    CALL_FOR_SPEECH,
    CALL_WITH_PICTURE,
    CALL_WITH_TOOL,
    FIRST_CALL,
)
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
    """Instructions for the model. `developer` is the newer word for `system`."""

    role = EnumField(("system", "developer"), help_text="Whose message it is.")
    content = ContentField(TEXT, help_text="The instructions: a text, or parts.")
    name = StringField(
        required=False, max_length=NAME_LIMIT, help_text="Tells participants of the same role apart."
    )


class OpenAIUserMessageSerializer(StrictSerializer):
    """What the user says, shows or plays."""

    role = EnumField(("user",), help_text="Whose message it is.")
    content = ContentField(USER, help_text="What the user says, shows or plays: a text, or parts.")
    name = StringField(
        required=False, max_length=NAME_LIMIT, help_text="Tells participants of the same role apart."
    )


class OpenAIAssistantMessageSerializer(StrictSerializer):
    """What the model answered before."""

    role = EnumField(("assistant",), help_text="Whose message it is.")
    content = ContentField(
        ASSISTANT,
        may_be_empty=True,
        required=False,
        allow_null=True,
        help_text="What was answered: a text, or parts.",
    )
    refusal = StringField(required=False, allow_null=True, help_text="Why the model did not answer.")
    name = StringField(
        required=False, max_length=NAME_LIMIT, help_text="Tells participants of the same role apart."
    )
    audio = SpokenReferenceSerializer(
        required=False,
        allow_null=True,
        help_text="The spoken answer, by its id: its bytes need not be sent again.",
    )
    tool_calls = ToolCallsField(
        required=False,
        help_text="What the model called. Each call is answered by a `tool` message before the talk goes on.",
    )
    function_call = FunctionCallSerializer(
        required=False, allow_null=True, help_text="Deprecated: the one call, now `tool_calls`."
    )


class OpenAIToolMessageSerializer(StrictSerializer):
    """What a tool returned for a call of the model."""

    role = EnumField(("tool",), help_text="Whose message it is.")
    content = ContentField(TEXT, help_text="What the tool returned: a text, or parts.")
    tool_call_id = StringField(
        max_length=256, help_text="The call that it answers, which an `assistant` message before it holds."
    )


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
    """How the answer is spoken."""

    voice = VoiceField(
        help_text="One of `GET /v1/audio/voices`, OpenAI's names among them, or of the model's own."
    )
    format = EnumField(
        SPOKEN_FORMATS,
        help_text="The kind of sound. A stream carries `pcm16` alone: 24 kHz, mono, signed 16-bit "
        "little-endian, without a header.",
    )


@extend_schema_serializer(examples=[FIRST_CALL, CALL, CALL_WITH_TOOL, CALL_WITH_PICTURE, CALL_FOR_SPEECH])
class OpenAIChatCompletionRequestSerializer(ChatRequestSerializer):
    """A call of `/v1/chat/completions`: the messages, and how they are to be answered."""

    model = StringField(help_text="Which model to ask, as `GET /v1/models` names it.")
    messages = ListField(
        child=OpenAIMessageField(),
        max_length=MAX_MESSAGES,
        help_text="The conversation so far, or with `context.conversation_id` what is new; then it may be "
        "empty.",
    )
    response_format = OpenAIResponseFormatSerializer(
        required=False, help_text="What form the answer has: text, JSON, or JSON by a schema."
    )
    modalities = ListField(
        child=EnumField(MODALITIES),
        min_length=1,
        default=["text"],
        help_text="In what ways to answer. With `audio` the answer is spoken while it is written, by any "
        "model; `audio` must say how.",
    )
    audio = OpenAIAudioOptionsSerializer(
        required=False, help_text="How the answer is spoken; required where `modalities` has `audio`."
    )
    tools = ListField(
        child=OpenAIToolSerializer(), required=False, help_text="The functions that the model may call."
    )
    tool_choice = ToolChoiceField(
        required=False,
        help_text="Whether the model may (`auto`), must (`required`) or must not (`none`) call a tool, or "
        "which ones. Only with `tools`.",
    )
    parallel_tool_calls = BooleanField(
        default=True, help_text="Whether the model may call several tools at once."
    )
    functions = ListField(
        child=FunctionSerializer(),
        required=False,
        help_text="Deprecated: read as `tools`. The answer has `tool_calls`.",
    )
    function_call = FunctionChoiceField(required=False, help_text="Deprecated: read as `tool_choice`.")
    stream = BooleanField(
        default=False, help_text="Whether the answer comes in pieces, as it is made, or whole at its end."
    )
    context = ConversationContextField(
        required=False,
        help_text="Where in the stored history the call stands, and anything else that is to be kept with "
        "it. Not one of OpenAI's: SDKs send it in `extra_body`.",
    )  # type: ignore[assignment]
    ssml_enabled = BooleanField(
        default=False,
        help_text="Whether the model is to answer in SSML, the markup of speech. It excludes a JSON "
        "`response_format`. Not one of OpenAI's.",
    )

    def check_sound(self, attrs: dict[str, Any], *, streams: bool) -> None:
        if "audio" not in attrs:
            raise exceptions.missing("audio")
        super().check_sound(attrs, streams=streams)
