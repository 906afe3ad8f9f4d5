"""Hits of the search as the API shows them."""

from typing import Any, get_args

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from conversations.api.conversation_serializers import ConversationSerializer
from conversations.api.examples import SHOWN_HIT
from conversations.models import Message
from conversations.search.hits import Hit, Match
from conversations.search.snippets import Piece
from conversations.search.texts import Field
from core.http.pagination import CursorPageSerializer, page_serializer
from core.http.serializers import ConstantField, TimestampField
from core.ids import CONVERSATION, MESSAGE, format_id


class PieceSerializer(serializers.Serializer[Piece]):
    """A piece of the text around a match."""

    text = serializers.CharField(help_text="As it was said; runs of white space are one space.")
    hit = serializers.BooleanField(source="is_hit", help_text="Whether this is what was asked for: mark it.")


class MatchSerializer(serializers.Serializer[Match]):
    """A text that has some of the words."""

    field = serializers.ChoiceField(
        get_args(Field),
        help_text="Where it was found: in the `title`; in what was said (`text`, `reasoning`, `transcript` "
        "of speech); in a `tool_call` (its name and arguments) or a `tool_output`; or in a file: "
        "`picture_text`, `transcript`, `file_name`.",
    )
    item_id = serializers.CharField(
        allow_null=True, help_text="The item that it stands in; null for a title."
    )
    snippet = PieceSerializer(
        many=True, help_text="The words around it, in pieces to be joined. It is text, not HTML: escape it."
    )


@extend_schema_serializer(examples=[SHOWN_HIT])
class SearchHitSerializer(serializers.Serializer[Hit]):
    """A message, or a conversation's title, in which the words were found."""

    # the context holds `conversations`, what shows them

    id = serializers.SerializerMethodField(help_text="The message's id; of a title, the conversation's.")
    object = ConstantField("search.hit")
    message_id = serializers.SerializerMethodField(
        allow_null=True, help_text="The message that it stands in; null for a title."
    )
    role = serializers.SerializerMethodField(
        allow_null=True, help_text="Who said it: `user`, `assistant` or `tool`; null for a title."
    )
    created_at = TimestampField(
        help_text="When the message was stored; of a title, when the conversation was made.",
    )
    conversation = serializers.SerializerMethodField(help_text="Its conversation, as lists show it.")
    matches = MatchSerializer(many=True, help_text="Each text of the message that has some of the words.")

    def get_id(self, hit: Hit) -> str:
        return self.get_message_id(hit) or format_id(CONVERSATION, hit.conversation.pk)

    def get_message_id(self, hit: Hit) -> str | None:
        return None if hit.message is None else format_id(MESSAGE, hit.message.id)

    def get_role(self, hit: Hit) -> str | None:
        return None if hit.message is None else Message.Role(hit.message.role).value

    @extend_schema_field(ConversationSerializer)
    def get_conversation(self, hit: Hit) -> dict[str, Any]:
        shown: dict[str, Any] = self.context["conversations"].to_representation(hit.conversation)
        return shown


class SearchListSerializer(CursorPageSerializer):
    is_complete = serializers.BooleanField(
        help_text="False while so much waits to be indexed that some was not looked at; soon true again."
    )


SearchPageSerializer = page_serializer(SearchHitSerializer, SearchListSerializer)
