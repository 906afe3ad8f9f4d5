"""The usage chart: what each day of a range cost, by model, read from the daily roll-ups."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.http import urlencode

from billing.admin.base import MoneyAdmin, parse_any_id, workspace_names_by_id
from billing.admin.forms import WorkspaceField
from billing.models import UsageRollup
from billing.money import format_usd

DAYS, SHOWN_DAYS = 366, 30
HEIGHT, DAY_WIDTH, BAR_WIDTH = 2000, 10, 8
OTHERS = "other models"
COLORS = ("#2f6f9f", "#d9822b", "#3d9970", "#a23b72", "#8a7a1f", "#6b5bd2", "#c0392b", "#17a2b8")
OTHERS_COLOR = "#8c8c8c"
WORKSPACES = 50

_FIELDS_WITH_DEFAULTS = ("first", "last", "show")
COST, TOKENS, REQUESTS = "cost", "tokens", "requests"
MEASURES = {COST: "USD", TOKENS: "tokens", REQUESTS: "requests"}
_TOKENS = ("prompt", "cached", "audio_in", "completion", "reasoning", "audio_out")


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


class Bar(NamedTuple):
    x: int
    y: int
    height: int
    color: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Counts by day and model. Models that are not shown by name are counted together."""

    days: Sequence[date]
    models: Sequence[str]
    counts: Mapping[tuple[date, str], int]
    measure: str

    @property
    def width(self) -> int:
        return len(self.days) * DAY_WIDTH

    @property
    def most(self) -> int:
        return max((self._total(day) for day in self.days), default=0)

    @property
    def legend(self) -> list[tuple[str, str, str]]:
        """Each model's name, color and total."""
        sums = {model: sum(self._count(day, model) for day in self.days) for model in self.models}
        return [(model, self._color(model), self.text(sums[model])) for model in self.models]

    @property
    def bars(self) -> list[Bar]:
        bars, most = [], self.most
        for column, day in enumerate(self.days):
            below = 0
            for model in self.models:
                count = self._count(day, model)
                if count:
                    low, high = (HEIGHT * edge // most for edge in (below, below + count))
                    title = f"{day}: {model}, {self.text(count)} {MEASURES[self.measure]}"
                    bars.append(Bar(column * DAY_WIDTH, HEIGHT - high, high - low, self._color(model), title))
                    below += count
        return bars

    @property
    def table(self) -> list[tuple[date, str, list[str]]]:
        """The days with usage, newest first: the day, its total, and each model's count."""
        return [
            (day, self.text(self._total(day)), [self.text(self._count(day, model)) for model in self.models])
            for day in reversed(self.days)
            if self._total(day) or any((day, model) in self.counts for model in self.models)
        ]

    def text(self, count: int) -> str:
        return format_usd(count) if self.measure == COST else f"{count:,}"

    def _count(self, day: date, model: str) -> int:
        return self.counts.get((day, model), 0)

    def _total(self, day: date) -> int:
        return sum(self._count(day, model) for model in self.models)

    def _color(self, model: str) -> str:
        return OTHERS_COLOR if model == OTHERS else COLORS[self.models.index(model) % len(COLORS)]


def build_chart(rows: QuerySet[UsageRollup], first: date, last: date, measure: str) -> Chart:
    """Build a chart from one query of sums by day and model. The models with the most get a color each."""
    counted = rows.values_list("starts_at", "model").annotate(count=_sum_of(measure))
    found = [(starts_at.date(), model, count) for starts_at, model, count in counted]
    totals: dict[str, int] = defaultdict(int)
    for _, model, count in found:
        totals[model] += count
    ranked = sorted(totals, key=lambda model: (-totals[model], model))
    named = ranked if len(ranked) <= len(COLORS) else ranked[: len(COLORS) - 1]
    counts: dict[tuple[date, str], int] = defaultdict(int)
    for day, model, count in found:
        counts[day, model if model in named else OTHERS] += count
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return Chart(days, [*named, *([OTHERS] if len(named) < len(ranked) else [])], dict(counts), measure)


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


def _sum_of(measure: str) -> Any:
    if measure != TOKENS:
        return Sum(measure)
    total: Any = F(_TOKENS[0])
    for name in _TOKENS[1:]:
        total = total + F(name)
    return Sum(total)


def _today() -> date:
    return timezone.now().astimezone(UTC).date()


@admin.register(UsageRollup)
class UsageAdmin(MoneyAdmin):
    """The usage page, shown in place of a list of rows."""

    date_hierarchy = None

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
        return TemplateResponse(request, "billing/admin/usage_chart.html", context)

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
