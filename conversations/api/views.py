"""The history API: conversations and their items."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import workspace_id_of
from conversations import selectors
from conversations.api.serializers import (
    ConversationDeletedSerializer,
    ConversationSerializer,
    ItemSerializer,
)
from conversations.deletion import delete_conversations
from conversations.models import Conversation
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.views import ApiView

PAGES = PageParameters()


class ConversationListView(ApiView):
    @extend_schema(
        operation_id="listConversations",
        summary="The workspace's conversations, newest first",
        tags=["history"],
        parameters=PAGES.documentation,
        responses={200: page_serializer(ConversationSerializer)} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        page = selectors.conversation_page(workspace_id_of(request), PAGES.parse(request.query_params))
        return Response(page_body(page, ConversationSerializer()))


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
        parameters=PAGES.documentation,
        responses={200: page_serializer(ItemSerializer)} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        requested_page = PAGES.parse(request.query_params)
        workspace_id = workspace_id_of(request)
        conversation = selectors.get_conversation(workspace_id, conversation_id)
        page = selectors.item_page(conversation, requested_page)
        files = selectors.files_of(workspace_id, conversation.id, page.items)
        return Response(page_body(page, ItemSerializer(context={"files": files})))
