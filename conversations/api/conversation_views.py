"""Conversations over HTTP: list, make, read, change, delete and restore them."""

from collections.abc import Sequence
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.permissions import Permission
from accounts.principal import Principal
from conversations import services
from conversations.api.conversation_parameters import (
    PAGES,
    PERMANENTLY,
    parse_filters,
    parse_order_by,
    parse_permanently,
)
from conversations.api.conversation_serializers import (
    ConversationChangesSerializer,
    ConversationDeletedSerializer,
    ConversationSerializer,
    NewConversationSerializer,
    conversation_shower,
)
from conversations.api.examples import SHOWN_CONVERSATIONS
from conversations.api.item_reader import read_items
from conversations.api.path_parameters import names_conversation
from conversations.api.running_service import write_messages
from conversations.item_changes import NewMessages
from conversations.lists import conversation_page, get_shown_conversation
from conversations.models import Conversation
from conversations.services import NamedConversations
from core.http.openapi import error_responses
from core.http.pagination import CursorPageSerializer, page_body, page_serializer
from core.http.query_parameters import NO_PARAMETERS
from core.http.views import ApiView
from core.validation.request_body import read_body
from engines.messages import Message
from media.services import StoredFile

TAGS = ["history"]
CHANGES = (
    "What is not named stays as it is, whatever others change meanwhile. With an end-user token `visibility` "
    "is refused."
)


def _answer(who: Principal, conversation: Conversation) -> Response:
    return Response(conversation_shower(who, [conversation]).to_representation(conversation))


class ConversationListView(ApiView):
    permissions: ClassVar = {"GET": Permission.HISTORY_READ, "POST": Permission.HISTORY_WRITE}

    @extend_schema(
        operation_id="listConversations",
        summary="The conversations that the caller sees, the one that was updated last first",
        description="Give `next_cursor` as `after`, and no page repeats a row, though rows move meanwhile. "
        "An id is taken as well: then the page follows where that conversation is now. A cursor belongs to "
        "its list: with other filters or another order it is refused.",
        tags=TAGS,
        parameters=PAGES.documentation,
        examples=[SHOWN_CONVERSATIONS],
        responses={200: page_serializer(ConversationSerializer, CursorPageSerializer)}
        | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        query, who = request.query_params, principal_of(request)
        page = conversation_page(who, PAGES.parse(query), parse_filters(query), parse_order_by(query))
        return Response(page_body(page, conversation_shower(who, page.items)))

    @extend_schema(
        operation_id="createConversation",
        summary="Make a conversation",
        description="A call continues it by `context.conversation_id`. A call that names none makes its own, "
        "or continues the one whose messages it repeats.",
        tags=TAGS,
        request=NewConversationSerializer,
        responses={200: ConversationSerializer} | error_responses(400, 401, 403, 404, 413),
    )
    def post(self, request: Request) -> Response:
        who, values = principal_of(request), read_body(request, NewConversationSerializer)
        if not values.get("items"):
            return _answer(who, services.create_conversation(who, values))
        new = read_items(values["items"])

        def create(messages: Sequence[Message], files: Sequence[StoredFile]) -> Conversation:
            first = NewMessages(messages, files, positions=new.positions)
            return services.create_conversation(who, values, first)

        return _answer(who, write_messages(request, new, create))


@names_conversation
class ConversationView(ApiView):
    permissions: ClassVar = {
        "GET": Permission.HISTORY_READ,
        "POST": Permission.HISTORY_WRITE,
        "PATCH": Permission.HISTORY_WRITE,
        "DELETE": Permission.HISTORY_WRITE,
    }

    @extend_schema(
        operation_id="getConversation",
        summary="A conversation",
        tags=TAGS,
        responses={200: ConversationSerializer} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        NO_PARAMETERS.check(request.query_params)
        who = principal_of(request)
        return _answer(who, get_shown_conversation(who, conversation_id))

    @extend_schema(
        operation_id="updateConversation",
        summary="Change a conversation: title, metadata, tags, pinned, archived, branch, visibility",
        description=CHANGES,
        tags=TAGS,
        request=ConversationChangesSerializer,
        responses={200: ConversationSerializer} | error_responses(400, 401, 403, 404),
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        who, changes = principal_of(request), read_body(request, ConversationChangesSerializer)
        return _answer(who, services.change_conversation(who, conversation_id, changes))

    @extend_schema(
        operation_id="patchConversation",
        summary="The same as POST",
        description=CHANGES,
        tags=TAGS,
        request=ConversationChangesSerializer,
        responses={200: ConversationSerializer} | error_responses(400, 401, 403, 404),
    )
    def patch(self, request: Request, conversation_id: str) -> Response:
        return self.post(request, conversation_id)

    @extend_schema(
        operation_id="deleteConversation",
        summary="Delete a conversation with its messages and completions",
        description="For some days (30, unless the operator says otherwise) it can be restored. With "
        "`permanently=true` it cannot, and one that was deleted before is gone for good; that is refused "
        "with 409 `in_progress` while an answer is being made. Files that nothing else holds are freed then, "
        "an hour after they came at the earliest. Without it, an answer that is being made is still stored.",
        tags=TAGS,
        parameters=PERMANENTLY.documentation,
        responses={200: ConversationDeletedSerializer} | error_responses(400, 401, 403, 404, 409),
    )
    def delete(self, request: Request, conversation_id: str) -> Response:
        who, permanently = principal_of(request), parse_permanently(request.query_params)
        named = NamedConversations((conversation_id,))
        [conversation] = services.delete(who, named, permanently=permanently)
        return Response(ConversationDeletedSerializer(conversation).data)


@names_conversation
class ConversationRestoreView(ApiView):
    permissions: ClassVar = {"POST": Permission.HISTORY_WRITE}

    @extend_schema(
        operation_id="restoreConversation",
        summary="Bring a deleted conversation back",
        description="One that is not deleted stays as it is.",
        tags=TAGS,
        request=None,
        responses={200: ConversationSerializer} | error_responses(401, 403, 404),
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        who = principal_of(request)
        [conversation] = services.restore(who, NamedConversations((conversation_id,)))
        return _answer(who, conversation)
