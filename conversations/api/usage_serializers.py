"""OpenAI's usage object, for the API document only: `engines.usage_json` makes it."""

from rest_framework import serializers

from core.validation.fields import StrictSerializer


class CompletionTokensDetailsSerializer(StrictSerializer):
    """What the answers' tokens were."""

    accepted_prediction_tokens = serializers.IntegerField(
        required=False, help_text="Of the prediction, those that are in the answer."
    )
    audio_tokens = serializers.IntegerField(required=False, help_text="Tokens of sound.")
    reasoning_tokens = serializers.IntegerField(required=False, help_text="Tokens that the model thought.")
    rejected_prediction_tokens = serializers.IntegerField(
        required=False, help_text="Of the prediction, those that are not in the answer."
    )


class PromptTokensDetailsSerializer(StrictSerializer):
    """What the prompt's tokens were."""

    audio_tokens = serializers.IntegerField(required=False, help_text="Tokens of sound.")
    cached_tokens = serializers.IntegerField(
        required=False, help_text="Tokens that the model's server had read before."
    )
    image_text_tokens = serializers.IntegerField(
        required=False, help_text="Tokens of texts that stood for pictures, which the model does not see."
    )
    transcript_tokens = serializers.IntegerField(
        required=False, help_text="Tokens of texts that stood for sounds, which the model does not hear."
    )


class UsageSerializer(StrictSerializer):
    """How many tokens were used: as the model's server counts them, or estimated where it tells nothing."""

    completion_tokens = serializers.IntegerField(
        required=False, help_text="Tokens of all that it made, reasoning and sound among them."
    )
    prompt_tokens = serializers.IntegerField(required=False, help_text="Tokens of all that the model read.")
    total_tokens = serializers.IntegerField(required=False, help_text="Both together.")
    completion_tokens_details = CompletionTokensDetailsSerializer(
        required=False, help_text="What the answers' tokens were."
    )
    prompt_tokens_details = PromptTokensDetailsSerializer(
        required=False, help_text="What the sent tokens were."
    )
