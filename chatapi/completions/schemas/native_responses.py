"""The native dialect's answers, for the API document only: dialects write answers without these."""

from rest_framework import serializers

from chatapi.completions.schemas.tools import ToolCallSerializer
from core.validation.fields import StrictSerializer


class CompletionTokensDetailsSerializer(StrictSerializer):
    accepted_prediction_tokens = serializers.IntegerField(required=False)
    audio_tokens = serializers.IntegerField(required=False)
    reasoning_tokens = serializers.IntegerField(required=False)
    rejected_prediction_tokens = serializers.IntegerField(required=False)


class PromptTokensDetailsSerializer(StrictSerializer):
    audio_tokens = serializers.IntegerField(required=False)
    cached_tokens = serializers.IntegerField(required=False)


class UsageSerializer(StrictSerializer):
    completion_tokens = serializers.IntegerField(required=False)
    prompt_tokens = serializers.IntegerField(required=False)
    total_tokens = serializers.IntegerField(required=False)
    completion_tokens_details = CompletionTokensDetailsSerializer(required=False)
    prompt_tokens_details = PromptTokensDetailsSerializer(required=False)


class AudioSerializer(StrictSerializer):
    id = serializers.CharField(required=False)
    expires_at = serializers.IntegerField(required=False)
    data = serializers.CharField(required=False)  # type: ignore[assignment]
    transcript = serializers.CharField(required=False)


class ResponseMessageSerializer(StrictSerializer):
    content = serializers.CharField(required=False)
    refusal = serializers.CharField(required=False)
    tool_calls = ToolCallSerializer(required=False)
    role = serializers.CharField(required=False)
    audio = AudioSerializer(required=False)


class DeltaSerializer(StrictSerializer):
    content = serializers.CharField(required=False)


class ChoiceSerializer(StrictSerializer):
    message = ResponseMessageSerializer(required=False)
    index = serializers.IntegerField(required=False)
    finish_reason = serializers.CharField(required=False)


class DeltaChoiceSerializer(StrictSerializer):
    """The document types the delta as a whole ResponseMessage."""

    delta = ResponseMessageSerializer(required=False)
    index = serializers.IntegerField(required=False)
    finish_reason = serializers.CharField(required=False)


class CompletionSerializer(StrictSerializer):
    id = serializers.CharField(required=False)
    object = serializers.CharField(required=False)
    created = serializers.IntegerField(required=False)
    model = serializers.CharField(required=False)
    usage = UsageSerializer(required=False)


class ChatCompletionResponseSerializer(CompletionSerializer):
    choices = ChoiceSerializer(many=True, required=False)


class ChatCompletionChunkSerializer(CompletionSerializer):
    choices = DeltaChoiceSerializer(many=True, required=False)
