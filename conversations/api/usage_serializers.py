"""OpenAI's usage object, for the API document only: `engines.usage_json` makes it."""

from rest_framework import serializers

from core.validation.fields import StrictSerializer


class CompletionTokensDetailsSerializer(StrictSerializer):
    accepted_prediction_tokens = serializers.IntegerField(
        required=False, help_text="Of the prediction, those that are in the answer."
    )
    audio_tokens = serializers.IntegerField(required=False, help_text="Those that were spoken.")
    reasoning_tokens = serializers.IntegerField(required=False, help_text="Those that the model thought.")
    rejected_prediction_tokens = serializers.IntegerField(
        required=False, help_text="Of the prediction, those that are not in the answer."
    )


class PromptTokensDetailsSerializer(StrictSerializer):
    audio_tokens = serializers.IntegerField(required=False, help_text="Those of sounds.")
    cached_tokens = serializers.IntegerField(
        required=False, help_text="Those that the model's server had read before."
    )


class UsageSerializer(StrictSerializer):
    completion_tokens = serializers.IntegerField(required=False, help_text="Tokens of the answers.")
    prompt_tokens = serializers.IntegerField(required=False, help_text="Tokens of what the model was sent.")
    total_tokens = serializers.IntegerField(required=False, help_text="Both together.")
    completion_tokens_details = CompletionTokensDetailsSerializer(
        required=False, help_text="What the answers' tokens were."
    )
    prompt_tokens_details = PromptTokensDetailsSerializer(
        required=False, help_text="What the sent tokens were."
    )
