"""The history API: a completion as it was answered, conversations, and their items."""

from collections.abc import Mapping
from typing import Any

import msgspec
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from chatapi.completions.answers import Answer
from chatapi.completions.dialects import DIALECTS
from chatapi.completions.service import SCOPE_KEY, CompletionService
from chatapi.engines.values import SpokenPart
from chatapi.errors import Conflict, envelope
from chatapi.identifiers import CONVERSATION, public
from chatapi.queries import integer, one_of, workspace_of
from chatapi.serializers import refusals
from chatapi.views import ApiView
from conversations import selectors
from conversations.deletion import delete_conversations
from conversations.models import Completion, Conversation
from conversations.selectors import Page, PageRequest
from conversations.serializers import (
    ConversationDeletedSerializer,
    ConversationListSerializer,
    ConversationSerializer,
    ItemListSerializer,
    ItemSerializer,
    StoredCompletionSerializer,
    stored_sound,
)
from media.showing import ShownFile

MAX_LIMIT = 100

PAGE_PARAMETERS = [
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 20}),
    OpenApiParameter("order", enum=["asc", "desc"], default="desc"),
    OpenApiParameter("after", OpenApiTypes.STR, description="The last id of the page before."),
]


class CompletionView(ApiView):
    @extend_schema(
        operation_id="getChatCompletion",
        summary="A completion as answered, with its state",
        tags=["history"],
        responses={200: StoredCompletionSerializer} | refusals(401, 404),
    )
    def get(self, request: Request, completion_id: str) -> Response:
        workspace_id = workspace_of(request)
        completion = selectors.completion_of(workspace_id, completion_id)
        answer = selectors.answer_of(completion)
        shown = stored_completion(completion, answer, selectors.sounds_of(workspace_id, answer))
        _add_stored_sounds(shown, answer, selectors.files_of(workspace_id, completion.answers.all()))
        return Response(shown)


class CompletionCancelView(CompletionView):
    http_method_names = ["post", "options"]

    @extend_schema(
        operation_id="cancelChatCompletion",
        summary="Stop an answer that is being made; one that has ended stays as it is",
        tags=["history"],
        request=None,
        responses={200: StoredCompletionSerializer} | refusals(401, 404, 409),
    )
    def post(self, request: Request, completion_id: str) -> Response:
        completion = selectors.completion_of(workspace_of(request), completion_id)
        service: CompletionService = request._request.scope[SCOPE_KEY]  # type: ignore[attr-defined]
        service.cancel_from_thread(completion.id)
        stopped = self.get(request, completion_id)
        if stopped.data["state"] == Completion.State.IN_PROGRESS:
            raise Conflict("Another process makes this answer.", code="made_elsewhere")
        return stopped


class ConversationListView(ApiView):
    @extend_schema(
        operation_id="listConversations",
        summary="The workspace's conversations, newest first",
        tags=["history"],
        parameters=PAGE_PARAMETERS,
        responses={200: ConversationListSerializer} | refusals(400, 401),
    )
    def get(self, request: Request) -> Response:
        page = selectors.conversation_page(workspace_of(request), page_request(request))
        return Response(page_of(page, ConversationSerializer()))


class ConversationView(ApiView):
    @extend_schema(
        operation_id="getConversation",
        summary="A conversation",
        tags=["history"],
        responses={200: ConversationSerializer} | refusals(401, 404),
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        conversation = selectors.conversation_of(workspace_of(request), conversation_id)
        return Response(ConversationSerializer(conversation).data)

    @extend_schema(
        operation_id="deleteConversation",
        summary="Delete a conversation with its messages and completions",
        description="Files that nothing else holds are freed within minutes, but an hour after they came at "
        "the earliest. An answer that is being made still reaches its client, and is not stored.",
        tags=["history"],
        responses={200: ConversationDeletedSerializer} | refusals(401, 403, 404),
    )
    def delete(self, request: Request, conversation_id: str) -> Response:
        workspace_id = workspace_of(request)
        conversation = selectors.conversation_of(workspace_id, conversation_id)
        delete_conversations(Conversation.objects.filter(workspace_id=workspace_id, id=conversation.id))
        return Response(ConversationDeletedSerializer(conversation).data)


class ItemListView(ApiView):
    @extend_schema(
        operation_id="listConversationItems",
        summary="A conversation's messages, newest first, of all its branches",
        tags=["history"],
        parameters=PAGE_PARAMETERS,
        responses={200: ItemListSerializer} | refusals(400, 401, 404),
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        page_asked = page_request(request)
        workspace_id = workspace_of(request)
        conversation = selectors.conversation_of(workspace_id, conversation_id)
        page = selectors.item_page(conversation, page_asked)
        files = selectors.files_of(workspace_id, page.rows)
        return Response(page_of(page, ItemSerializer(context={"files": files})))


def page_request(request: Request) -> PageRequest:
    query = request.query_params
    order = one_of(query, "order", ("asc", "desc"), "desc")
    limit = integer(query, "limit", least=1, most=MAX_LIMIT, default=20)
    return PageRequest(limit, order == "desc", query.get("after"))


def page_of(page: Page[Any], serializer: Serializer[Any]) -> dict[str, Any]:
    rows = page.rows
    return {
        "object": "list",
        "data": [serializer.to_representation(row) for row in rows],
        "first_id": rows[0].public_id if rows else None,
        "last_id": rows[-1].public_id if rows else None,
        "has_more": page.has_more,
    }


def stored_completion(completion: Completion, answer: Answer, sounds: dict[str, bytes]) -> dict[str, Any]:
    """The OpenAI object, and beside it what became of the completion."""
    shown: dict[str, Any] = msgspec.to_builtins(DIALECTS["openai"].render(answer, sounds))
    failure = selectors.failure_of(completion)
    if failure is not None:
        shown |= envelope(failure.message, failure.type, failure.param, failure.code)
    return shown | {
        "state": completion.state,
        "metadata": answer.metadata,
        "conversation_id": public(CONVERSATION, completion.conversation_id),
    }


def _add_stored_sounds(shown: dict[str, Any], answer: Answer, files: Mapping[str, ShownFile]) -> None:
    for choice, shown_choice in zip(answer.choices, shown["choices"], strict=True):
        for part in choice.message.parts:
            if isinstance(part, SpokenPart):
                shown_choice["message"]["audio"] |= stored_sound(part, files)
