"""The query parameters of the list of conversations."""

from typing import cast

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from conversations.lists import ConversationFilters, OrderBy
from conversations.models import Completion
from core.exceptions import BadRequest
from core.http.metadata_filter import METADATA, parse_metadata
from core.http.pagination import PageParameters
from core.http.query import check_choice, check_length, parse_choice, parse_integer, parse_text
from core.http.query_parameters import QueryParameters
from core.validation.metadata import MAX_TAG, MAX_TAGS

LAST_SECOND = 253_402_300_799
"""The last second of the year 9999."""
STATES = Completion.State.values
_TEXTS = {"type": "array", "items": {"type": "string"}}
_SECONDS = {"type": "integer", "minimum": 0, "maximum": LAST_SECOND}
_FLAG = ("true", "false")
_TIMES = ("created_after", "created_before", "updated_after", "updated_before")


def filters(archived: str) -> list[OpenApiParameter]:
    """Return the parameters by which conversations are filtered; `archived` says what is meant without it."""
    return [
        OpenApiParameter(
            "user", OpenApiTypes.STR, description="Only those for this end user; empty: for nobody."
        ),
        OpenApiParameter(
            "model", OpenApiTypes.STR, description="Only those in which this model was asked last."
        ),
        OpenApiParameter("state", enum=STATES, description="Only with the last answer so far."),
        OpenApiParameter("pinned", enum=_FLAG, description="Only those that are pinned, or are not."),
        OpenApiParameter("archived", enum=(*_FLAG, "any"), description=archived),
        OpenApiParameter(
            "deleted", enum=_FLAG, default="false", description="Only those that can be restored."
        ),
        OpenApiParameter("tag", _TEXTS, description="Only with this tag; with all, where it is repeated."),
        METADATA,
        OpenApiParameter("created_after", _SECONDS, description="In seconds since the epoch, inclusive."),
        OpenApiParameter("created_before", _SECONDS, description="Exclusive."),
        OpenApiParameter("updated_after", _SECONDS, description="Inclusive."),
        OpenApiParameter("updated_before", _SECONDS, description="Exclusive."),
    ]


PAGES = PageParameters(
    OpenApiParameter(
        "order_by",
        enum=["updated_at", "created_at"],
        default="updated_at",
        description="Conversations move with each update. What moved while one pages is found by "
        "`updated_after`.",
    ),
    *filters("Without it those that are not archived; among deleted ones, any."),
)

PERMANENTLY = QueryParameters(
    OpenApiParameter("permanently", enum=_FLAG, default="false", description="It cannot be restored then.")
)


def parse_order_by(query: QueryDict) -> OrderBy:
    return cast("OrderBy", parse_choice(query, "order_by", ("updated_at", "created_at"), "updated_at"))


def parse_filters(query: QueryDict, *, archived: str = "false") -> ConversationFilters:
    """Parse the filters; without one, `archived` is meant. Raises `BadRequest`."""
    deleted = bool(_parse_flag(query, "deleted"))
    archived = parse_choice(query, "archived", (*_FLAG, "any"), "any" if deleted else archived)
    return ConversationFilters(
        user=parse_text(query, "user"),
        model=parse_text(query, "model"),
        state=None if (state := query.get("state")) is None else check_choice(state, "state", STATES),
        pinned=_parse_flag(query, "pinned"),
        archived=None if archived == "any" else archived == "true",
        deleted=deleted,
        tags=_parse_tags(query),
        metadata=parse_metadata(query),
        **{name: parse_integer(query, name, least=0, most=LAST_SECOND) for name in _TIMES if name in query},
    )


def parse_permanently(query: QueryDict) -> bool:
    PERMANENTLY.check(query)
    return bool(_parse_flag(query, "permanently"))


def _parse_flag(query: QueryDict, name: str) -> bool | None:
    text = query.get(name)
    return None if text is None else check_choice(text, name, _FLAG) == "true"


def _parse_tags(query: QueryDict) -> tuple[str, ...]:
    tags = tuple(sorted({*query.getlist("tag"), *query.getlist("tag[]")}))
    if len(tags) > MAX_TAGS:
        raise BadRequest(
            f"Invalid 'tag': a conversation has at most {MAX_TAGS} tags.",
            param="tag",
            code="array_above_max_length",
        )
    for tag in tags:
        if not tag:
            raise BadRequest("Invalid value for 'tag': a tag has at least one character.", param="tag")
        check_length(tag, "tag", MAX_TAG)
    return tags
