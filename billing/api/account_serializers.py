"""Serializers for a workspace's money.

Every amount is a decimal number of USD in a string; what leaves the wallet is negative.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.api.serializer_fields import CurrencyField
from billing.models import Budget, Charge, Statement, Transaction, Wallet
from billing.selectors import BudgetUse, WalletMovement
from billing.statements import StatementReport, month_after, start_of
from billing.units import UNIT_NAMES
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
    id = PublicIdField(BUDGET, source="budget.id")
    object = ConstantField("billing.budget")
    api_key_id = PublicIdField(
        KEY, source="budget.key_id", allow_null=True, help_text="Null: of the workspace as a whole."
    )
    period = serializers.ChoiceField(Budget.Period.values, source="budget.period")
    starts_at = MidnightField(source="starts_on", help_text="Of the running period.")
    ends_at = MidnightField(source="ends_before")
    limit = UsdStringField(source="budget.limit")
    used = UsdStringField(help_text="By the calls that began in the period; what is held for them, too.")
    remaining = UsdStringField()


class BalanceSerializer(serializers.Serializer[Wallet]):
    object = ConstantField("billing.balance")
    project_id = PublicIdField(PROJECT, source="workspace_id")
    currency = CurrencyField()
    balance = UsdStringField(help_text="What the ledger says.")
    held = UsdStringField(help_text="What running answers may cost, and ended ones did, until it is posted.")
    credit_limit = UsdStringField(allow_null=True, help_text="Null: there is no limit.")
    available = UsdStringField(
        allow_null=True, help_text="`balance` + `credit_limit` - `held`; null where there is no limit."
    )
    budgets = serializers.SerializerMethodField()

    @extend_schema_field(BudgetSerializer(many=True))
    def get_budgets(self, wallet: Wallet) -> list[dict[str, Any]]:
        show = BudgetSerializer().to_representation
        return [show(use) for use in self.context["budgets"]]


class TransactionSerializer(serializers.Serializer[WalletMovement]):
    id = PublicIdField(TRANSACTION, source="transaction.id")
    object = ConstantField("billing.transaction")
    created_at = TimestampField(source="transaction.created_at")
    kind = serializers.ChoiceField(Transaction.Kind.values, source="transaction.kind")
    amount = UsdStringField(help_text="What the wallet gained; negative where it lost.")
    currency = CurrencyField()
    reason = OptionalTextField(source="transaction.reason")
    reference = OptionalTextField(source="transaction.reference", help_text="Of a payment.")
    completion_id = serializers.SerializerMethodField(help_text="What was charged for, or given back.")
    model = serializers.SerializerMethodField()
    reverses = PublicIdField(TRANSACTION, source="transaction.reverses_id", allow_null=True)
    reversed_by = PublicIdField(TRANSACTION, allow_null=True)

    def get_completion_id(self, movement: WalletMovement) -> str | None:
        charge = movement.charge
        is_completion = charge is not None and charge.kind == Charge.Kind.COMPLETION
        return format_id(COMPLETION, charge.id) if charge and is_completion else None

    def get_model(self, movement: WalletMovement) -> str | None:
        return movement.charge.model if movement.charge else None


class TotalsSerializer(serializers.Serializer[Mapping[str, int]]):
    """What the wallet gained in the month, by kind of transaction."""

    charge = UsdStringField()
    top_up = UsdStringField()
    promotion = UsdStringField()
    adjustment = UsdStringField()
    reversal = UsdStringField()


class StatementSerializer(serializers.Serializer[Statement]):
    """The context says whether it `is_closed`."""

    id = serializers.DateField(source="month", format="%Y-%m", help_text="The month, such as `2026-01`.")
    object = ConstantField("billing.statement")
    project_id = PublicIdField(PROJECT, source="workspace_id")
    starts_at = MidnightField(source="month")
    ends_at = serializers.SerializerMethodField(help_text="Exclusive.")
    closed = serializers.SerializerMethodField(help_text="False: a preview, which may still change.")
    created_at = TimestampField(help_text="When it was closed; of a preview: now.")
    currency = CurrencyField()
    opening = UsdStringField(help_text="The balance when the month began.")
    totals = TotalsSerializer()
    closing = UsdStringField(help_text="`opening` and all of `totals`.")

    def get_ends_at(self, statement: Statement) -> int:
        return int(start_of(month_after(statement.month)).timestamp())

    def get_closed(self, statement: Statement) -> bool:
        return bool(self.context["is_closed"])


class UnitsSerializer(serializers.Serializer[Mapping[str, int]]):
    """Kinds that do not overlap: `prompt` is neither cached nor sound, `completion` neither reasoning nor
    sound."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {name: serializers.IntegerField() for name in UNIT_NAMES}


class StatementLineSerializer(serializers.Serializer[Mapping[str, Any]]):
    model = serializers.CharField()
    kind = serializers.ChoiceField(Charge.Kind.values)
    requests = serializers.IntegerField()
    units = UnitsSerializer()
    amount = UsdStringField(help_text="All lines together are `totals.charge`.")


class OthersSerializer(serializers.Serializer[StatementReport]):
    """Movements that are too many to be listed; `/v1/billing/transactions` has them all."""

    count = serializers.IntegerField(source="others")
    amount = UsdStringField(source="others_amount")


class FullStatementSerializer(StatementSerializer):
    lines = StatementLineSerializer(many=True, help_text="What the charges were for.")
    movements = serializers.SerializerMethodField(help_text="All that moved but charges.")
    others = serializers.SerializerMethodField()

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
