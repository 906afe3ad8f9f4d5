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
    role = serializers.ChoiceField(("assistant",), help_text="Always the assistant's.")
    content = serializers.CharField(allow_null=True, help_text="The text; null where there is none.")
    refusal = serializers.CharField(allow_null=True, help_text="Why the model does not answer.")
    reasoning_content = serializers.CharField(
        required=False, help_text="What the model thought, if it shows that."
    )
    annotations = serializers.ListField(child=serializers.DictField(), help_text="Always empty.")
    tool_calls = ToolCallSerializer(many=True, required=False, help_text="What the model calls.")
    audio = AudioSerializer(required=False, help_text="The spoken answer.")


class OpenAILogprobsSerializer(StrictSerializer):
    content = serializers.ListField(
        child=serializers.DictField(), allow_null=True, help_text="Of the text, by token."
    )
    refusal = serializers.ListField(
        child=serializers.DictField(), allow_null=True, help_text="Of the refusal, by token."
    )


class OpenAIChoiceSerializer(StrictSerializer):
    index = serializers.IntegerField(help_text="Its number among the answers, from 0.")
    message = OpenAIResponseMessageSerializer(help_text="What was answered.")
    logprobs = OpenAILogprobsSerializer(
        allow_null=True, help_text="Log probabilities, if they were asked for."
    )
    finish_reason = serializers.ChoiceField(
        FINISH_REASONS, allow_null=True, help_text="Why it ended; null if it was broken off."
    )


@extend_schema_serializer(examples=[ANSWERED])
class OpenAIChatCompletionResponseSerializer(StrictSerializer):
    id = serializers.CharField(help_text="The completion's id, `chatcmpl-…`.")
    object = serializers.ChoiceField(("chat.completion",), help_text="Which kind of object it is.")
    created = serializers.IntegerField(help_text="When the call came, in seconds since the epoch.")
    model = serializers.CharField(help_text="The model that answers.")
    choices = OpenAIChoiceSerializer(many=True, help_text="The answers.")
    usage = UsageSerializer(required=False, help_text="What it used.")
    service_tier = serializers.CharField(required=False, help_text="As it was sent.")
    metadata = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="The pairs that were sent."
    )


class OpenAIToolCallDeltaSerializer(StrictSerializer):
    index = serializers.IntegerField(help_text="Which of the calls it is a piece of, from 0.")
    id = serializers.CharField(required=False, help_text="The call's id, with its first piece.")
    type = serializers.ChoiceField(("function",), required=False, help_text="With its first piece.")
    function = FunctionCallSerializer(help_text="The name, with the first piece, or more of the arguments.")


class OpenAIDeltaSerializer(StrictSerializer):
    role = serializers.ChoiceField(("assistant",), required=False, help_text="With the first piece.")
    content = serializers.CharField(required=False, allow_null=True, help_text="More of the text.")
    refusal = serializers.CharField(
        required=False, allow_null=True, help_text="More of why the model does not answer."
    )
    reasoning_content = serializers.CharField(required=False, help_text="More of what the model thinks.")
    tool_calls = OpenAIToolCallDeltaSerializer(many=True, required=False, help_text="More of the calls.")
    audio = AudioSerializer(required=False, help_text="More of the sound, or of its transcript.")


class OpenAIDeltaChoiceSerializer(StrictSerializer):
    index = serializers.IntegerField(help_text="Its number among the answers, from 0.")
    delta = OpenAIDeltaSerializer(help_text="What is new.")
    logprobs = OpenAILogprobsSerializer(
        allow_null=True, help_text="Log probabilities, if they were asked for."
    )
    finish_reason = serializers.ChoiceField(
        FINISH_REASONS, allow_null=True, help_text="Why it ended; null until then."
    )


@extend_schema_serializer(examples=[CHUNK])
class OpenAIChatCompletionChunkSerializer(StrictSerializer):
    id = serializers.CharField(help_text="The completion's id, `chatcmpl-…`.")
    object = serializers.ChoiceField(("chat.completion.chunk",), help_text="Which kind of object it is.")
    created = serializers.IntegerField(help_text="When the call came, in seconds since the epoch.")
    model = serializers.CharField(help_text="The model that answers.")
    choices = OpenAIDeltaChoiceSerializer(
        many=True, help_text="What is new of the answers; empty where only the usage comes."
    )
    usage = UsageSerializer(
        required=False, allow_null=True, help_text="With the last chunk, if `include_usage` asks for it."
    )
