"""A stored completion: the OpenAI object, and beside it the completion's state, conversation and error."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from chatapi.completions.schemas.content_parts import DETAILS
from chatapi.completions.schemas.examples import CANCELLED, CHANGED, DELETED, STORED
from chatapi.completions.schemas.native_responses import AudioSerializer
from chatapi.completions.schemas.openai_responses import (
    OpenAIChatCompletionResponseSerializer,
    OpenAIChoiceSerializer,
    OpenAIResponseMessageSerializer,
)
from chatapi.completions.schemas.tools import ToolCallSerializer
from conversations.api.feedback_serializers import FeedbackSerializer
from conversations.api.media_presenter import AssetReferenceSerializer
from conversations.api.usage_serializers import UsageSerializer
from conversations.models import Completion, Message
from core.http.serializers import ConstantField, DeletedField, ErrorDetailSerializer, PublicIdField
from core.ids import COMPLETION, CONVERSATION
from core.validation.fields import StrictSerializer
from core.validation.metadata import MetadataField
from media.api.serializers import RenditionSerializer


class StoredAudioSerializer(AudioSerializer):
    """A spoken answer, with where it can be heard."""

    asset = AssetReferenceSerializer(required=False, help_text="The sound as it was stored; not in lists.")
    renditions = RenditionSerializer(
        many=True, required=False, help_text="What was made of it for players; not in lists."
    )


class StoredMessageSerializer(OpenAIResponseMessageSerializer):
    """What was answered."""

    audio = StoredAudioSerializer(required=False, help_text="In lists its `data` is empty.")


class StoredChoiceSerializer(OpenAIChoiceSerializer):
    """One of the answers."""

    message = StoredMessageSerializer(help_text="What was answered.")


@extend_schema_serializer(examples=[STORED])
class StoredCompletionSerializer(OpenAIChatCompletionResponseSerializer):
    """As it was answered, or as far as it came; `error` is there where it failed."""

    choices = StoredChoiceSerializer(many=True, help_text="The answers that were not deleted.")
    state = serializers.ChoiceField(
        Completion.State.values, help_text="How it ended, or that it is still being made."
    )
    conversation_id = PublicIdField(CONVERSATION, help_text="The conversation that it belongs to.")
    error = ErrorDetailSerializer(required=False, help_text="Why it failed.")
    feedback = FeedbackSerializer(many=True, help_text="What the caller may see of what was said of it.")


@extend_schema_serializer(examples=[CHANGED])
class CompletionChangesSerializer(StrictSerializer):
    """A completion's new metadata."""

    keeps_null = True

    metadata = MetadataField(
        allow_null=True,
        help_text="Replaces what was there: at most 16 pairs, keys up to 64 characters, values up to 512. "
        "Null empties it.",
    )

    def run_validation(self, data: Any = serializers.empty) -> dict[str, Any]:
        if type(data) is dict and data.get("metadata", ...) is None:
            return {"metadata": None}
        return super().run_validation(data)


@extend_schema_serializer(examples=[DELETED])
class CompletionDeletedSerializer(serializers.Serializer[Completion]):
    """A completion whose answers were deleted."""

    object = ConstantField("chat.completion.deleted")
    id = PublicIdField(COMPLETION, help_text="The completion that was deleted.")
    deleted = DeletedField()


@extend_schema_serializer(examples=[CANCELLED])
class CancelledCompletionSerializer(serializers.Serializer[Any]):
    """A stored completion; of one that is not stored, no more than that there was one, and what it used."""

    id = serializers.CharField(allow_null=True, help_text="Null if the call was not admitted yet.")
    object = ConstantField("chat.completion")
    created = serializers.IntegerField(required=False, help_text="Seconds since the epoch.")
    model = serializers.CharField(required=False, help_text="As the call named it.")
    state = serializers.ChoiceField(
        Completion.State.values, help_text="`cancelled`, or how it had ended before."
    )
    usage = UsageSerializer(required=False, help_text="What is billed.")
    choices = StoredChoiceSerializer(many=True, required=False, help_text="What had been written.")
    metadata = serializers.DictField(child=serializers.CharField(), required=False, help_text="The call's.")
    service_tier = serializers.CharField(required=False, help_text="The call's.")
    conversation_id = PublicIdField(CONVERSATION, required=False, help_text="Where it is stored.")
    error = ErrorDetailSerializer(required=False, help_text="Why it failed, if it had failed before.")
    feedback = FeedbackSerializer(many=True, required=False, help_text="What was said of it.")


class StoreMessagePictureSerializer(serializers.Serializer[Any]):
    """Where a picture of a message is."""

    url = serializers.CharField(help_text="Where it is; the address may expire.")
    detail = serializers.ChoiceField(DETAILS, help_text="How closely the model looked.")


class StoreMessagePartSerializer(serializers.Serializer[Any]):
    """A text or a picture of a message."""

    type = serializers.ChoiceField(["text", "image_url"], help_text="What it is.")
    text = serializers.CharField(required=False, help_text="Of a text.")
    image_url = StoreMessagePictureSerializer(required=False, help_text="Of a picture.")


class StoreMessageSerializer(serializers.Serializer[Message]):
    """A message that was answered, of any role. Sounds and files are shown with the conversation's items."""

    id = serializers.CharField(help_text="The message's id.")
    role = serializers.ChoiceField(Message.Role.values, help_text="Whose message it is.")
    content = serializers.CharField(allow_null=True, help_text="Its text.")
    refusal = serializers.CharField(allow_null=True, help_text="Of an answer: why there was none.")
    content_parts = StoreMessagePartSerializer(
        many=True, allow_null=True, help_text="Its texts and pictures, if it is more than one text."
    )
    name = serializers.CharField(allow_null=True, help_text="Its author's name, if it was sent.")
    tool_calls = ToolCallSerializer(many=True, allow_null=True, help_text="Of an answer: its calls.")
    tool_call_id = serializers.CharField(allow_null=True, help_text="Of a tool's result: the call.")
    audio = AudioSerializer(allow_null=True, help_text="Of a spoken answer, without its `data`.")
