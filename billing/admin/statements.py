"""The admin's monthly statements."""

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from billing import statement_exports
from billing.admin.formatting import usd, usd_column, workspace_names_by_id
from billing.admin.money_admin import MoneyAdmin
from billing.models import Statement, Transaction
from billing.statements import StatementReport, find_report


@admin.register(Statement)
class StatementAdmin(MoneyAdmin):
    list_display = ("of_month", "workspace", "opened_with", "closed_with", "created_at")
    list_filter = ("month",)
    ordering = ("-month", "-id")
    date_hierarchy = "month"
    fields = (
        "of_month",
        "workspace",
        "workspace_id",
        "opened_with",
        "moved",
        "closed_with",
        "created_at",
        "id",
    )
    view_pages: ClassVar = {"Print": "print", "CSV": "csv"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Statement]:
        return super().get_queryset(request).defer("lines")

    def print_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        full_report = self._report(request, id)
        owner = full_report.statement.workspace_id
        return HttpResponse(
            statement_exports.as_html(full_report, workspace_names_by_id([owner]).get(owner, str(owner)))
        )

    def csv_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        return statement_exports.csv_response(self._report(request, id))

    def _report(self, request: HttpRequest, id: Any) -> StatementReport:
        if not self.has_view_permission(request):
            raise PermissionDenied
        statement = Statement.objects.filter(pk=id).first()
        found = statement and find_report(statement.workspace_id, statement.month)
        if not found:
            raise Http404
        return found

    @admin.display(description="month", ordering="month")
    def of_month(self, statement: Statement) -> str:
        return f"{statement.month:%Y-%m}"

    opened_with = usd_column("opening", "opening balance")
    closed_with = usd_column("closing", "closing balance")

    @admin.display(description="moved, USD")
    def moved(self, statement: Statement) -> str:
        known = [kind for kind in Transaction.Kind if kind in statement.totals]
        lines = ((kind.label, usd(statement.totals[kind])) for kind in known)
        return format_html_join(mark_safe("<br>"), "{}: {}", lines) or "–"
