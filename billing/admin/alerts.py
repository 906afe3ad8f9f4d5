"""The admin's alerts: what needs an operator's attention."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from billing import operator_alerts
from billing.admin.money_admin import MoneyAdmin
from billing.models import Alert
from core.admin import FixedFilter


class OpenFilter(FixedFilter):
    title = parameter_name = "state"
    values = ("open", "settled")

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(settled_at__isnull=value != "settled")


@admin.register(Alert)
class AlertAdmin(MoneyAdmin):
    list_display = ("what", "kind", "workspace", "created_at", "settled_at")
    list_filter = (OpenFilter, "kind", "created_at")
    search_help_text = "Words, model, or workspace's id"
    id_fields = ("pk",)
    text_lookups = ("text__icontains", "subject__icontains")
    actions = ("settle",)
    fields = ("text", "kind", "subject", "workspace", "created_at", "mailed_at", "settled_at")

    def has_settling_permission(self, request: HttpRequest) -> bool:
        return self.may_act(request)

    @admin.display(description="what", ordering="text")
    def what(self, alert: Alert) -> str:
        return format_html('<span class="alert-text">{}</span>', alert.text)

    @admin.action(description="Mark as settled", permissions=["settling"])
    def settle(self, request: HttpRequest, rows: QuerySet[Alert]) -> None:
        chosen = list(rows.filter(settled_at=None))
        count = operator_alerts.settle([alert.pk for alert in chosen])
        for alert in chosen:
            self.log_change(request, alert, "Marked as settled.")
        messages.success(request, f"Settled: {count}. What lasts is raised anew at the next look.")
