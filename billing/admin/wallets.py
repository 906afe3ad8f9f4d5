"""The admin's wallets: their balances, actions that change them, and their terms."""

import re
from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.http import urlencode
from django.utils.safestring import mark_safe

from accounts.admin.action_page import (
    ActionResult,
    AdminAction,
    Values,
    action_page,
    post_data,
    row_for_action,
)
from billing import ledger
from billing.admin.form_fields import MoneyForm, UsdField, WorkspaceField
from billing.admin.formatting import usd, usd_column, workspace_names_by_id
from billing.admin.money_admin import MoneyAdmin
from billing.ledger import REFERENCE_LENGTH
from billing.models import Budget, Charge, Transaction, UsageRollup, Wallet
from billing.terms_and_budgets import open_wallet, set_terms
from core.admin import FixedFilter, link_to_list
from core.ids import PROJECT, format_id
from core.money import format_usd

_CUSTOMER = re.compile(r"\Acus_[A-Za-z0-9]{1,90}\Z", re.ASCII)


class TopUpForm(MoneyForm):
    payment = forms.CharField(
        label="Reference",
        max_length=REFERENCE_LENGTH,
        required=False,
        widget=AdminTextInputWidget(),
        help_text="Of the payment, where it has one: the same one is taken once.",
    )
    field_order = ("amount", "payment", "reason")

    def reference(self) -> str:
        return str(self.cleaned_data["payment"]) or super().reference()


class TermsForm(forms.Form):
    is_unlimited = forms.BooleanField(
        label="No limit", required=False, help_text="Whatever is spent is billed later."
    )
    credit_limit = UsdField(
        label="Credit limit in USD", required=False, help_text="How far it may be overdrawn. 0: prepaid."
    )
    low_balance = UsdField(
        label="Low balance in USD",
        required=False,
        help_text="An alert is raised where less is left to spend. Empty: none.",
    )
    stripe_customer = forms.RegexField(
        _CUSTOMER,
        label="Stripe customer",
        required=False,
        widget=AdminTextInputWidget(),
        error_messages={"invalid": "A customer of Stripe's is written cus_…"},
        help_text="cus_…; what is spent is told to Stripe's meter.",
    )

    def clean(self) -> Values:
        values = super().clean() or {}
        if values.get("is_unlimited"):
            values["credit_limit"] = None
        elif values.get("credit_limit") is None and "credit_limit" not in self.errors:
            self.add_error("credit_limit", "Write 0 for a prepaid workspace, or choose “No limit”.")
        return values


class OpenForm(forms.Form):
    workspace = WorkspaceField()


class LeftFilter(FixedFilter):
    title = "left to spend"
    parameter_name = "left"
    values = ("low", "nothing", "no limit")

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        left: QuerySet[Any] = rows.annotate(left=F("balance") + F("credit_limit") - F("held"))
        match value:
            case "low":
                return left.filter(left__lt=F("low_balance"))
            case "nothing":
                return left.filter(left__lte=0)
            case _:
                return rows.filter(credit_limit=None) if value == "no limit" else rows


@admin.register(Wallet)
class WalletAdmin(MoneyAdmin):
    list_display = (
        "owner",
        "in_balance",
        "on_hold",
        "left_to_spend",
        "limit",
        "alert_below",
        "stripe_customer",
    )
    list_filter = (LeftFilter,)
    search_help_text = "Workspace by name or id, or Stripe customer"
    text_lookups = ("stripe_customer",)
    ordering = ("-workspace_id",)
    fields = (
        "workspace",
        "workspace_id",
        "in_balance",
        "on_hold",
        "left_to_spend",
        "limit",
        "alert_below",
        "stripe_customer",
        "created_at",
        "ways",
    )
    can_add = True
    action_pages: ClassVar = {
        "Top up": "top-up",
        "Promotion": "promotion",
        "Adjust": "adjustment",
        "Terms": "terms",
    }

    # --- actions ----------------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        def do(values: Values, by: str) -> ActionResult:
            workspace = values["workspace"]
            is_new = not Wallet.objects.filter(pk=workspace.pk).exists()
            wallet = open_wallet(workspace.pk)
            outcome = "was opened" if is_new else "is open already"
            public_id = format_id(PROJECT, workspace.pk)  # the log outlives rights to view names
            return ActionResult(wallet, f"The wallet of {public_id} {outcome}.", is_new)

        note = "A workspace's wallet opens by itself with its first call of a model that is not free."
        form = OpenForm(post_data(request))
        return action_page(
            self, request, AdminAction("Open a wallet", "Open", form, do, adds=True, note=note)
        )

    def top_up_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        return self._move_money(request, id, "Top up", TopUpForm(post_data(request)), ledger.top_up)

    def promotion_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        return self._move_money(
            request, id, "Promotion", MoneyForm(post_data(request)), ledger.grant_promotion
        )

    def adjustment_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        note = "A negative amount takes from the wallet. A transaction that was wrong is better reversed."
        return self._move_money(request, id, "Adjust", MoneyForm(post_data(request)), ledger.adjust, note)

    def _move_money(
        self,
        request: HttpRequest,
        id: Any,
        title: str,
        form: MoneyForm,
        verb: Callable[..., Transaction],
        note: str = "",
    ) -> HttpResponse:
        wallet = row_for_action(self, request, id)

        def do(values: Values, by: str) -> ActionResult:
            reference = form.reference()
            is_new = not Transaction.objects.filter(reference=reference).exists()
            transaction = verb(
                wallet.pk, values["amount"], reason=values["reason"].strip(), by=by, reference=reference
            )
            if not is_new:
                return ActionResult(wallet, "This was done before: nothing was added.", is_new=False)
            amount = format_usd(values["amount"])
            return ActionResult(
                wallet, f"{title}: {amount} USD, by transaction {transaction.pk}. {transaction.reason}"
            )

        full_note = (
            f"The balance is {usd(wallet.balance)} USD now, and {usd(wallet.held)} USD are held. {note}"
        )
        action = AdminAction(
            f"{title}: {_workspace_name(wallet)}", title, form, do, row=wallet, note=full_note
        )
        return action_page(self, request, action)

    def terms_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        wallet = row_for_action(self, request, id)

        def do(values: Values, by: str) -> ActionResult:
            terms = {name: values[name] for name in ("credit_limit", "low_balance", "stripe_customer")}
            set_terms(wallet.pk, **terms)
            limit = "no limit" if terms["credit_limit"] is None else f"{usd(terms['credit_limit'])} USD"
            outcome = f"Credit limit: {limit}; low balance: {usd(terms['low_balance'])} USD; "
            return ActionResult(wallet, f"{outcome}Stripe customer: {terms['stripe_customer'] or '–'}.")

        current_terms = {
            "is_unlimited": wallet.credit_limit is None,
            "credit_limit": wallet.credit_limit,
            "low_balance": wallet.low_balance,
            "stripe_customer": wallet.stripe_customer,
        }
        form = TermsForm(post_data(request), initial=current_terms)
        return action_page(
            self, request, AdminAction(f"Terms: {_workspace_name(wallet)}", "Save", form, do, row=wallet)
        )

    # --- columns ----------------------------------------------------------------------------------

    @admin.display(description="workspace")
    def owner(self, wallet: Any) -> str:
        return str(wallet.workspace_names.get(wallet.pk, wallet.pk))

    @admin.display(description="see also")
    def ways(self, wallet: Wallet) -> str:
        query = urlencode({"q": str(wallet.pk)})
        links = (
            link_to_list(Transaction, query, "its transactions"),
            link_to_list(Charge, query, "its charges"),
            link_to_list(Budget, query, "its budgets"),
            link_to_list(UsageRollup, urlencode({"workspace": str(wallet.pk)}), "its usage"),
        )
        return format_html_join(mark_safe(" · "), "{}", ((link,) for link in links))

    in_balance = usd_column("balance", "balance")
    on_hold = usd_column("held", "held")

    @admin.display(description="left to spend, USD")
    def left_to_spend(self, wallet: Wallet) -> str:
        return "no limit" if wallet.credit_limit is None else usd(wallet.available)

    @admin.display(description="credit limit, USD", ordering="credit_limit")
    def limit(self, wallet: Wallet) -> str:
        return "no limit" if wallet.credit_limit is None else usd(wallet.credit_limit)

    alert_below = usd_column("low_balance", "alert below")


def _workspace_name(wallet: Wallet) -> str:
    return workspace_names_by_id([wallet.pk]).get(wallet.pk, str(wallet.pk))
