"""The history API: conversations and their items."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from accounts.authentication import workspace_id_of
from conversations import selectors
from conversations.api.serializers import (
    ConversationDeletedSerializer,
    ConversationListSerializer,
    ConversationSerializer,
    ItemListSerializer,
    ItemSerializer,
)
from conversations.deletion import delete_conversations
from conversations.models import Conversation
from conversations.selectors import Page, PageRequest
from core.http.openapi import error_responses
from core.http.query import parse_choice, parse_integer
from core.http.views import ApiView

MAX_LIMIT = 100

PAGE_PARAMETERS = [
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 20}),
    OpenApiParameter("order", enum=["asc", "desc"], default="desc"),
    OpenApiParameter("after", OpenApiTypes.STR, description="The last id of the page before."),
]


class ConversationListView(ApiView):
    @extend_schema(
        operation_id="listConversations",
        summary="The workspace's conversations, newest first",
        tags=["history"],
        parameters=PAGE_PARAMETERS,
        responses={200: ConversationListSerializer} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        page = selectors.conversation_page(workspace_id_of(request), page_request(request))
        return Response(serialize_page(page, ConversationSerializer()))


class ConversationView(ApiView):
    @extend_schema(
        operation_id="getConversation",
        summary="A conversation",
        tags=["history"],
        responses={200: ConversationSerializer} | error_responses(401, 404),
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        conversation = selectors.get_conversation(workspace_id_of(request), conversation_id)
        return Response(ConversationSerializer(conversation).data)

    @extend_schema(
        operation_id="deleteConversation",
        summary="Delete a conversation with its messages and completions",
        description="Files that nothing else holds are freed within minutes, but an hour after they came at "
        "the earliest. An answer that is being made still reaches its client, and is not stored.",
        tags=["history"],
        responses={200: ConversationDeletedSerializer} | error_responses(401, 403, 404),
    )
    def delete(self, request: Request, conversation_id: str) -> Response:
        workspace_id = workspace_id_of(request)
        conversation = selectors.get_conversation(workspace_id, conversation_id)
        delete_conversations(Conversation.objects.filter(workspace_id=workspace_id, id=conversation.id))
        return Response(ConversationDeletedSerializer(conversation).data)


class ItemListView(ApiView):
    @extend_schema(
        operation_id="listConversationItems",
        summary="A conversation's messages, newest first, of all its branches",
        tags=["history"],
        parameters=PAGE_PARAMETERS,
        responses={200: ItemListSerializer} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        requested_page = page_request(request)
        workspace_id = workspace_id_of(request)
        conversation = selectors.get_conversation(workspace_id, conversation_id)
        page = selectors.item_page(conversation, requested_page)
        files = selectors.files_of(workspace_id, page.rows)
        return Response(serialize_page(page, ItemSerializer(context={"files": files})))


def page_request(request: Request) -> PageRequest:
    query = request.query_params
    order = parse_choice(query, "order", ("asc", "desc"), "desc")
    limit = parse_integer(query, "limit", least=1, most=MAX_LIMIT, default=20)
    return PageRequest(limit, order == "desc", query.get("after"))


def serialize_page(page: Page[Any], serializer: Serializer[Any]) -> dict[str, Any]:
    rows = page.rows
    return {
        "object": "list",
        "data": [serializer.to_representation(row) for row in rows],
        "first_id": rows[0].public_id if rows else None,
        "last_id": rows[-1].public_id if rows else None,
        "has_more": page.has_more,
    }
