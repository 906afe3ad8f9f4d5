"""The native dialect's answers, for the API document only: dialects write answers without these."""

from rest_framework import serializers

from chatapi.completions.schemas.tools import ToolCallSerializer
from conversations.api.usage_serializers import UsageSerializer
from core.validation.fields import StrictSerializer


class AudioSerializer(StrictSerializer):
    id = serializers.CharField(required=False, help_text="Send it back as `audio.id` until `expires_at`.")
    expires_at = serializers.IntegerField(
        required=False, help_text="Until when the id is taken, in seconds since the epoch."
    )
    data = serializers.CharField(required=False, help_text="The sound, as base64.")  # type: ignore[assignment]
    transcript = serializers.CharField(required=False, help_text="What is said.")


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
