"""The admin's transactions, which can be reversed, and charges."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
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
from billing.admin.form_fields import ReasonForm
from billing.admin.formatting import (
    format_to_second,
    link_to_user,
    no_wrap,
    usd,
    usd_column,
    workspace_names_by_id,
)
from billing.admin.money_admin import MoneyAdmin
from billing.completion_finder import find_charged_completion
from billing.models import NO_WORKSPACE, Account, Charge, Entry, Price, Transaction
from billing.units import UNITS
from core.admin import MadeFilter, link_column, link_to
from core.admin_rights import may_view
from core.ids import COMPLETION, format_id


@admin.register(Transaction)
class TransactionAdmin(MoneyAdmin):
    list_display = ("at", "kind", "in_usd", "workspace", "reason", "done_by", "reference")
    list_filter = ("kind", MadeFilter)
    search_help_text = "Workspace by name or id, chatcmpl-… or other id of what was charged for, reference"
    id_fields = ("pk", "charge_id", "workspace_id")
    text_lookups = ("reference",)
    fields = (
        "id",
        "created_at",
        "kind",
        "in_usd",
        "workspace",
        "workspace_id",
        "charged_for",
        "reason",
        "done_by",
        "reference",
        "takes_back",
        "taken_back",
        "entries",
    )
    action_pages: ClassVar = {"Reverse": "reversal"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transaction]:
        transactions: QuerySet[Transaction] = super().get_queryset(request)
        wallet_entries = Entry.objects.filter(
            transaction=OuterRef("pk"), account__kind=Account.Kind.WALLET
        ).values("amount")
        return transactions.annotate(_amount=Subquery(wallet_entries[:1]))

    @admin.display(description="by", ordering="by")
    def done_by(self, row: Transaction) -> str:
        return link_to_user(row.by)

    def actions_on(self, row: Any) -> Mapping[str, str]:
        return {} if row.kind == Transaction.Kind.REVERSAL or _reversal_of(row) else self.action_pages

    def reversal_page(self, request: HttpRequest, id: Any) -> HttpResponse:
        original = row_for_action(self, request, id)

        def do(values: Values, by: str) -> ActionResult:
            reversal = ledger.reverse(original.pk, reason=values["reason"], by=by)
            return ActionResult(original, f"Reversed by transaction {reversal.pk}. {reversal.reason}")

        owner = workspace_names_by_id([original.workspace_id]).get(
            original.workspace_id, original.workspace_id
        )
        note = f"{self.in_usd(original)} USD in the wallet of {owner} are taken back by another transaction."
        title = (
            f"Reverse a transaction: {original.get_kind_display()} of {original.created_at:%Y-%m-%d %H:%M}"
        )
        form = ReasonForm(post_data(request))
        return action_page(self, request, AdminAction(title, "Reverse", form, do, row=original, note=note))

    @admin.display(description="at", ordering="id")
    def at(self, row: Transaction) -> str:
        return format_to_second(row.created_at)

    @admin.display(description="USD")
    def in_usd(self, row: Transaction) -> str:
        return usd(getattr(row, "_amount"))  # noqa: B009 (an annotation)

    @admin.display(description="charged for")
    def charged_for(self, row: Transaction) -> str:
        return link_to(Charge.objects.filter(pk=row.charge_id).first()) if row.charge_id else "–"

    takes_back = link_column("reverses", "takes back")

    @admin.display(description="taken back by")
    def taken_back(self, row: Transaction) -> str:
        return link_to(_reversal_of(row))

    @admin.display(description="entries")
    def entries(self, row: Transaction) -> str:
        entries = list(row.entries.select_related("account").order_by("amount", "id"))
        names = workspace_names_by_id(entry.account.workspace_id for entry in entries)
        lines = ((usd(entry.amount), _account_name(entry, names)) for entry in entries)
        return format_html_join(mark_safe("<br>"), "{} USD: {}", lines)


def _account_name(entry: Entry, names: Mapping[UUID, str]) -> str:
    owner = entry.account.workspace_id
    return (
        entry.account.kind if owner == NO_WORKSPACE else f"{entry.account.kind} of {names.get(owner, owner)}"
    )


def _reversal_of(row: Transaction) -> Transaction | None:
    return Transaction.objects.filter(reverses=row).first()


@admin.register(Charge)
class ChargeAdmin(MoneyAdmin):
    list_display = (
        "at",
        "in_usd",
        "state",
        "end",
        "workspace",
        "model",
        "kind",
        "on_hold",
        "used",
    )
    list_filter = ("state", "kind", "is_estimated", ("price_id", admin.EmptyFieldListFilter), MadeFilter)
    search_help_text = "Workspace by name or id, chatcmpl-… or other id, key's or end-user token's id, model"
    id_fields = ("pk", "workspace_id", "key_id", "token_id")
    text_lookups = ("model",)
    fields = (
        "id",
        "completion_made",
        "kind",
        "state",
        "end",
        "workspace",
        "workspace_id",
        "user_id",
        "key_id",
        "token_id",
        "model",
        "price",
        "units_used",
        "is_estimated",
        "on_hold",
        "in_usd",
        "transactions",
        "admitted_at",
        "ended_at",
    )

    @admin.display(description="admitted at", ordering="id")
    def at(self, charge: Charge) -> str:
        return format_to_second(charge.admitted_at)

    @admin.display(description="used")
    def used(self, charge: Charge) -> str:
        estimated = "~" if charge.is_estimated else ""
        counts = [f"{count:,} {name}" for name, count in charge.units.counts.items() if count]
        return no_wrap(estimated + (" · ".join(counts) or "–"))

    @admin.display(description="used")
    def units_used(self, charge: Charge) -> str:
        lines = ((count, UNITS[name].label) for name, count in charge.units.counts.items() if count)
        return format_html_join(mark_safe("<br>"), "{} {}", lines) or "–"

    on_hold = usd_column("held", "held")

    @admin.display(description="cost, USD", ordering=F("cost").desc(nulls_last=True))
    def in_usd(self, charge: Charge) -> str:
        if charge.price_id is None and charge.state != Charge.State.HELD:
            return "unpriced"
        return usd(charge.cost)

    @admin.display(description="price")
    def price(self, charge: Charge) -> str:
        if charge.price_id is None:
            return "unpriced"
        if not may_view(Price):
            return str(charge.price_id)
        url = reverse("admin:billing_price_change", args=[charge.price_id])
        return format_html('<a href="{}">{}</a>', url, charge.price_id)

    @admin.display(description="completion")
    def completion_made(self, charge: Charge) -> str:
        if charge.kind != Charge.Kind.COMPLETION:
            return "–"
        completion = find_charged_completion(charge.pk)
        return link_to(completion) if completion else f"{format_id(COMPLETION, charge.pk)} (deleted)"

    @admin.display(description="in the ledger")
    def transactions(self, charge: Charge) -> str:
        rows = Transaction.objects.filter(charge_id=charge.pk).order_by("id")
        return format_html_join(mark_safe("<br>"), "{}", ((link_to(row),) for row in rows)) or "–"
