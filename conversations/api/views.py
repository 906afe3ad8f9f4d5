"""The history API: conversations."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.permissions import Permission
from conversations import selectors
from conversations.api.serializers import (
    ConversationChangesSerializer,
    ConversationDeletedSerializer,
    ConversationSerializer,
)
from conversations.deletion import delete_conversations
from conversations.models import Conversation
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.views import ApiView
from core.validation.request_body import read_body

PAGES = PageParameters()


class ConversationListView(ApiView):
    permissions: ClassVar = {"GET": Permission.HISTORY_READ}

    @extend_schema(
        operation_id="listConversations",
        summary="The conversations that the caller sees, newest first",
        tags=["history"],
        parameters=PAGES.documentation,
        responses={200: page_serializer(ConversationSerializer)} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        page = selectors.conversation_page(principal_of(request), PAGES.parse(request.query_params))
        return Response(page_body(page, ConversationSerializer()))


class ConversationView(ApiView):
    permissions: ClassVar = {
        "GET": Permission.HISTORY_READ,
        "POST": Permission.HISTORY_WRITE,
        "DELETE": Permission.HISTORY_WRITE,
    }

    @extend_schema(
        operation_id="getConversation",
        summary="A conversation",
        tags=["history"],
        responses={200: ConversationSerializer} | error_responses(401, 404),
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        conversation = selectors.get_conversation(principal_of(request), conversation_id)
        return Response(ConversationSerializer(conversation).data)

    @extend_schema(
        operation_id="updateConversation",
        summary="Share a conversation with the workspace, or stop sharing it",
        tags=["history"],
        request=ConversationChangesSerializer,
        responses={200: ConversationSerializer} | error_responses(400, 401, 403, 404),
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        conversation = selectors.get_conversation(principal_of(request), conversation_id)
        changes = read_body(request, ConversationChangesSerializer)
        conversation.share(principal_of(request), changes["visibility"])
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
        who = principal_of(request)
        conversation = selectors.get_conversation(who, conversation_id)
        conversation.require_writable(who)
        delete_conversations(Conversation.objects.filter(workspace_id=who.workspace_id, id=conversation.id))
        return Response(ConversationDeletedSerializer(conversation).data)
