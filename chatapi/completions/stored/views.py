"""Views of stored completions: the list of them, each with its metadata, and the messages it answered."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.permissions import Permission
from chatapi.completions.schemas.call_documentation import OPENAI_CALL
from chatapi.completions.schemas.examples import ANSWERED_MESSAGES, STORED_PAGE
from chatapi.completions.schemas.stored_completion import (
    CompletionChangesSerializer,
    CompletionDeletedSerializer,
    StoredCompletionSerializer,
    StoreMessageSerializer,
)
from chatapi.completions.stored.list_parameters import (
    MESSAGE_PAGES,
    PAGES,
    parse_filter,
)
from chatapi.completions.stored.presenters import picture_files, show_listed, show_message, show_whole
from conversations import selectors
from conversations.api.path_parameters import names_completion
from conversations.completion_changes import delete_completion, replace_metadata
from conversations.completion_selectors import answered_page, completion_page
from conversations.feedback import feedback_of
from conversations.models import Completion
from core.http.openapi import error_responses
from core.http.pagination import page_body_of, page_serializer
from core.http.query_parameters import NO_PARAMETERS
from core.http.serializers import ErrorSerializer
from core.http.views import ApiView
from core.validation.request_body import read_body

READING_ONLY = "Without the permission `history.read` its `choices` and `feedback` are left out."
BEING_MADE = {409: OpenApiResponse(ErrorSerializer, "The answer is still being made: cancel it first")}


class CompletionListView(ApiView):
    permissions: ClassVar = {"GET": Permission.HISTORY_READ, "POST": Permission.COMPLETIONS}

    @extend_schema(
        operation_id="listChatCompletions",
        summary="The stored completions that the caller sees, oldest first",
        description="Spoken answers are without the bytes of their sounds, and none has its `service_tier`: "
        "both are with the completion itself. What was asked for with `store: false` is in no list.",
        tags=["history"],
        parameters=PAGES.documentation,
        examples=[STORED_PAGE],
        responses={200: page_serializer(StoredCompletionSerializer)} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        who, query = principal_of(request), request.query_params
        requested_page = PAGES.parse(query)
        page = completion_page(who, parse_filter(who, query), requested_page)
        feedback = feedback_of(who, page.items)
        shown = [show_listed(one, feedback.get(one.pk, ())) for one in page.items]
        return Response(page_body_of(shown, has_more=page.has_more))

    @extend_schema(**OPENAI_CALL)
    def post(self, request: Request) -> None:
        """Documents it, and is named in `Allow`; never called: an ASGI endpoint stands before."""


@names_completion
class CompletionView(ApiView):
    permissions: ClassVar = {
        "GET": Permission.HISTORY_READ,
        "POST": Permission.HISTORY_WRITE,
        "DELETE": Permission.HISTORY_WRITE,
    }

    @extend_schema(
        operation_id="getChatCompletion",
        summary="A completion as answered, with its state",
        tags=["history"],
        responses={200: StoredCompletionSerializer} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, completion_id: str) -> Response:
        NO_PARAMETERS.check(request.query_params)
        who = principal_of(request)
        return Response(show_whole(request, selectors.get_completion(who, completion_id)))

    @extend_schema(
        operation_id="updateChatCompletion",
        summary="Replace a completion's metadata",
        description=READING_ONLY,
        tags=["history"],
        request=CompletionChangesSerializer,
        responses={200: StoredCompletionSerializer} | error_responses(400, 401, 403, 404),
    )
    def post(self, request: Request, completion_id: str) -> Response:
        completion = _writable(request, completion_id)
        changes = read_body(request, CompletionChangesSerializer)
        replace_metadata(completion, changes["metadata"] or {})
        return Response(show_whole(request, completion))

    @extend_schema(
        operation_id="deleteChatCompletion",
        summary="Delete what a completion says",
        description="Its answers are emptied, and its metadata and feedback are gone; what it used and cost "
        "is still billed. If its call began the conversation, and nothing else was added to that, the "
        "conversation is deleted with it. Its idempotency key starts no other answer, and does not bring "
        "this one back.",
        tags=["history"],
        responses={200: CompletionDeletedSerializer} | BEING_MADE | error_responses(401, 403, 404),
    )
    def delete(self, request: Request, completion_id: str) -> Response:
        completion = _writable(request, completion_id, with_answers=False)
        delete_completion(completion)
        return Response(CompletionDeletedSerializer(completion).data)


@names_completion
class CompletionMessagesView(ApiView):
    permissions: ClassVar = {"GET": Permission.HISTORY_READ}

    @extend_schema(
        operation_id="listChatCompletionMessages",
        summary="The messages that a completion answered, root first",
        description="All that the model was sent, of whatever role, but for messages deleted since. OpenAI's "
        "SDKs declare the role as `assistant` alone; it is the true one.",
        tags=["history"],
        parameters=MESSAGE_PAGES.documentation,
        examples=[ANSWERED_MESSAGES],
        responses={200: page_serializer(StoreMessageSerializer)} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, completion_id: str) -> Response:
        requested_page = MESSAGE_PAGES.parse(request.query_params)
        completion = selectors.get_completion(principal_of(request), completion_id, with_answers=False)
        page = answered_page(completion, requested_page)
        pictures = picture_files(completion, page.items)
        urls = {sha256: request.build_absolute_uri(file.url) for sha256, file in pictures.items()}
        shown = [show_message(message, urls) for message in page.items]
        return Response(page_body_of(shown, has_more=page.has_more))


def _writable(request: Request, completion_id: str, *, with_answers: bool = True) -> Completion:
    who = principal_of(request)
    completion = selectors.get_completion(who, completion_id, with_answers=with_answers)
    completion.stored_conversation.require_writable(who)
    return completion
