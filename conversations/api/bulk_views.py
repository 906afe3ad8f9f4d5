"""Many conversations at once over HTTP."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from accounts.authentication import principal_of
from accounts.permissions import Permission
from accounts.principal import Principal
from conversations import services
from conversations.api.conversation_serializers import (
    BulkSerializer,
    ConversationDeletedSerializer,
    ConversationSerializer,
    conversation_shower,
)
from conversations.api.examples import ARCHIVED_CONVERSATIONS, SHOWN_ARCHIVED
from conversations.models import Conversation
from conversations.services import NamedConversations
from core.http.openapi import error_responses
from core.http.pagination import ListSerializer, list_body
from core.http.views import ApiView
from core.validation.request_body import read_body

Verb = Callable[[Principal, NamedConversations], list[Conversation]]

VERBS: dict[str, Verb] = {
    "pin": partial(services.set_flag, column="pinned", value=True),
    "unpin": partial(services.set_flag, column="pinned", value=False),
    "archive": partial(services.set_flag, column="archived", value=True),
    "unarchive": partial(services.set_flag, column="archived", value=False),
    "restore": services.restore,
}


_RESULT = PolymorphicProxySerializer(
    component_name="ConversationOrDeleted",
    serializers=[ConversationSerializer, ConversationDeletedSerializer],
    resource_type_field_name=None,
    many=True,
    help_text="Each conversation once, in the order of `ids`: as it is now, or that it is deleted.",
)
BulkResultSerializer: type[ListSerializer] = type(
    "BulkResultSerializer",
    (ListSerializer,),
    {"__doc__": "What became of each of the conversations.", "data": _RESULT},
)


class ConversationBulkView(ApiView):
    permissions: ClassVar = {"POST": Permission.HISTORY_WRITE}

    @extend_schema(
        operation_id="changeConversations",
        summary="Pin, archive, delete or restore many conversations",
        description="All of them or, if one is refused, none; `param` names that one, such as `ids[3]`.",
        tags=["history"],
        examples=[ARCHIVED_CONVERSATIONS, SHOWN_ARCHIVED],
        request=BulkSerializer,
        responses={200: BulkResultSerializer} | error_responses(400, 401, 403, 404, 409),
    )
    def post(self, request: Request) -> Response:
        who, body = principal_of(request), read_body(request, BulkSerializer)
        named = NamedConversations(tuple(body["ids"]), tuple(f"ids[{n}]" for n in range(len(body["ids"]))))
        show: Serializer[Any]
        if body["action"] == "delete":
            conversations = services.delete(who, named, permanently=body.get("permanently", False))
            show = ConversationDeletedSerializer()
        else:
            conversations = VERBS[body["action"]](who, named)
            show = conversation_shower(who, conversations)
        return Response(list_body(map(show.to_representation, conversations)))
