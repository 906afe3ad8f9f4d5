"""The exports of one's own data: asked for, listed and deleted, in a session only."""

from typing import ClassVar

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.views import NO_STORE, SESSION_REQUIRED, require_recent_authentication, user_of
from accounts.permissions import Permission
from accounts.security_events.recording import Kind, record
from chatapi.data_export.exports import delete_export, exports_of, get_export, request_export
from chatapi.data_export.serializers import EXPORT, ExportDeletedSerializer, ExportSerializer
from core.http.openapi import error_responses
from core.http.pagination import list_body, list_serializer
from core.http.query_parameters import NO_PARAMETERS
from core.http.views import ApiView


class ExportListView(ApiView):
    permissions: ClassVar = {"GET": Permission.ACCOUNT, "POST": Permission.ACCOUNT}

    @extend_schema(
        operation_id="listExports",
        summary="The exports of one's own data, newest first",
        tags=["me"],
        responses={200: list_serializer(ExportSerializer), **SESSION_REQUIRED} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        NO_PARAMETERS.check(request.query_params)
        exports = exports_of(user_of(request).pk)
        return Response(list_body(map(ExportSerializer().to_representation, exports)), headers=NO_STORE)

    @extend_schema(
        operation_id="createExport",
        summary="Ask for a ZIP of one's own data",
        description="It is made in the background: account, conversations, files, and what was used. While "
        "one is pending, that one is returned. A new one replaces the one before. Only in a session: a key "
        "acts for a workspace, and what is exported is a person's.",
        tags=["me"],
        request=None,
        responses={202: ExportSerializer, **SESSION_REQUIRED} | error_responses(401),
    )
    def post(self, request: Request) -> Response:
        user = user_of(request)
        require_recent_authentication(request)
        with transaction.atomic():
            export = request_export(user)
            record(Kind.DATA_EXPORTED, user=user, request=request._request)
        return Response(ExportSerializer(export).data, status=202, headers=NO_STORE)


@extend_schema(parameters=[EXPORT])
class ExportView(ApiView):
    permissions: ClassVar = {"GET": Permission.ACCOUNT, "DELETE": Permission.ACCOUNT}

    @extend_schema(
        operation_id="getExport",
        summary="An export, and where its content is once it is ready",
        tags=["me"],
        responses={200: ExportSerializer, **SESSION_REQUIRED} | error_responses(401, 404),
    )
    def get(self, request: Request, export_id: str) -> Response:
        export = get_export(user_of(request).pk, export_id)
        return Response(ExportSerializer(export).data, headers=NO_STORE)

    @extend_schema(
        operation_id="deleteExport",
        summary="Delete an export",
        tags=["me"],
        responses={200: ExportDeletedSerializer, **SESSION_REQUIRED} | error_responses(401, 404),
    )
    def delete(self, request: Request, export_id: str) -> Response:
        export = get_export(user_of(request).pk, export_id)
        answer = ExportDeletedSerializer(export).data
        delete_export(export)
        return Response(answer, headers=NO_STORE)
