"""Serializers for a workspace's money.

Every amount is a decimal number of USD in a string; what leaves the wallet is negative.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from billing.api.examples import FULL_STATEMENT, SHOWN_BALANCE, SHOWN_STATEMENT, SHOWN_TRANSACTION
from billing.api.serializer_fields import CurrencyField
from billing.models import Budget, Charge, Statement, Transaction, Wallet
from billing.selectors import BudgetUse, WalletMovement
from billing.statements import StatementReport, month_after, start_of
from billing.units import UNITS
from core.http.serializers import (
    ConstantField,
    OptionalTextField,
    PublicIdField,
    TimestampField,
    UsdStringField,
)
from core.ids import BUDGET, COMPLETION, KEY, PROJECT, TRANSACTION, format_id


@extend_schema_field({"type": "integer"})
class MidnightField(serializers.Field):  # type: ignore[type-arg]
    """The start of a day (UTC), in seconds since the epoch."""

    def to_representation(self, value: date) -> int:
        return int(start_of(value).timestamp())


class BudgetSerializer(serializers.Serializer[BudgetUse]):
    """A bound on what a workspace, or one of its keys, spends in a day or a month (UTC)."""

    id = PublicIdField(BUDGET, source="budget.id")
    object = ConstantField("billing.budget")
    api_key_id = PublicIdField(
        KEY,
        source="budget.key_id",
        allow_null=True,
        help_text="The key that it bounds; null: the workspace as a whole.",
    )
    period = serializers.ChoiceField(
        Budget.Period.values,
        source="budget.period",
        help_text="How long it lasts until it begins anew: a `day` or a `month`, in UTC.",
    )
    starts_at = MidnightField(
        source="starts_on", help_text="When the running period began, in seconds since the epoch."
    )
    ends_at = MidnightField(
        source="ends_before",
        help_text="When the running period ends and the next begins, in seconds since the epoch.",
    )
    limit = UsdStringField(source="budget.limit", help_text="What may be spent in a period.")
    used = UsdStringField(
        help_text="What the calls that began in the period cost, or may cost while they run."
    )
    remaining = UsdStringField(help_text="`limit` - `used`.")


@extend_schema_serializer(examples=[SHOWN_BALANCE])
class BalanceSerializer(serializers.Serializer[Wallet]):
    """What a workspace has and can spend. Amounts are decimal numbers of USD."""

    object = ConstantField("billing.balance")
    project_id = PublicIdField(PROJECT, source="workspace_id", help_text="The workspace: `proj_…`.")
    currency = CurrencyField()
    balance = UsdStringField(help_text="What the ledger says.")
    held = UsdStringField(
        help_text="What running answers may cost at most, and what ended ones did until that is posted."
    )
    credit_limit = UsdStringField(
        allow_null=True, help_text="How far below zero the balance may go; null: without limit."
    )
    available = UsdStringField(
        allow_null=True,
        help_text="What can be spent: `balance` + `credit_limit` - `held`. Null where there is no limit.",
    )
    budgets = serializers.SerializerMethodField(help_text="The budgets of the workspace and of its keys.")

    @extend_schema_field(BudgetSerializer(many=True))
    def get_budgets(self, wallet: Wallet) -> list[dict[str, Any]]:
        show = BudgetSerializer().to_representation
        return [show(use) for use in self.context["budgets"]]


@extend_schema_serializer(examples=[SHOWN_TRANSACTION])
class TransactionSerializer(serializers.Serializer[WalletMovement]):
    """What moved a workspace's balance. It is never changed: a mistake is reversed by another."""

    id = PublicIdField(TRANSACTION, source="transaction.id")
    object = ConstantField("billing.transaction")
    created_at = TimestampField(
        source="transaction.created_at", help_text="When it was posted, in seconds since the epoch."
    )
    kind = serializers.ChoiceField(
        Transaction.Kind.values,
        source="transaction.kind",
        help_text="`charge`: something was used; `top_up`: a payment; `promotion`: a gift; `adjustment`: a "
        "correction; `reversal`: another transaction was taken back.",
    )
    amount = UsdStringField(help_text="What the wallet gained; negative where it lost.")
    currency = CurrencyField()
    reason = OptionalTextField(
        source="transaction.reason", help_text="Why, in the operator's words; null of charges."
    )
    reference = OptionalTextField(
        source="transaction.reference", help_text="Of a payment: what the operator knows it by. Null else."
    )
    completion_id = serializers.SerializerMethodField(
        help_text="The completion that was charged for; null of anything else."
    )
    model = serializers.SerializerMethodField(
        help_text="The model that was charged for, or `speech` or `transcription`; null of anything else."
    )
    reverses = PublicIdField(
        TRANSACTION,
        source="transaction.reverses_id",
        allow_null=True,
        help_text="Of a reversal: the transaction that it takes back. Null else.",
    )
    reversed_by = PublicIdField(
        TRANSACTION, allow_null=True, help_text="The reversal that took this one back; null if none did."
    )

    def get_completion_id(self, movement: WalletMovement) -> str | None:
        charge = movement.charge
        is_completion = charge is not None and charge.kind == Charge.Kind.COMPLETION
        return format_id(COMPLETION, charge.id) if charge and is_completion else None

    def get_model(self, movement: WalletMovement) -> str | None:
        return movement.charge.model if movement.charge else None


class TotalsSerializer(serializers.Serializer[Mapping[str, int]]):
    """What the wallet gained in the month, by kind of transaction; what it lost is negative."""

    charge = UsdStringField(help_text="What was used.")
    top_up = UsdStringField(help_text="What was paid in.")
    promotion = UsdStringField(help_text="What was given.")
    adjustment = UsdStringField(help_text="What was corrected.")
    reversal = UsdStringField(help_text="What was taken back.")


@extend_schema_serializer(examples=[SHOWN_STATEMENT])
class StatementSerializer(serializers.Serializer[Statement]):
    """The account of a month."""

    id = serializers.DateField(source="month", format="%Y-%m", help_text="The month, such as `2026-01`.")
    object = ConstantField("billing.statement")
    project_id = PublicIdField(PROJECT, source="workspace_id", help_text="The workspace: `proj_…`.")
    starts_at = MidnightField(
        source="month", help_text="When the month began (UTC), in seconds since the epoch."
    )
    ends_at = serializers.SerializerMethodField(
        help_text="When the next month began or begins (UTC), in seconds since the epoch."
    )
    closed = serializers.SerializerMethodField(
        help_text="Whether the month is closed, so that nothing changes any more. Else it is a preview."
    )
    created_at = TimestampField(
        help_text="When it was closed, in seconds since the epoch; of a preview: now."
    )
    currency = CurrencyField()
    opening = UsdStringField(help_text="The balance when the month began.")
    totals = TotalsSerializer(help_text="What moved the balance in the month.")
    closing = UsdStringField(help_text="`opening` and all of `totals`.")

    def get_ends_at(self, statement: Statement) -> int:
        return int(start_of(month_after(statement.month)).timestamp())

    def get_closed(self, statement: Statement) -> bool:
        return bool(self.context["is_closed"])


class UnitsSerializer(serializers.Serializer[Mapping[str, int]]):
    """What was used, in kinds that do not overlap: `prompt` is neither cached nor sound, `completion`
    neither reasoning nor sound."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {
            name: serializers.IntegerField(help_text=f"How many {unit.label}.")
            for name, unit in UNITS.items()
        }


class StatementLineSerializer(serializers.Serializer[Mapping[str, Any]]):
    """What one model's charges of one kind were for."""

    model = serializers.CharField(help_text="The model, or `speech` or `transcription`.")
    kind = serializers.ChoiceField(Charge.Kind.values, help_text="What it was used for.")
    requests = serializers.IntegerField(help_text="How many requests were charged.")
    units = UnitsSerializer(help_text="What was used.")
    amount = UsdStringField(help_text="All lines together are `totals.charge`.")


class OthersSerializer(serializers.Serializer[StatementReport]):
    """Movements that are too many to be listed; `/v1/billing/transactions` has them all."""

    count = serializers.IntegerField(source="others", help_text="How many there are.")
    amount = UsdStringField(
        source="others_amount", help_text="What the wallet gained by them; negative where it lost."
    )


@extend_schema_serializer(examples=[FULL_STATEMENT])
class FullStatementSerializer(StatementSerializer):
    """The account of a month, with what the charges were for."""

    lines = StatementLineSerializer(many=True, help_text="What the charges were for.")
    movements = serializers.SerializerMethodField(help_text="The transactions that were no charges.")
    others = serializers.SerializerMethodField(help_text="Movements that are too many to be listed.")

    @extend_schema_field(TransactionSerializer(many=True))
    def get_movements(self, statement: Statement) -> list[dict[str, Any]]:
        show = TransactionSerializer().to_representation
        return [show(movement) for movement in self._report.movements]

    @extend_schema_field(OthersSerializer)
    def get_others(self, statement: Statement) -> dict[str, Any]:
        return OthersSerializer().to_representation(self._report)

    @property
    def _report(self) -> StatementReport:
        report: StatementReport = self.context["report"]
        return report
