"""The usage page: a chart by model and day, and the workspaces that cost most."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.http import urlencode

from billing.admin.form_fields import WorkspaceField
from billing.admin.formatting import parse_any_id, workspace_names_by_id
from billing.admin.money_admin import MoneyAdmin
from billing.admin.usage_chart import BAR_WIDTH, COST, HEIGHT, MEASURES, build_chart
from billing.models import UsageRollup
from core.money import format_usd

DAYS, SHOWN_DAYS = 366, 30
WORKSPACES = 50
_FIELDS_WITH_DEFAULTS = ("first", "last", "show")


class DayInput(forms.DateInput):
    def __init__(self) -> None:
        super().__init__(attrs={"type": "date"}, format="%Y-%m-%d")


class UsageForm(forms.Form):
    workspace = forms.CharField(
        required=False,
        widget=AdminTextInputWidget(attrs={"placeholder": "all of them"}),
        help_text="Name or id",
    )
    first = forms.DateField(required=False, widget=DayInput(), label="From")
    last = forms.DateField(required=False, widget=DayInput(), label="To")
    show = forms.ChoiceField(required=False, choices=list(MEASURES.items()))

    def clean_workspace(self) -> UUID | None:
        text = self.cleaned_data["workspace"]
        if not text:
            return None
        return parse_any_id(text) or UUID(
            str(WorkspaceField().clean(text).pk)
        )  # a deleted one still has its id

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if self.errors:
            return values
        last = values["last"] or _today()
        first = values["first"] or last - min(timedelta(days=SHOWN_DAYS - 1), last - date.min)
        if first > last:
            self.add_error("last", "The range ends before it begins.")
        elif (last - first).days >= DAYS:
            self.add_error("first", f"A range has at most {DAYS} days.")
        return {**values, "first": first, "last": last, "show": values["show"] or COST}


def costs_by_workspace(rows: QuerySet[UsageRollup]) -> list[dict[str, Any]]:
    """Return the workspaces that cost most: name, nano-USD, requests, and how many of those had no price."""
    sums = rows.values("workspace_id").annotate(
        cost=Sum("cost"), requests=Sum("requests"), unpriced=Sum("unpriced")
    )
    most = list(sums.order_by("-cost", "-requests", "workspace_id")[:WORKSPACES])
    names = workspace_names_by_id(row["workspace_id"] for row in most)
    return [
        {**row, "name": names.get(row["workspace_id"], row["workspace_id"]), "usd": format_usd(row["cost"])}
        for row in most
    ]


def _today() -> date:
    return timezone.now().astimezone(UTC).date()


@admin.register(UsageRollup)
class UsageAdmin(MoneyAdmin):
    """The usage page, shown in place of a list of rows."""

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.changelist_view)
        return [path("", page, name="billing_usagerollup_changelist")]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = UsageForm(request.GET)
        chart_context = {}
        if form.is_valid():
            chart_context = self._chart_context(form.cleaned_data)
            form = UsageForm(
                {**request.GET.dict(), **{name: form.cleaned_data[name] for name in _FIELDS_WITH_DEFAULTS}}
            )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Usage",
            "form": form,
            **chart_context,
        }
        return TemplateResponse(request, "billing/admin/usage.html", context)

    @staticmethod
    def _chart_context(filters: dict[str, Any]) -> dict[str, Any]:
        first, last, workspace_id = filters["first"], filters["last"], filters["workspace"]
        rows = UsageRollup.objects.filter(
            width=UsageRollup.Width.DAY,
            starts_at__gte=datetime.combine(first, time(), UTC),
            starts_at__lte=datetime.combine(last, time(), UTC),
        )
        if workspace_id:
            rows = rows.filter(workspace_id=workspace_id)
        chart = build_chart(rows, first, last, filters["show"])
        return {
            "chart": chart,
            "unit": MEASURES[filters["show"]],
            "height": HEIGHT,
            "bar_width": BAR_WIDTH,
            "whose": workspace_names_by_id([workspace_id]).get(workspace_id, workspace_id)
            if workspace_id
            else None,
            "workspaces": [] if workspace_id else costs_by_workspace(rows),
            "most": chart.text(chart.most),
            "first": first,
            "last": last,
            "query": urlencode({"first": first, "last": last, "show": filters["show"]}),
        }
