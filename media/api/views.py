"""The file endpoints that answer with a little JSON."""

from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.permissions import Permission
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, list_body, list_serializer, page_body, page_serializer
from core.http.query import check_choice, parse_text
from core.http.query_parameters import NO_PARAMETERS
from core.http.views import ApiView
from core.validation.request_body import read_body
from media.api.openapi import FILE, UploadSerializer
from media.api.serializers import (
    FileChangesSerializer,
    FileDeletedSerializer,
    FileSerializer,
    RenditionSerializer,
)
from media.file_library import PURPOSES, delete_file, file_page, file_renditions, require_file

END_USER = OpenApiParameter("user", description="Only the files of this end user.")
PAGES = PageParameters(
    OpenApiParameter("purpose", enum=PURPOSES, description="Only the files that were uploaded for this."),
    END_USER,
    most=10_000,
    default=100,
)


class FileListView(ApiView):
    permissions: ClassVar = {"GET": Permission.FILES, "POST": Permission.FILES}

    @extend_schema(
        operation_id="listFiles",
        summary="The files that the caller sees, newest first",
        tags=["files"],
        parameters=PAGES.documentation,
        responses={200: page_serializer(FileSerializer)} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        requested = PAGES.parse(query)
        purpose = check_choice(query["purpose"], "purpose", PURPOSES) if "purpose" in query else None
        user = parse_text(query, "user")
        page = file_page(principal_of(request), requested, purpose=purpose, user=user)
        return Response(page_body(page, FileSerializer()))

    @extend_schema(
        operation_id="createFile",
        summary="Upload a file",
        description="Its type is told by its bytes. The same bytes twice in a workspace are kept once.",
        tags=["files"],
        request={"multipart/form-data": UploadSerializer},
        responses={200: FileSerializer} | error_responses(400, 401, 403, 408, 413, 415, 429, 503),
    )
    def post(self, request: Request) -> None:
        """Documents it, and is named in `Allow`; never called: an ASGI endpoint stands before."""


@extend_schema(parameters=[FILE])
class FileView(ApiView):
    permissions: ClassVar = {
        "GET": Permission.FILES,
        "POST": Permission.FILES,
        "DELETE": Permission.FILES,
    }

    @extend_schema(
        operation_id="getFile",
        summary="A file, without its bytes",
        tags=["files"],
        responses={200: FileSerializer} | error_responses(401, 404),
    )
    def get(self, request: Request, file_id: str) -> Response:
        return Response(FileSerializer(require_file(principal_of(request), file_id)).data)

    @extend_schema(
        operation_id="updateFile",
        summary="Share a file with the workspace, or stop sharing it",
        tags=["files"],
        request=FileChangesSerializer,
        responses={200: FileSerializer} | error_responses(400, 401, 403, 404),
    )
    def post(self, request: Request, file_id: str) -> Response:
        file = require_file(principal_of(request), file_id)
        changes = read_body(request, FileChangesSerializer)
        file.share(principal_of(request), changes["visibility"])
        return Response(FileSerializer(file).data)

    @extend_schema(
        operation_id="deleteFile",
        summary="Delete a file; messages that hold its bytes keep them",
        tags=["files"],
        responses={200: FileDeletedSerializer} | error_responses(401, 403, 404),
    )
    def delete(self, request: Request, file_id: str) -> Response:
        file = require_file(principal_of(request), file_id)
        file.require_writable(principal_of(request))
        answer = FileDeletedSerializer(file).data
        delete_file(file)
        return Response(answer)


@extend_schema(parameters=[FILE])
class RenditionListView(ApiView):
    permissions: ClassVar = {"GET": Permission.FILES}

    @extend_schema(
        operation_id="listFileRenditions",
        summary="What was made of a file: formats to play, a thumbnail, peaks, a transcript",
        tags=["files"],
        responses={200: list_serializer(RenditionSerializer)} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, file_id: str) -> Response:
        NO_PARAMETERS.check(request.query_params)
        file = require_file(principal_of(request), file_id)
        show = RenditionSerializer(context={"holder": file.id}).to_representation
        return Response(list_body(map(show, file_renditions(file))))
