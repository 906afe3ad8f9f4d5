"""Conversations as OpenAI's Conversations API shows them, with our own members beside."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.fields import empty

from accounts.ownership import Visibility
from accounts.permissions import Permission
from accounts.principal import Principal
from conversations.api.examples import (
    CHANGED_CONVERSATION,
    DELETED_CONVERSATION,
    NEW_CONVERSATION,
    SHOWN_CONVERSATION,
)
from conversations.api.item_input import MAX_ITEMS, NewItemField
from conversations.lists import running_completions
from conversations.models import TITLE_LENGTH, Completion, Conversation
from core.http.serializers import (
    ConstantField,
    DeletedField,
    OptionalTextField,
    PublicIdField,
    TimestampField,
    UsdStringField,
)
from core.ids import COMPLETION, CONVERSATION, MESSAGE, format_id
from core.validation import exceptions
from core.validation.fields import (
    BooleanField,
    EnumField,
    ListField,
    StrictSerializer,
    StringField,
)
from core.validation.metadata import MetadataField, TagsField

MAX_IDS = 100
USER_LENGTH = 256
"""As in calls."""


class RunningCompletionField(serializers.CharField):
    """The newest answer in progress; the context's `running` has them by conversation."""

    def get_attribute(self, instance: Conversation) -> str | None:
        found: UUID | None = self.context["running"].get(instance.pk)
        return None if found is None else format_id(COMPLETION, found)


class LastCompletionField(serializers.CharField):
    """What the completion that answered last says under this field's name."""

    def get_attribute(self, instance: Conversation) -> str | None:
        last = instance.last_completion
        if last is None or last.conversation_id is None:  # none yet, or it was deleted
            return None
        found: str = getattr(last, self.field_name or "")
        return found


@extend_schema_field(serializers.ChoiceField(Completion.State.values, allow_null=True))
class LastStateField(LastCompletionField):
    """The state of the completion that answered last."""


@extend_schema_serializer(examples=[SHOWN_CONVERSATION])
class ConversationSerializer(serializers.Serializer[Conversation]):
    """A conversation, with what lists show of it. Its messages are its items."""

    # the context holds `running`, and whether costs are shown: see `conversation_shower`

    id = PublicIdField(CONVERSATION, help_text="Its id, `conv_…`.")
    object = ConstantField("conversation")
    created_at = TimestampField(help_text="When it was made, in seconds since the epoch.")
    updated_at = TimestampField(help_text="When it, or what is said in it, was changed last.")
    deleted_at = TimestampField(allow_null=True, help_text="Since when it is deleted; it can be restored.")
    metadata = serializers.DictField(child=serializers.CharField(), help_text="Pairs of the client's own.")
    tags = serializers.ListField(child=serializers.CharField(), help_text="By which it is found: `?tag=`.")
    title = OptionalTextField(help_text="Of the client, of a model, or the first words that were said.")
    pinned = serializers.BooleanField(help_text="Whether it is kept on top; the order of lists stays.")
    archived = serializers.BooleanField(help_text="Whether lists leave it out unless asked.")
    user = OptionalTextField(source="end_user", help_text="The end user whom it was made for.")
    visibility = serializers.ChoiceField(Visibility.values, help_text="`workspace`: all members see it.")
    head_id = PublicIdField(
        MESSAGE, allow_null=True, help_text="The last message of the branch that is shown."
    )
    message_count = serializers.IntegerField(help_text="Messages of all branches, without deleted ones.")
    preview = OptionalTextField(help_text="The first words of the answer that ended last.")
    model = LastCompletionField(allow_null=True, help_text="Which model was asked last.")
    state = LastStateField(allow_null=True, help_text="How far the last answer is.")
    running_completion_id = RunningCompletionField(
        allow_null=True, help_text="The newest answer that is being made: it can be read along and cancelled."
    )
    cost_usd = UsdStringField(
        source="cost",
        required=False,
        help_text="What its answers cost, deleted ones too; only for who may see usage.",
    )

    def to_representation(self, instance: Conversation) -> dict[str, Any]:
        shown = super().to_representation(instance)
        if not self.context["shows_cost"]:
            del shown["cost_usd"]
        return shown


def conversation_shower(who: Principal, conversations: Sequence[Conversation]) -> ConversationSerializer:
    """Return what shows these conversations to the caller; one query finds what is being answered in them."""
    return ConversationSerializer(
        context={"running": running_completions(conversations), "shows_cost": who.may(Permission.USAGE)}
    )


@extend_schema_serializer(examples=[DELETED_CONVERSATION])
class ConversationDeletedSerializer(serializers.Serializer[Conversation]):
    """A conversation that was deleted. It can be restored unless that was permanent."""

    id = PublicIdField(CONVERSATION, help_text="Its id, `conv_…`.")
    object = ConstantField("conversation.deleted")
    deleted = DeletedField()


class ConversationFieldsSerializer(StrictSerializer):
    keeps_null = True

    title = StringField(
        max_length=TITLE_LENGTH,
        required=False,
        allow_null=True,
        help_text="Null or empty: automatic, from the next words that are said.",
    )
    metadata = MetadataField(
        required=False, allow_null=True, help_text="At most 16 pairs; they replace those that are there."
    )
    tags = TagsField(required=False, allow_null=True, help_text="They replace those that are there.")
    pinned = BooleanField(required=False, help_text="Whether to keep it on top.")
    archived = BooleanField(required=False, help_text="Whether lists leave it out.")

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        if type(data) is dict:
            for name, field in self.fields.items():
                if name in data and data[name] is None and not field.allow_null:
                    raise exceptions.wrong_type("a value", None).at(name)
        return super().run_validation(data)


@extend_schema_serializer(examples=[NEW_CONVERSATION])
class NewConversationSerializer(ConversationFieldsSerializer):
    """What a new conversation is to be. All of it may be left out."""

    user = StringField(
        max_length=USER_LENGTH,
        required=False,
        allow_null=True,
        help_text="The end user whom it is for; with an end-user token that one, and no other.",
    )
    items = ListField(
        child=NewItemField(),
        max_length=MAX_ITEMS,
        required=False,
        allow_null=True,
        help_text="Its first items, as for `POST /v1/conversations/{conversation_id}/items`.",
    )


@extend_schema_serializer(examples=[CHANGED_CONVERSATION])
class ConversationChangesSerializer(ConversationFieldsSerializer):
    """What is to change of a conversation; what is left out stays."""

    head = StringField(
        required=False, help_text="An item of this conversation: the branch up to its message is shown."
    )
    visibility = EnumField(Visibility.values, required=False, help_text="Whether all members see it.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            names = ", ".join(f"'{name}'" for name in self.fields)
            raise exceptions.InvalidField(
                "missing_required_parameter", f"There is nothing to change. Send at least one of {names}."
            )
        return attrs


class BulkSerializer(StrictSerializer):
    """What to do with which conversations."""

    ids = ListField(
        child=StringField(), min_length=1, max_length=MAX_IDS, help_text="Conversations; one twice is fine."
    )
    action = EnumField(("pin", "unpin", "archive", "unarchive", "delete", "restore"), help_text="What to do.")
    permanently = BooleanField(required=False, help_text="Only to delete: they cannot be restored then.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("permanently") and attrs["action"] != "delete":
            raise exceptions.wrong_value("only 'delete' can be permanent").at("permanently")
        return attrs
