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
    """Instructions for the model. `developer` is another word for `system`."""

    name = StringField(
        required=False, max_length=NAME_LIMIT, help_text="Tells participants of the same role apart."
    )
    role = EnumField(("system", "developer"), help_text="Whose message it is.")
    content = ContentField(
        TEXT,
        strings=True,
        may_be_empty=True,
        help_text="The instructions: a text, a list of texts, or text parts.",
    )


class UserMessageSerializer(StrictSerializer):
    """What the user says, shows or plays."""

    name = StringField(
        required=False, max_length=NAME_LIMIT, help_text="Tells participants of the same role apart."
    )
    role = EnumField(("user",), help_text="Whose message it is.")
    content = ContentField(
        USER, may_be_empty=True, help_text="A text, or parts: text, pictures, sounds and files."
    )


class AssistantContentField(ContentField):
    """Content that may be null if the message has something else; the serializer below checks that."""

    def run_validation(self, data: Any = empty) -> Any:
        return None if data is None else super().run_validation(data)


class AssistantMessageSerializer(StrictSerializer):
    """What the model answered before. `content` may be missing or null when `tool_calls`, `audio` or
    `refusal` is there."""

    name = StringField(
        required=False, max_length=NAME_LIMIT, help_text="Tells participants of the same role apart."
    )
    role = EnumField(
        ("system", "assistant"),
        help_text="Whose message it is. `system` is read as the assistant's where the message calls tools "
        "or was spoken.",
    )
    audio = SpokenReferenceSerializer(
        required=False, help_text="The spoken answer, by its id: its bytes need not be sent again."
    )
    content = AssistantContentField(
        ASSISTANT, may_be_empty=True, help_text="What was answered: a text, or parts."
    )
    tool_calls = ToolCallsField(
        required=False,
        help_text="What the model called: one call or a list. Each is answered by a `tool` message.",
    )
    refusal = StringField(required=False, help_text="Why the model did not answer.")

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        if type(data) is dict and data.get("content") is None:
            if not (data.get("tool_calls") or data.get("audio") or data.get("refusal")):
                raise exceptions.missing("content")
            data = {**data, "content": None}
        return super().run_validation(data)


class ToolMessageSerializer(StrictSerializer):
    """What a tool returned for a call of the model."""

    role = EnumField(("tool",), help_text="Whose message it is.")
    content = ContentField(
        TEXT,
        strings=True,
        may_be_empty=True,
        help_text="What the tool returned: a text, a list of texts, or text parts.",
    )
    tool_call_id = StringField(
        max_length=256, help_text="The call that it answers, which an `assistant` message before it holds."
    )


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
    """How the answer is spoken."""

    voice = StringField(
        required=False,
        max_length=128,
        help_text="One of `GET /v1/audio/voices`, or of the model's own; `joe` if left out.",
    )
    format = EnumField(
        SPOKEN_FORMATS,
        required=False,
        help_text="The kind of sound. A stream carries `pcm16` alone: 24 kHz, mono, signed 16-bit "
        "little-endian, without a header. Whole answers are `wav` if left out.",
    )


class ChatCompletionRequestSerializer(ChatRequestSerializer):
    """A call of `/chat/completions`: the messages, and how they are to be answered."""

    context = ConversationContextField(
        required=False,
        help_text="Where in the stored history the call stands, and anything else that is to be kept with "
        "it.",
    )  # type: ignore[assignment]
    model = StringField(
        required=False,
        help_text="Which model to ask, as `GET /v1/models` names it; left out: the default model.",
    )
    messages = ListField(
        child=MessageField(),
        max_length=MAX_MESSAGES,
        help_text="The conversation so far, or with `context.conversation_id` what is new; then it may be "
        "empty.",
    )
    response_format = ResponseFormatSerializer(
        required=False, help_text="What form the answer has: text, JSON, or JSON by a schema."
    )
    modalities = ListField(
        child=EnumField(MODALITIES),
        default=["text"],
        help_text="In what ways to answer. With `audio` the answer is spoken while it is written, by any "
        "model.",
    )
    audio = AudioOptionsSerializer(
        required=False, help_text="How the answer is spoken, where `modalities` has `audio`."
    )
    tools = ListField(
        child=ToolSerializer(), required=False, help_text="The functions that the model may call."
    )
    tool_choice = ToolChoiceField(
        required=False,
        help_text="Whether the model may (`auto`), must (`required`) or must not (`none`) call a tool, or "
        "which ones.",
    )
    parallel_tool_calls = BooleanField(
        default=True,
        help_text="Whether the model may call several tools at once. Each is a choice of its own in the "
        "answer.",
    )
    stream = BooleanField(
        default=True, help_text="Whether the answer comes in pieces, as it is made, or whole at its end."
    )
    ssml_enabled = BooleanField(
        default=False,
        help_text="Whether the model is to answer in SSML, the markup of speech. It excludes a JSON "
        "`response_format`.",
    )
