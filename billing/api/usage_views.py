"""Views of usage and costs, in the shapes of OpenAI's administration API.

The organization is the key's workspace.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Q
from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from accounts.authentication import principal_of
from accounts.permissions import Permission
from accounts.principal import Principal
from billing import usage_report
from billing.api.exact_json_renderer import ExactJSONRenderer
from billing.api.time_buckets import COST_WIDTHS, LAST_SECOND, USAGE_WIDTHS, Width, bucket_page
from billing.api.usage_serializers import (
    CompletionUsageSerializer,
    CostPageSerializer,
    CostSerializer,
    UsagePageSerializer,
)
from billing.models import Charge
from core.exceptions import BadRequest
from core.http.openapi import error_responses
from core.http.query import parse_array, parse_choice, parse_choices
from core.http.query_parameters import QueryParameters
from core.http.views import ApiView
from core.ids import KEY, PROJECT, parse_id, parse_user_id

Grouping = Mapping[str, Sequence[str]]
"""The columns behind each name that a client may group by."""

USAGE_GROUPS: Grouping = {
    "project_id": (),
    "user_id": ("user_id",),
    "api_key_id": ("key_id",),
    "model": ("model",),
    "batch": (),
}
COST_GROUPS: Grouping = {
    "project_id": (),
    "user_id": ("user_id",),
    "api_key_id": ("key_id",),
    "line_item": ("model", "kind"),
}


def _array_parameter(name: str, text: str, words: Sequence[str] | None = None) -> OpenApiParameter:
    items = {"type": "string"} | ({"enum": list(words)} if words else {})
    return OpenApiParameter(name, {"type": "array", "items": items}, description=text)


def _parameters(widths: Mapping[str, Any], groups: Grouping) -> list[OpenApiParameter]:
    seconds = {"type": "integer", "minimum": 0, "maximum": LAST_SECOND}
    limits = ", ".join(
        f"{width.default_buckets} to {width.max_buckets} of {name}" for name, width in widths.items()
    )
    return [
        OpenApiParameter(
            "start_time", seconds, required=True, description="In seconds since the epoch, inclusive."
        ),
        OpenApiParameter("end_time", seconds, description="Exclusive; now, where it is left out."),
        OpenApiParameter(
            "bucket_width",
            enum=list(widths),
            default="1d",
            description="How long a bucket is: a minute, an hour or a day.",
        ),
        _array_parameter(
            "group_by", "What to tell apart. Also as `group_by[]`, or separated by commas.", list(groups)
        ),
        OpenApiParameter(
            "limit", {"type": "integer", "minimum": 1}, description=f"Buckets, by default and most: {limits}."
        ),
        OpenApiParameter("page", {"type": "string"}, description="The `next_page` of the page before."),
        _array_parameter("project_ids", "Only these; there is one, that of the workspace."),
        _array_parameter("user_ids", "Only what these users asked for."),
        _array_parameter("api_key_ids", "Only what came with these keys."),
    ]


USAGE_PARAMETERS = QueryParameters(
    *_parameters(USAGE_WIDTHS, USAGE_GROUPS),
    _array_parameter("models", "Only what these models answered."),
    OpenApiParameter("batch", bool, description="There are no batch jobs: nothing, where true."),
)
COST_PARAMETERS = QueryParameters(
    *_parameters(COST_WIDTHS, COST_GROUPS),
    _array_parameter("line_items", "Only these, such as `gpt-5, completion`; not to be separated by commas."),
)


class CompletionUsageView(ApiView):
    permissions: ClassVar = {"GET": Permission.USAGE}

    @extend_schema(
        operation_id="getCompletionUsage",
        summary="How many tokens were used, by minutes, hours or days (UTC)",
        description="Whole buckets, the first being the one that holds `start_time`. What is not grouped by "
        "is null. Requests count where they ended.",
        tags=["billing"],
        parameters=USAGE_PARAMETERS.documentation,
        responses={200: UsagePageSerializer} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        USAGE_PARAMETERS.check(query)
        where = Q(kind=Charge.Kind.COMPLETION)
        if models := parse_array(query, "models"):
            where &= Q(model__in=models)
        if parse_choice(query, "batch", ("true", "false"), "false") == "true":
            where &= _NOTHING
        return _bucket_response(request, USAGE_WIDTHS, USAGE_GROUPS, where, CompletionUsageSerializer)


class CostView(ApiView):
    permissions: ClassVar = {"GET": Permission.USAGE}
    renderer_classes = (ExactJSONRenderer,)

    @extend_schema(
        operation_id="getCosts",
        summary="What was used costs, by days (UTC)",
        description="`amount.value` is exact to the last of its nine decimals. Costs count on the day on "
        "which the request ended; what was given back is not taken off, it is among the transactions.",
        tags=["billing"],
        parameters=COST_PARAMETERS.documentation,
        responses={200: CostPageSerializer} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        COST_PARAMETERS.check(request.query_params)
        where = _line_item_filter(parse_array(request.query_params, "line_items", separator=""))
        return _bucket_response(request, COST_WIDTHS, COST_GROUPS, where, CostSerializer)


_NOTHING = Q(pk__in=())


def _bucket_response(
    request: Request,
    widths: Mapping[str, Width],
    grouping: Grouping,
    where: Q,
    serializer: type[Serializer[usage_report.UsageSums]],
) -> Response:
    query, who = request.query_params, principal_of(request)
    page = bucket_page(query, widths)
    groups = parse_choices(query, "group_by", grouping)
    by = [column for group in groups for column in grouping[group]]
    where &= _common_filter(query, who.workspace_id) & _usage_seen_by(who)
    sums = usage_report.usage_sums(
        usage_report.UsageQuery(who.workspace_id, page.width, page.starts, by, where)
    )
    show = serializer(context={"groups": groups, "workspace_id": who.workspace_id}).to_representation
    buckets = [
        {
            "object": "bucket",
            "start_time": start,
            "end_time": start + page.width,
            "results": [show(total) for total in sums.get(start, ())],
        }
        for start in page.starts
    ]
    is_last = page.next_page is None
    return Response({"object": "page", "data": buckets, "has_more": not is_last, "next_page": page.next_page})


def _usage_seen_by(who: Principal) -> Q:
    """Return the condition on what is seen: what keys used, by keys, and all or one's own in a session."""
    if who.key_id is not None:
        return Q(key_id__isnull=False) if who.may(Permission.USAGE_OF_ALL) else Q(key_id=who.key_id)
    return Q() if who.may(Permission.USAGE_OF_ALL) else Q(user_id=who.user_id, key_id=None)


def _common_filter(query: QueryDict, workspace_id: UUID) -> Q:
    where = Q()
    if users := _parse_ids(query, "user_ids", parse_user_id):
        where &= Q(user_id__in=users)
    if keys := _parse_ids(query, "api_key_ids", lambda text: parse_id(KEY, text)):
        where &= Q(key_id__in=keys)
    projects = _parse_ids(query, "project_ids", lambda text: parse_id(PROJECT, text))
    if projects and workspace_id not in projects:
        where &= _NOTHING
    return where


def _parse_ids(query: QueryDict, name: str, read: Callable[[str], Any]) -> list[Any]:
    ids = {text: read(text) for text in parse_array(query, name)}
    for text, id in ids.items():
        if id is None:
            raise BadRequest(f"Invalid value for '{name}': {text[:80]!r} is no such id.", param=name)
    return list(ids.values())


def _line_item_filter(names: Sequence[str]) -> Q:
    where = Q()
    for name in names:
        model, _, kind = name.rpartition(", ")
        where |= Q(model=model, kind=kind)
    return where
