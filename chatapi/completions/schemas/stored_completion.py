"""A stored completion: the OpenAI object, and beside it the completion's state, conversation and error."""

from rest_framework import serializers

from chatapi.completions.schemas.native_responses import AudioSerializer
from chatapi.completions.schemas.openai_responses import (
    OpenAIChatCompletionResponseSerializer,
    OpenAIChoiceSerializer,
    OpenAIResponseMessageSerializer,
)
from conversations.api.media_presenter import AssetReferenceSerializer
from conversations.models import Completion
from core.http.serializers import ErrorDetailSerializer, PublicIdField
from core.ids import CONVERSATION
from media.api.serializers import RenditionSerializer


class StoredAudioSerializer(AudioSerializer):
    asset = AssetReferenceSerializer(required=False)
    renditions = RenditionSerializer(many=True, required=False)


class StoredMessageSerializer(OpenAIResponseMessageSerializer):
    audio = StoredAudioSerializer(required=False)


class StoredChoiceSerializer(OpenAIChoiceSerializer):
    message = StoredMessageSerializer()


class StoredCompletionSerializer(OpenAIChatCompletionResponseSerializer):
    """As it was answered, or as far as it came; `error` is there where it failed."""

    choices = StoredChoiceSerializer(many=True)
    state = serializers.ChoiceField(Completion.State.values)
    conversation_id = PublicIdField(CONVERSATION)
    error = ErrorDetailSerializer(required=False)
