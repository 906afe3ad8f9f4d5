"""The search over HTTP."""

from typing import ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.permissions import Permission
from conversations.api.conversation_parameters import filters, parse_filters
from conversations.api.conversation_serializers import conversation_shower
from conversations.api.examples import SHOWN_HITS
from conversations.api.search_serializers import SearchHitSerializer, SearchPageSerializer
from conversations.search.hits import search
from conversations.search.query import MAX_QUERY, parse_query
from core.exceptions import BadRequest
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body
from core.http.query import check_length
from core.http.views import ApiView

PAGES = PageParameters(
    OpenApiParameter(
        "q",
        OpenApiTypes.STR,
        required=True,
        description=f'Words, all of which must be there, in any order; `"words in quotes"` stand together. '
        "The last one may be the beginning of a word, from two letters on. Case and accents do not matter. "
        f"At most {MAX_QUERY} characters.",
    ),
    *filters("Without it both."),
    order=False,
)


class SearchView(ApiView):
    permissions: ClassVar = {"GET": Permission.HISTORY_READ}

    @extend_schema(
        operation_id="searchHistory",
        summary="What was said, titles and files in which words are found, the newest first",
        description="Searched are titles that a client or a model gave, and of each message its text, its "
        "reasoning, its tool calls and their results, what was heard in its sounds and read in its pictures, "
        "and the names of its files; not system messages. Languages that are written without spaces "
        "(Chinese, Japanese, Korean, Thai, …) are searched by any two characters that follow each other.\n\n"
        "What was stored is found at once; what was deleted or edited is not found any more, at once. A page "
        "may hold fewer hits than `limit`, even none, while `has_more` is true: it stops after having looked "
        "at some thousand messages. `next_cursor` is `after` of the next one.",
        tags=["history"],
        parameters=PAGES.documentation,
        examples=[SHOWN_HITS],
        responses={200: SearchPageSerializer} | error_responses(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        query, who = request.query_params, principal_of(request)
        page = PAGES.parse(query)
        if "q" not in query:
            raise BadRequest(
                "Missing required parameter: 'q'. Name the words to look for.",
                param="q",
                code="missing_required_parameter",
            )
        check_length(query["q"], "q", MAX_QUERY)
        found = search(who, parse_query(query["q"]), page, parse_filters(query, archived="any"))
        shower = conversation_shower(who, [hit.conversation for hit in found.items])
        body = page_body(found, SearchHitSerializer(context={"conversations": shower}))
        return Response(body | {"is_complete": found.is_complete})
