"""Budgets, alerts and statements."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

from accounts.models import ApiKey
from billing import alerts, printing
from billing.admin.deeds import Deed, Done, Values, deed_page, deed_path, posted, row_for_deed
from billing.admin.fields import KeyField, UsdField, WorkspaceField
from billing.admin.rows import MoneyAdmin, names_of, usd
from billing.models import Alert, Budget, Statement, Transaction
from billing.money import format_usd
from billing.statements import Report, report
from billing.terms import add_budget, change_budget, remove_budget
from core.admin import FixedFilter, link_to


class LimitForm(forms.Form):
    limit = UsdField(label="Limit in USD", help_text="0: nothing may be spent.")


class BudgetForm(LimitForm):
    workspace = WorkspaceField()
    key = KeyField()
    period = forms.ChoiceField(choices=Budget.Period.choices, help_text="By UTC.")
    field_order = ("workspace", "key", "period", "limit")

    def clean(self) -> Values:
        values = super().clean() or {}
        key, workspace = values.get("key"), values.get("workspace")
        if key and workspace and key.workspace_id != workspace.pk:
            self.add_error("key", "This key is of another workspace.")
        return values


@admin.register(Budget)
class BudgetAdmin(MoneyAdmin):
    list_display = ("in_usd", "period", "workspace", "key_id")
    list_filter = ("period", ("key_id", admin.EmptyFieldListFilter))
    search_help_text = "Workspace by name or id, or key's id"
    id_fields = ("pk", "workspace_id", "key_id")
    date_hierarchy = None
    fields = ("in_usd", "period", "workspace", "workspace_id", "key", "id")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_act(request)

    def get_urls(self) -> list[URLPattern]:
        pages = {"limit": self.change_limit, "removal": self.remove}
        return [*(deed_path(self, deed, view) for deed, view in pages.items()), *super().get_urls()]

    def deeds_for(self, row: Any) -> Sequence[tuple[str, str]]:
        return [("Change", self.deed_url(row, "limit")), ("Remove", self.deed_url(row, "removal"))]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        def do(values: Values, by: str) -> Done:
            key = values["key"]
            budget = add_budget(values["workspace"].pk, key and key.pk, values["period"], values["limit"])
            of = f"the key {key}" if key else f"the workspace {values['workspace']}"
            return Done(budget, f"A budget of {budget} for {of}.")

        note = "Calls that might exceed it are refused. What runs already is not."
        form = BudgetForm(posted(request))
        return deed_page(self, request, Deed("Add a budget", "Add", form, do, adds=True, note=note))

    def change_limit(self, request: HttpRequest, id: Any) -> HttpResponse:
        budget = row_for_deed(self, request, id)

        def do(values: Values, by: str) -> Done:
            change_budget(budget.pk, values["limit"])
            before = format_usd(budget.limit)
            return Done(budget, f"{format_usd(values['limit'])} USD a {budget.period}, instead of {before}.")

        form = LimitForm(posted(request), initial={"limit": budget.limit})
        return deed_page(self, request, Deed(f"Change a budget: {budget}", "Save", form, do, row=budget))

    def remove(self, request: HttpRequest, id: Any) -> HttpResponse:
        budget = row_for_deed(self, request, id)

        def do(values: Values, by: str) -> Done:
            remove_budget(budget.pk)
            return Done(budget, f"The budget of {budget} was removed.")

        note = "What was spent stays known: a new budget counts it, too."
        form = forms.Form(posted(request))
        deed = Deed(f"Remove a budget: {budget}", "Remove", form, do, row=budget, note=note)
        return deed_page(self, request, deed)

    @admin.display(description="limit, USD", ordering="limit")
    def in_usd(self, budget: Budget) -> str:
        return usd(budget.limit)

    @admin.display(description="key")
    def key(self, budget: Budget) -> str:
        if budget.key_id is None:
            return "all of the workspace's"
        key = ApiKey.objects.filter(pk=budget.key_id).first()
        return link_to(key) if key else f"{budget.key_id} (deleted)"


class OpenFilter(FixedFilter):
    title = parameter_name = "state"
    values = ("open", "settled")

    def chosen(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
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
    readonly_fields = fields

    def has_settling_permission(self, request: HttpRequest) -> bool:
        return self.may_act(request)

    @admin.display(description="what", ordering="text")
    def what(self, alert: Alert) -> str:
        return format_html('<span style="display: block; min-width: 22rem">{}</span>', alert.text)

    @admin.action(description="Mark as settled", permissions=["settling"])
    def settle(self, request: HttpRequest, rows: QuerySet[Alert]) -> None:
        chosen = list(rows.filter(settled_at=None))
        count = alerts.settle([alert.pk for alert in chosen])
        for alert in chosen:
            self.log_change(request, alert, "Marked as settled.")
        messages.success(request, f"Settled: {count}. What lasts is raised anew at the next look.")


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
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Statement]:
        return super().get_queryset(request).defer("lines")

    def get_urls(self) -> list[URLPattern]:
        pages = {"print": self.printed, "csv": self.as_csv}
        return [*(deed_path(self, name, view) for name, view in pages.items()), *super().get_urls()]

    def ways_from(self, row: Any) -> Sequence[tuple[str, str]]:
        return [("Print", self.deed_url(row, "print")), ("CSV", self.deed_url(row, "csv"))]

    def printed(self, request: HttpRequest, id: Any) -> HttpResponse:
        shown = self._report(request, id)
        owner = shown.statement.workspace_id
        return HttpResponse(printing.as_html(shown, names_of([owner]).get(owner, str(owner))))

    def as_csv(self, request: HttpRequest, id: Any) -> HttpResponse:
        shown = self._report(request, id)
        name = f"statement-{shown.statement.month:%Y-%m}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(printing.as_csv(shown), content_type="text/csv; charset=utf-8", headers=headers)

    def _report(self, request: HttpRequest, id: Any) -> Report:
        if not self.has_view_permission(request):
            raise PermissionDenied
        statement = Statement.objects.filter(pk=id).first()
        found = statement and report(statement.workspace_id, statement.month)
        if not found:
            raise Http404
        return found

    @admin.display(description="month", ordering="month")
    def of_month(self, statement: Statement) -> str:
        return f"{statement.month:%Y-%m}"

    @admin.display(description="opening balance, USD", ordering="opening")
    def opened_with(self, statement: Statement) -> str:
        return usd(statement.opening)

    @admin.display(description="closing balance, USD", ordering="closing")
    def closed_with(self, statement: Statement) -> str:
        return usd(statement.closing)

    @admin.display(description="moved, USD")
    def moved(self, statement: Statement) -> str:
        known = [kind for kind in Transaction.Kind if kind in statement.totals]
        lines = ((kind.label, usd(statement.totals[kind])) for kind in known)
        return format_html_join(mark_safe("<br>"), "{}: {}", lines) or "–"
