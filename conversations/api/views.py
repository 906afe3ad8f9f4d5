"""The history API: the items of conversations."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.permissions import Permission
from conversations import selectors
from conversations.api.serializers import ItemSerializer
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.views import ApiView

PAGES = PageParameters()


class ItemListView(ApiView):
    permissions: ClassVar = {"GET": Permission.HISTORY_READ}

    @extend_schema(
        operation_id="listConversationItems",
        summary="A conversation's messages, newest first, of all its branches",
        tags=["history"],
        parameters=PAGES.documentation,
        responses={200: page_serializer(ItemSerializer)} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        requested_page = PAGES.parse(request.query_params)
        conversation = selectors.get_conversation(principal_of(request), conversation_id)
        page = selectors.item_page(conversation, requested_page)
        files = selectors.files_of(conversation.workspace_id, conversation.id, page.items)
        return Response(page_body(page, ItemSerializer(context={"files": files})))
