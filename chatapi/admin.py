"""The admin's records of calls, which nobody edits, and counts of those without a record."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from accounts.models import ApiKey, Workspace
from accounts.secret_digests import SECRET_PREFIX
from chatapi.models import RequestCount, RequestRecord
from core.admin import BoundedPaginator, FixedFilter, ReadOnlyAdmin, link_column
from core.admin_rights import may_view
from core.ids import COMPLETION, PROJECT, REQUEST, first_id_at, moment_of, parse_id

Rows = QuerySet[RequestRecord]

WORKSPACES_SEARCHED = 100
FAILED = ~Q(code="")
"""It has an index, which is used where a filter says so."""
OUTCOMES = {
    "succeeded": Q(code=""),
    "failed": FAILED,
    "4xx": FAILED & Q(status__range=(400, 499)),
    "5xx": FAILED & Q(status__gte=500),
    "failed after its status": FAILED & Q(status__lt=400),
    "no answer": FAILED & Q(status=None),
}
PERIODS = {
    "last hour": timedelta(hours=1),
    "last day": timedelta(days=1),
    "last 7 days": timedelta(days=7),
}
BEFORE_COMPLETION, AFTER_COMPLETION = timedelta(hours=1), timedelta(days=1)
"""How long before its completion a call may have come, and how long after it others that joined it."""


class OutcomeFilter(FixedFilter):
    title = parameter_name = "outcome"
    values = OUTCOMES

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(OUTCOMES[value]) if value in OUTCOMES else rows.none()


class PeriodFilter(FixedFilter):
    title = parameter_name = "period"
    values = PERIODS

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        if value not in PERIODS:
            return rows.none()
        return rows.filter(pk__gte=first_id_at(timezone.now() - PERIODS[value]))


@admin.register(RequestRecord)
class RequestRecordAdmin(ReadOnlyAdmin):
    id_prefix = REQUEST
    list_display = (
        *("public_id", "at", "workspace_link", "key", "method", "route", "model", "status", "code"),
        *("upstream_failure", "milliseconds"),
    )
    list_filter = (OutcomeFilter, PeriodFilter)
    list_select_related = ("workspace",)
    sortable_by = ("at",)  # by anything else a million rows would be sorted
    search_fields = ("pk",)  # only to get a search box: see get_search_results
    search_help_text = (
        "req_…, chatcmpl-… or proj_… id, a client's own x-request-id, the start of a key, a workspace"
    )
    date_hierarchy = None  # it would read the whole table
    paginator = BoundedPaginator
    fields = (
        *("public_id", "at", "workspace_link", "api_key_id", "key", "user_link", "end_user"),
        *("method", "route", "model", "completion_id", "status", "code", "param", "upstream_failure"),
        *("milliseconds", "client_request_id"),
    )
    workspace_link = link_column("workspace", "workspace")
    user_link = link_column("user", "user")

    @admin.display(description="at", ordering="id")
    def at(self, record: RequestRecord) -> str:
        return f"{record.created_at:%Y-%m-%d %H:%M:%S.%f}"[:-3]

    @admin.display(description="key")
    def key(self, record: RequestRecord) -> str:
        return format_html("{}…", record.key_prefix) if record.key_prefix else "–"

    def get_search_results(self, request: HttpRequest, queryset: Rows, search_term: str) -> tuple[Rows, bool]:
        """Search by what an index finds."""
        term = search_term.strip()
        return (_search(queryset, term) if term else queryset), False


def _search(rows: Rows, term: str) -> Rows:
    for prefix, find in _FINDERS.items():
        if term.startswith(prefix) and (found := find(rows, term)) is not None:
            return found
    by_client = rows.filter(~Q(client_request_id=""), client_request_id=term)
    return by_client if by_client.exists() else _in_workspaces(rows, term)


def _by_id(rows: Rows, term: str) -> Rows | None:
    id = parse_id(REQUEST, term)
    return rows.filter(pk=id) if id else None


def _by_completion(rows: Rows, term: str) -> Rows | None:
    id = parse_id(COMPLETION, term)
    if id is None:
        return None
    at = moment_of(id)
    near = rows.filter(pk__range=(first_id_at(at - BEFORE_COMPLETION), first_id_at(at + AFTER_COMPLETION)))
    return near.filter(completion_id=term)


def _by_workspace(rows: Rows, term: str) -> Rows | None:
    id = parse_id(PROJECT, term)
    return rows.filter(workspace=id) if id else None


def _by_key(rows: Rows, term: str) -> Rows | None:
    keys = dict(ApiKey.objects.filter(prefix=term.rstrip("…")).values_list("pk", "workspace_id"))
    return rows.filter(workspace__in=set(keys.values()), api_key__in=keys)


def _in_workspaces(rows: Rows, name: str) -> Rows:
    if not may_view(Workspace):
        return rows.none()
    ids = Workspace.objects.filter(name__icontains=name).values_list("pk", flat=True)
    return rows.filter(workspace__in=list(ids[:WORKSPACES_SEARCHED]))


_FINDERS: dict[str, Callable[[Rows, str], Rows | None]] = {
    REQUEST: _by_id,
    COMPLETION: _by_completion,
    PROJECT: _by_workspace,
    SECRET_PREFIX: _by_key,
}


@admin.register(RequestCount)
class RequestCountAdmin(ReadOnlyAdmin):
    list_display = ("hour", "kind", "count")
    list_filter = ("kind",)
    ordering = ("-hour", "kind")
    date_hierarchy = None
    fields = ("hour", "kind", "count")
