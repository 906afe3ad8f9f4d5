"""Budgets: what a workspace or a key may spend in a day or a month."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from accounts.admin.action_page import (
    ActionResult,
    AdminAction,
    Values,
    action_page,
    post_data,
    row_for_action,
)
from accounts.models import ApiKey
from billing.admin.form_fields import KeyField, UsdField, WorkspaceField
from billing.admin.formatting import usd_column
from billing.admin.money_admin import MoneyAdmin
from billing.models import Budget
from billing.terms_and_budgets import add_budget, change_budget, remove_budget
from core.admin import link_to
from core.ids import KEY, PROJECT, format_id
from core.money import format_usd


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
    fields = ("in_usd", "period", "workspace", "workspace_id", "key", "id")
    can_add = True
    action_pages: ClassVar = {"Change": "limit", "Remove": "removal"}

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        def do(values: Values, by: str) -> ActionResult:
            key = values["key"]
            budget = add_budget(values["workspace"].pk, key and key.pk, values["period"], values["limit"])
            scope = format_id(KEY, key.pk) if key else format_id(PROJECT, values["workspace"].pk)
            # the log outlives rights to view names
            return ActionResult(budget, f"A budget of {budget} for {scope}.")

        note = "Calls that might exceed it are refused. What runs already is not."
        form = BudgetForm(post_data(request))
        return action_page(self, request, AdminAction("Add a budget", "Add", form, do, adds=True, note=note))

    def limit_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        budget = row_for_action(self, request, id)

        def do(values: Values, by: str) -> ActionResult:
            change_budget(budget.pk, values["limit"])
            before = format_usd(budget.limit)
            return ActionResult(
                budget, f"{format_usd(values['limit'])} USD a {budget.period}, instead of {before}."
            )

        form = LimitForm(post_data(request), initial={"limit": budget.limit})
        return action_page(
            self, request, AdminAction(f"Change a budget: {budget}", "Save", form, do, row=budget)
        )

    def removal_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        budget = row_for_action(self, request, id)

        def do(values: Values, by: str) -> ActionResult:
            remove_budget(budget.pk)
            return ActionResult(budget, f"The budget of {budget} was removed.")

        note = "What was spent stays known: a new budget counts it, too."
        form = forms.Form(post_data(request))
        action = AdminAction(f"Remove a budget: {budget}", "Remove", form, do, row=budget, note=note)
        return action_page(self, request, action)

    in_usd = usd_column("limit", "limit")

    @admin.display(description="key")
    def key(self, budget: Budget) -> str:
        if budget.key_id is None:
            return "all of the workspace's"
        key = ApiKey.objects.filter(pk=budget.key_id).first()
        return link_to(key) if key else f"{budget.key_id} (deleted)"
