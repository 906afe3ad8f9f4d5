"""The terms of a workspace: the limits of its wallet, and the budgets of it and its keys."""

from uuid import UUID

from django.db import IntegrityError, transaction

from billing.exceptions import InvalidBillingAction
from billing.models import Budget, Wallet
from billing.wallet_locks import lock_wallets
from core.money import MAX_NANO, format_usd


def open_wallet(workspace_id: UUID) -> Wallet:
    """Return the workspace's wallet; if there is none, create it with the default credit limit."""
    with transaction.atomic():
        lock_wallets([workspace_id])
        return Wallet.objects.get(pk=workspace_id)


def set_terms(
    workspace_id: UUID, *, credit_limit: int | None, low_balance: int | None, stripe_customer: str = ""
) -> None:
    """Set the terms of a workspace's wallet, in nano-USD. Raises `InvalidBillingAction`.

    `credit_limit` None: no limit, `low_balance` None: no alert. Balance and holds stay as they are.
    """
    _check_amount("A credit limit", credit_limit)
    _check_amount("The balance that an alert is raised for", low_balance)
    with transaction.atomic():
        lock_wallets([workspace_id])
        Wallet.objects.filter(pk=workspace_id).update(
            credit_limit=credit_limit, low_balance=low_balance, stripe_customer=stripe_customer
        )


def add_budget(workspace_id: UUID, key_id: UUID | None, period: str, limit: int) -> Budget:
    """Add a budget. Raises `InvalidBillingAction`, also if there is one for this period already."""
    _check_amount("A budget", limit)
    try:
        with transaction.atomic():
            return Budget.objects.create(workspace_id=workspace_id, key_id=key_id, period=period, limit=limit)
    except IntegrityError as error:
        whose = "key" if key_id else "workspace"
        raise InvalidBillingAction(
            f"This {whose} has a budget a {period} already: change that one."
        ) from error


def change_budget(budget_id: UUID, limit: int) -> None:
    """Change the limit of a budget. Raises `InvalidBillingAction`."""
    _check_amount("A budget", limit)
    if not Budget.objects.filter(pk=budget_id).update(limit=limit):
        raise InvalidBillingAction("This budget has been removed.")


def remove_budget(budget_id: UUID) -> None:
    Budget.objects.filter(pk=budget_id).delete()


def _check_amount(what: str, amount: int | None) -> None:
    if amount is not None and not 0 <= amount <= MAX_NANO:
        raise InvalidBillingAction(f"{what} is 0 to {format_usd(MAX_NANO)} USD.")
