"""The OpenAI dialect's answers, for the API document only."""

from rest_framework import serializers

from chatapi.completions.schemas.native_responses import AudioSerializer, UsageSerializer
from chatapi.completions.schemas.tools import FunctionCallSerializer, ToolCallSerializer
from core.validation.fields import StrictSerializer

FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter")


class OpenAIResponseMessageSerializer(StrictSerializer):
    role = serializers.ChoiceField(("assistant",))
    content = serializers.CharField(allow_null=True)
    refusal = serializers.CharField(allow_null=True)
    reasoning_content = serializers.CharField(required=False)
    annotations = serializers.ListField(child=serializers.DictField())
    tool_calls = ToolCallSerializer(many=True, required=False)
    audio = AudioSerializer(required=False)


class OpenAILogprobsSerializer(StrictSerializer):
    content = serializers.ListField(child=serializers.DictField(), allow_null=True)
    refusal = serializers.ListField(child=serializers.DictField(), allow_null=True)


class OpenAIChoiceSerializer(StrictSerializer):
    index = serializers.IntegerField()
    message = OpenAIResponseMessageSerializer()
    logprobs = OpenAILogprobsSerializer(allow_null=True)
    finish_reason = serializers.ChoiceField(FINISH_REASONS, allow_null=True)


class OpenAIChatCompletionResponseSerializer(StrictSerializer):
    id = serializers.CharField()
    object = serializers.ChoiceField(("chat.completion",))
    created = serializers.IntegerField()
    model = serializers.CharField()
    choices = OpenAIChoiceSerializer(many=True)
    usage = UsageSerializer(required=False)
    service_tier = serializers.CharField(required=False)
    metadata = serializers.DictField(child=serializers.CharField(), required=False)


class OpenAIToolCallDeltaSerializer(StrictSerializer):
    index = serializers.IntegerField()
    id = serializers.CharField(required=False)
    type = serializers.ChoiceField(("function",), required=False)
    function = FunctionCallSerializer()


class OpenAIDeltaSerializer(StrictSerializer):
    role = serializers.ChoiceField(("assistant",), required=False)
    content = serializers.CharField(required=False, allow_null=True)
    refusal = serializers.CharField(required=False, allow_null=True)
    reasoning_content = serializers.CharField(required=False)
    tool_calls = OpenAIToolCallDeltaSerializer(many=True, required=False)
    audio = AudioSerializer(required=False)


class OpenAIDeltaChoiceSerializer(StrictSerializer):
    index = serializers.IntegerField()
    delta = OpenAIDeltaSerializer()
    logprobs = OpenAILogprobsSerializer(allow_null=True)
    finish_reason = serializers.ChoiceField(FINISH_REASONS, allow_null=True)


class OpenAIChatCompletionChunkSerializer(StrictSerializer):
    id = serializers.CharField()
    object = serializers.ChoiceField(("chat.completion.chunk",))
    created = serializers.IntegerField()
    model = serializers.CharField()
    choices = OpenAIDeltaChoiceSerializer(many=True)
    usage = UsageSerializer(required=False, allow_null=True)
