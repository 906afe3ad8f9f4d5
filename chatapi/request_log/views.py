"""`GET /v1/requests/{id}`: what became of a call."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.permissions import Permission
from chatapi.request_log.selectors import get_request
from chatapi.request_log.serializers import RequestSerializer
from core.http.openapi import error_responses, path_id
from core.http.query_parameters import NO_PARAMETERS
from core.http.views import ApiView


@extend_schema(parameters=[path_id("request_id", "The `x-request-id` of the call's response: `req_…`.")])
class RequestView(ApiView):
    permissions: ClassVar = {"GET": Permission.HISTORY_READ}

    @extend_schema(
        operation_id="getRequest",
        summary="What became of a call, by the `x-request-id` of its response",
        description="Also of one that was refused, once it has ended. A key sees the calls of all keys of "
        "the workspace, an end-user token those of its end user, a session its own, and those of keys "
        "if it may see what they made. It says nothing of what was said, and is kept for some days.",
        tags=["requests"],
        responses={200: RequestSerializer} | error_responses(400, 401, 403, 404),
    )
    def get(self, request: Request, request_id: str) -> Response:
        NO_PARAMETERS.check(request.query_params)
        who = principal_of(request)
        # a token's page is told nothing of the server's key
        shown = RequestSerializer(get_request(who, request_id), context={"shows_key": who.token_id is None})
        return Response(shown.data)
