"""The OpenAI dialect's answers, for the API document only."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from chatapi.completions.schemas.examples import ANSWERED, CHUNK
from chatapi.completions.schemas.native_responses import AudioSerializer
from chatapi.completions.schemas.tools import FunctionCallSerializer, ToolCallSerializer
from conversations.api.usage_serializers import UsageSerializer
from core.validation.fields import StrictSerializer

FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter")


class OpenAIResponseMessageSerializer(StrictSerializer):
    """What is answered."""

    role = serializers.ChoiceField(("assistant",), help_text="Always the assistant's.")
    content = serializers.CharField(allow_null=True, help_text="The text; null where there is none.")
    refusal = serializers.CharField(
        allow_null=True, help_text="Why the model does not answer; null where it does."
    )
    reasoning_content = serializers.CharField(
        required=False, help_text="What the model thought, if it shows that. Not one of OpenAI's."
    )
    annotations = serializers.ListField(child=serializers.DictField(), help_text="Always empty.")
    tool_calls = ToolCallSerializer(
        many=True, required=False, help_text="What the model calls; absent where it calls nothing."
    )
    audio = AudioSerializer(required=False, help_text="The spoken answer, where `audio` was asked for.")


class OpenAILogprobsSerializer(StrictSerializer):
    """How likely each token of an answer was to the model."""

    content = serializers.ListField(
        child=serializers.DictField(),
        allow_null=True,
        help_text="For each token of the text: `token`, `logprob`, `bytes`, and `top_logprobs` if asked for.",
    )
    refusal = serializers.ListField(
        child=serializers.DictField(), allow_null=True, help_text="The same for the tokens of a refusal."
    )


class OpenAIChoiceSerializer(StrictSerializer):
    """One of the answers: there are as many as `n`."""

    index = serializers.IntegerField(help_text="Which of the answers it is, from 0.")
    message = OpenAIResponseMessageSerializer(help_text="What was answered.")
    logprobs = OpenAILogprobsSerializer(
        allow_null=True,
        help_text="Log probabilities, where they were asked for and the model tells them. Null else.",
    )
    finish_reason = serializers.ChoiceField(
        FINISH_REASONS,
        allow_null=True,
        help_text="Why it ended: `stop`, `length` (a limit was reached), `tool_calls` or `content_filter`. "
        "Null if it was broken off.",
    )


@extend_schema_serializer(examples=[ANSWERED])
class OpenAIChatCompletionResponseSerializer(StrictSerializer):
    """A whole answer, where `stream` is false."""

    id = serializers.CharField(
        help_text="The completion's id: `chatcmpl-…`. It is also in the header `X-Completion-Id`."
    )
    object = serializers.ChoiceField(("chat.completion",), help_text="Which kind of object it is.")
    created = serializers.IntegerField(help_text="When the call was admitted, in seconds since the epoch.")
    model = serializers.CharField(help_text="The model that was asked, also where a fallback of it answers.")
    choices = OpenAIChoiceSerializer(many=True, help_text="The answers.")
    usage = UsageSerializer(required=False, help_text="What was used, and is billed.")
    service_tier = serializers.CharField(required=False, help_text="The request's, as it was sent.")
    metadata = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="The request's pairs."
    )


class OpenAIToolCallDeltaSerializer(StrictSerializer):
    """The next piece of a tool call."""

    index = serializers.IntegerField(help_text="Which of the calls it is a piece of, from 0.")
    id = serializers.CharField(required=False, help_text="The call's id, with its first piece.")
    type = serializers.ChoiceField(("function",), required=False, help_text="With its first piece.")
    function = FunctionCallSerializer(help_text="The name, with the first piece, or more of the arguments.")


class OpenAIDeltaSerializer(StrictSerializer):
    """The next piece of an answer: one of these members, or none in the last chunk of a choice."""

    role = serializers.ChoiceField(
        ("assistant",), required=False, help_text="With the first piece of each choice alone."
    )
    content = serializers.CharField(
        required=False, allow_null=True, help_text="More of the text. The pieces joined are what is stored."
    )
    refusal = serializers.CharField(
        required=False, allow_null=True, help_text="More of why the model does not answer."
    )
    reasoning_content = serializers.CharField(required=False, help_text="More of what the model thinks.")
    tool_calls = OpenAIToolCallDeltaSerializer(many=True, required=False, help_text="More of the calls.")
    audio = AudioSerializer(required=False, help_text="More of the sound, or of its transcript.")


class OpenAIDeltaChoiceSerializer(StrictSerializer):
    """The next piece of one of the answers."""

    index = serializers.IntegerField(help_text="Which of the answers it is a piece of, from 0.")
    delta = OpenAIDeltaSerializer(help_text="What is new; empty in the chunk with the `finish_reason`.")
    logprobs = OpenAILogprobsSerializer(
        allow_null=True,
        help_text="Log probabilities of what is new, where they were asked for and the model tells them. "
        "Null else.",
    )
    finish_reason = serializers.ChoiceField(
        FINISH_REASONS, allow_null=True, help_text="Why it ended, in its last chunk; null until then."
    )


@extend_schema_serializer(examples=[CHUNK])
class OpenAIChatCompletionChunkSerializer(StrictSerializer):
    """A piece of a streamed answer."""

    id = serializers.CharField(
        help_text="The completion's id: `chatcmpl-…`. It is also in the header `X-Completion-Id`. The same "
        "in each chunk."
    )
    object = serializers.ChoiceField(("chat.completion.chunk",), help_text="Which kind of object it is.")
    created = serializers.IntegerField(
        help_text="When the call was admitted, in seconds since the epoch. The same in each chunk."
    )
    model = serializers.CharField(help_text="The model that was asked, also where a fallback of it answers.")
    choices = OpenAIDeltaChoiceSerializer(
        many=True,
        help_text="What is new of the answers: one of them a chunk. Empty in the chunk with the usage.",
    )
    usage = UsageSerializer(
        required=False,
        allow_null=True,
        help_text="With `stream_options.include_usage`: what was used, in a chunk of its own before the "
        "end; null in the others. Absent without it.",
    )
