"""The items of a conversation: its branches are read, added to, edited, and messages deleted."""

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.permissions import Permission
from conversations.api.conversation_serializers import ConversationSerializer, conversation_shower
from conversations.api.examples import ADDED_ITEMS, EDITED_QUESTION, SHOWN_ITEM, SHOWN_ITEMS
from conversations.api.item_input import EDITS, ItemEditSerializer, NewItemsSerializer
from conversations.api.item_presenter import present_items
from conversations.api.item_reader import read_edit, read_items
from conversations.api.item_serializers import ITEM, ConversationItemListSerializer
from conversations.api.path_parameters import names_conversation, names_item
from conversations.api.running_service import running_answers, write_messages
from conversations.item_changes import (
    NewMessages,
    append_messages,
    delete_message,
    edit_message,
    require_ended,
)
from conversations.item_selectors import BranchChoice, get_item, item_page
from conversations.items import Item, items_of
from conversations.lists import get_shown_conversation
from conversations.models import Conversation, Message
from conversations.selectors import get_conversation
from conversations.thread_lookup import as_read
from conversations.unstored_answers import unstored_answers
from core.exceptions import BadRequest
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body_of
from core.http.query_parameters import QueryParameters
from core.http.views import ApiView
from core.ids import FUNCTION_OUTPUT, MESSAGE
from core.validation.request_body import read_body
from engines import messages as engine_messages
from media.services import StoredFile

T = TypeVar("T")

BRANCH = OpenApiParameter(
    "branch",
    OpenApiTypes.STR,
    description="`all`: the messages of all branches, in the order in which they came. Or a message, "
    "`msg_…`, such as one of an item's `siblings`: the newest branch that goes through it. Absent: the "
    "branch that is shown.",
)
LEAF = OpenApiParameter(
    "leaf", OpenApiTypes.STR, description="A message, `msg_…`: the branch that ends with it."
)
INCLUDE = OpenApiParameter(
    "include", OpenApiTypes.STR, many=True, description="OpenAI's; all that is stored is included anyway."
)
PAGES = PageParameters(BRANCH, LEAF, INCLUDE)
ITEM_PARAMETERS = QueryParameters(INCLUDE)
NEW_ITEMS = OpenApiExample(
    "a question and its answer",
    request_only=True,
    value={
        "items": [
            {"role": "user", "content": "Which wine goes with fish?"},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "A dry white one."}],
            },
        ]
    },
)


@names_conversation
class ItemListView(ApiView):
    permissions: ClassVar = {"GET": Permission.HISTORY_READ, "POST": Permission.HISTORY_WRITE}

    @extend_schema(
        operation_id="listConversationItems",
        summary="The items of a conversation's branch, newest first",
        description="A stored message is one or several items: `reasoning`, `message`, and a `function_call` "
        "for each call. An answer that is being made is the last one, `in_progress`, with what is written of "
        "it; it keeps its id when it is stored.",
        tags=["history"],
        parameters=PAGES.documentation,
        responses={200: ConversationItemListSerializer} | error_responses(400, 401, 404),
        examples=[SHOWN_ITEMS],
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        query = request.query_params
        requested_page, branch = PAGES.parse(query), _branch(query)
        conversation = get_conversation(principal_of(request), conversation_id)
        found = item_page(conversation, branch, requested_page, running_answers(request))
        data = _presented(request, conversation, found.page.items, found.unstored)
        return Response(page_body_of(data, has_more=found.page.has_more))

    @extend_schema(
        operation_id="createConversationItems",
        summary="Add items to a conversation",
        description="They follow the newest message of the branch that is shown, or `parent_id`, and become "
        "its end. Nothing is answered: `POST /v1/chat/completions` does that. Reasoning, an answer and its "
        "calls that follow each other are one message. Pictures and files are best uploaded to /v1/files and "
        "named by their `file_id`; small ones can be sent inline, and pictures by their address.",
        tags=["history"],
        request=NewItemsSerializer,
        responses={200: ConversationItemListSerializer} | error_responses(400, 401, 403, 404, 409, 413),
        examples=[NEW_ITEMS, ADDED_ITEMS],
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        who = principal_of(request)
        conversation = get_conversation(who, conversation_id)
        conversation.require_writable(who)
        body = read_body(request, NewItemsSerializer)
        new = read_items(body["items"])
        at_head, parent_id = "parent_id" not in body, body.get("parent_id")

        def append(messages: Sequence[engine_messages.Message], files: Sequence[StoredFile]) -> list[Message]:
            placed = NewMessages(messages, files, at_head, parent_id, new.positions)
            return append_messages(who, conversation_id, placed)

        items = [item for message in write_messages(request, new, append) for item in items_of(message)]
        data = _presented(request, conversation, items, unstored_answers(conversation))
        return Response(page_body_of(data, has_more=False))


@names_item
class ItemView(ApiView):
    permissions: ClassVar = {
        "GET": Permission.HISTORY_READ,
        "POST": Permission.HISTORY_WRITE,
        "DELETE": Permission.HISTORY_WRITE,
    }

    @extend_schema(
        operation_id="getConversationItem",
        summary="An item",
        tags=["history"],
        parameters=ITEM_PARAMETERS.documentation,
        responses={200: ITEM} | error_responses(400, 401, 404),
        examples=[SHOWN_ITEM],
    )
    def get(self, request: Request, conversation_id: str, item_id: str) -> Response:
        ITEM_PARAMETERS.check(request.query_params)
        conversation = get_conversation(principal_of(request), conversation_id)
        item = get_item(conversation, item_id, running_answers(request))
        [shown] = _presented(request, conversation, [item], unstored_answers(conversation))
        return Response(shown)

    @extend_schema(
        operation_id="editConversationItem",
        summary="Put another version beside a message, and show its branch",
        description="The message stays, as one of the new one's `siblings`; what followed it does not follow "
        "the new one. If a version says the same already, that one is shown and returned. What can be edited "
        "is the content of a `message` and the output of a function; an answer's reasoning and calls are "
        "taken over.",
        tags=["history"],
        request=ItemEditSerializer,
        examples=EDITED_QUESTION,
        responses={200: ITEM} | error_responses(400, 401, 403, 404, 409, 413),
    )
    def post(self, request: Request, conversation_id: str, item_id: str) -> Response:
        who = principal_of(request)
        conversation = get_conversation(who, conversation_id)
        conversation.require_writable(who)
        edited = _editable(get_item(conversation, item_id, running_answers(request)))
        body = read_body(request, EDITS[edited.role])
        new = read_edit(as_read(edited), body["content"])

        def edit(messages: Sequence[engine_messages.Message], files: Sequence[StoredFile]) -> Message:
            return edit_message(who, conversation_id, edited.pk, NewMessages(messages, files))

        items = items_of(write_messages(request, new, edit))
        item = next((item for item in items if item.id.prefix == MESSAGE), items[-1])
        [shown] = _presented(request, conversation, [item], unstored_answers(conversation))
        return Response(shown)

    @extend_schema(
        operation_id="deleteConversationItem",
        summary="Delete a message, with all its items",
        description="Its text, what was spoken of it, its files if nothing else of the conversation has "
        "them, and what was said of it are gone at once; what follows it stays. The conversation is "
        "returned: its title, unless a client chose it, and its preview are made anew of what is left.",
        tags=["history"],
        responses={200: ConversationSerializer} | error_responses(401, 403, 404, 409),
    )
    def delete(self, request: Request, conversation_id: str, item_id: str) -> Response:
        who = principal_of(request)
        conversation = get_conversation(who, conversation_id)
        conversation.require_writable(who)
        item = get_item(conversation, item_id, running_answers(request))
        delete_message(who, conversation_id, item.message)
        left = get_shown_conversation(who, conversation_id)
        return Response(conversation_shower(who, [left]).to_representation(left))


def _branch(query: QueryDict) -> BranchChoice:
    branch, leaf = query.get("branch"), query.get("leaf")
    if branch is not None and leaf is not None:
        raise BadRequest("Invalid value for 'leaf': 'branch' and 'leaf' exclude each other.", param="leaf")
    if leaf is not None:
        return BranchChoice("leaf", leaf)
    if branch is None:
        return BranchChoice()
    return BranchChoice("all") if branch == "all" else BranchChoice("through", branch)


def _presented(
    request: Request, conversation: Conversation, items: Sequence[Item], unstored: Sequence[Message]
) -> list[dict[str, Any]]:
    return present_items(
        conversation, items, unstored, who=principal_of(request), address=request.build_absolute_uri
    )


def _editable(item: Item) -> Message:
    require_ended(item.message)
    if item.id.prefix not in (MESSAGE, FUNCTION_OUTPUT):
        raise BadRequest(
            "Only the content of a message and the output of a function can be edited.", param="item_id"
        )
    return item.message
