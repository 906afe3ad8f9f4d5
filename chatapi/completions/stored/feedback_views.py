"""The view of feedback on an answer."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.permissions import Permission
from conversations import selectors
from conversations.api.examples import SHOWN_FEEDBACK, SHOWN_FEEDBACKS
from conversations.api.feedback_serializers import FeedbackChangesSerializer, FeedbackSerializer
from conversations.api.path_parameters import names_completion
from conversations.feedback import FEEDBACK_NAMES, feedback_of, give_feedback
from core.http.openapi import error_responses
from core.http.pagination import list_body, list_serializer
from core.http.query_parameters import NO_PARAMETERS
from core.http.views import ApiView
from core.validation.request_body import read_body

EXAMPLE = OpenApiExample(
    "A thumb down, and why",
    value={"thumbs": "down", "comment": "The second city is in Sweden.", "category": "wrong"},
    request_only=True,
)


@names_completion
class FeedbackView(ApiView):
    permissions: ClassVar = {"GET": Permission.HISTORY_READ, "POST": Permission.HISTORY_WRITE}

    @extend_schema(
        operation_id="listChatCompletionFeedback",
        summary="What was said of a completion's answers",
        description="All that the caller may see: with an end-user token, that end user's own.",
        tags=["history"],
        examples=[SHOWN_FEEDBACKS],
        responses={200: list_serializer(FeedbackSerializer)} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, completion_id: str) -> Response:
        NO_PARAMETERS.check(request.query_params)
        who = principal_of(request)
        completion = selectors.get_completion(who, completion_id, with_answers=False)
        found = feedback_of(who, [completion]).get(completion.pk, ())
        return Response(list_body(map(FeedbackSerializer().to_representation, found)))

    @extend_schema(
        operation_id="giveChatCompletionFeedback",
        summary="Say what an answer was like, or change what was said",
        description="Sent again, only what is sent changes; null takes it back. A member says it for "
        "themselves, an end user with their token, and a server's key for the end user of the conversation, "
        "or for itself where there is none.",
        tags=["history"],
        request=FeedbackChangesSerializer,
        examples=[EXAMPLE, SHOWN_FEEDBACK],
        responses={200: FeedbackSerializer} | error_responses(400, 401, 403, 404),
    )
    def post(self, request: Request, completion_id: str) -> Response:
        who = principal_of(request)
        completion = selectors.get_completion(who, completion_id, with_answers=False)
        body = read_body(request, FeedbackChangesSerializer)
        said = {name: body[name] for name in FEEDBACK_NAMES if name in body}
        given = give_feedback(who, completion, said, choice=body.get("choice", 0))
        return Response(FeedbackSerializer(given).data)
