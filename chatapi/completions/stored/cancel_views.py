"""Views that cancel an answer that is being made: by its id, or by the key that its call was sent with."""

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.permissions import Permission
from accounts.principal import Principal
from chatapi.completions.idempotency_keys import check_idempotency_key
from chatapi.completions.schemas.stored_completion import CancelledCompletionSerializer
from chatapi.completions.stored.presenters import show_outline, show_whole
from chatapi.completions.stored.views import READING_ONLY
from conversations import selectors
from conversations.api.path_parameters import names_completion
from conversations.api.running_service import running_answers
from conversations.completion_selectors import completion_by_key, get_unstored_completion
from conversations.models import Completion
from conversations.running_answers import RunningAnswers
from conversations.stored_run import owned_idempotency_key
from core.exceptions import BadRequest, Conflict, NotFound, ServiceUnavailable
from core.http.openapi import error_responses
from core.http.serializers import ErrorSerializer
from core.http.views import ApiView

IDEMPOTENCY_KEY = "Idempotency-Key"
MADE_ELSEWHERE = {409: OpenApiResponse(ErrorSerializer, "Another process makes this answer")}
OF_UNSTORED = (
    f"{READING_ONLY} Of what was asked for with `store: false` only its state is shown, and what it used."
)
NOT_ADMITTED = {"id": None, "object": "chat.completion", "state": Completion.State.CANCELLED}


@names_completion
class CompletionCancelView(ApiView):
    permissions: ClassVar = {"POST": Permission.COMPLETIONS}

    @extend_schema(
        operation_id="cancelChatCompletion",
        summary="Stop an answer that is being made; one that has ended stays as it is",
        description=OF_UNSTORED,
        tags=["history"],
        request=None,
        responses={200: CancelledCompletionSerializer} | MADE_ELSEWHERE | error_responses(401, 403, 404),
    )
    def post(self, request: Request, completion_id: str) -> Response:
        who = principal_of(request)
        return Response(_cancel(request, who, _find(who, completion_id)))


class CallCancelView(ApiView):
    permissions: ClassVar = {"POST": Permission.COMPLETIONS}

    @extend_schema(
        operation_id="cancelChatCompletionByKey",
        summary="Stop the answer to the call that was sent with an idempotency key",
        description="Before its first word as well as after it, and on both paths. While what the call "
        "carries is still being fetched or looked at, there is no completion yet: then the `id` is null, "
        "nothing is stored or billed, and the call is refused with the code `cancelled`. "
        f"An answer that has ended stays as it is. {OF_UNSTORED}",
        tags=["history"],
        parameters=[
            OpenApiParameter(
                IDEMPOTENCY_KEY,
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                required=True,
                description="The one that the call was sent with, by the same caller.",
            )
        ],
        request=None,
        responses={200: CancelledCompletionSerializer} | MADE_ELSEWHERE | error_responses(400, 401, 404),
    )
    def post(self, request: Request) -> Response:
        who = principal_of(request)
        sent = request.headers.get(IDEMPOTENCY_KEY)
        if not sent:
            raise BadRequest(
                f"Name the call to cancel: send the header {IDEMPOTENCY_KEY} that it was sent with.",
                param=IDEMPOTENCY_KEY,
                code="missing_required_parameter",
            )
        key = owned_idempotency_key(who, check_idempotency_key(sent, param=IDEMPOTENCY_KEY))
        # first those that are starting: whatever is admitted meanwhile has a completion after that
        was_starting = _service(request).cancel_starting_from_thread(who.workspace_id, key)
        completion = completion_by_key(who, key)
        if completion is not None:
            return Response(_cancel(request, who, completion))
        if was_starting:
            return Response(NOT_ADMITTED)
        raise NotFound("No answer is being made to a call with this idempotency key.", param=IDEMPOTENCY_KEY)


def _find(who: Principal, completion_id: str) -> Completion:
    """Return a completion that the caller may cancel. Raises `NotFound`, or `Forbidden` if it is shared."""
    try:
        completion = selectors.get_completion(who, completion_id)
    except NotFound:
        return get_unstored_completion(who, completion_id)
    completion.stored_conversation.require_writable(who)
    return completion


def _cancel(request: Request, who: Principal, completion: Completion) -> dict[str, Any]:
    """Cancel it, and show it whole only if the caller sees it; else no more than how it ended."""
    _service(request).cancel_from_thread(completion.pk)
    try:
        stopped, is_seen = selectors.get_completion(who, completion.public_id), True
    except NotFound:  # it is not stored, was deleted with its conversation, or is not the caller's to read
        rows = Completion.objects.defer("request").filter(pk=completion.pk)
        stopped, is_seen = rows.first() or completion, False
    if stopped.state == Completion.State.IN_PROGRESS:
        raise Conflict("Another process makes this answer.", code="made_elsewhere")
    return show_whole(request, stopped) if is_seen else show_outline(stopped)


def _service(request: Request) -> RunningAnswers:
    """Return the service. Raises `ServiceUnavailable` where Django is asked without it."""
    service = running_answers(request)
    if service is None:
        raise ServiceUnavailable("Answers cannot be cancelled here. Ask the service itself.")
    return service
