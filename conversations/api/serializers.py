"""Conversations as OpenAI's Conversations API shows them."""

from rest_framework import serializers

from accounts.ownership import Visibility
from conversations.models import Conversation
from core.http.serializers import (
    ConstantField,
    DeletedField,
    OptionalTextField,
    PublicIdField,
    TimestampField,
)
from core.ids import CONVERSATION, MESSAGE
from core.validation.fields import EnumField, StrictSerializer


class ConversationSerializer(serializers.Serializer[Conversation]):
    id = PublicIdField(CONVERSATION)
    object = ConstantField("conversation")
    created_at = TimestampField()
    updated_at = TimestampField()
    metadata = serializers.DictField(child=serializers.CharField())
    title = OptionalTextField()
    head_id = PublicIdField(MESSAGE, allow_null=True, help_text="The newest message of the current branch.")
    user = OptionalTextField(source="end_user", help_text="The end user whom it was made for.")
    visibility = serializers.ChoiceField(Visibility.values, help_text="`workspace`: all members see it.")


class ConversationChangesSerializer(StrictSerializer):
    visibility = EnumField(Visibility.values)


class ConversationDeletedSerializer(serializers.Serializer[Conversation]):
    id = PublicIdField(CONVERSATION)
    object = ConstantField("conversation.deleted")
    deleted = DeletedField()
