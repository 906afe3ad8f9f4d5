"""What tests of money share. By tests/models.toml `priced` costs 1,000 nano-USD a prompt token, 10,000 a
completion token and 20,000 a reasoning token."""

from billing import ledger, verification
from billing.models import Wallet
from billing.posting import post_settled
from chatapi.completions import billing_audit
from tests.support.people import Person

PROMPT, COMPLETION, REASONING = 1_000, 10_000, 20_000
BOUND = 1000 * PROMPT + 100 * REASONING
"""What a call of `priced` holds at most: its whole context, and a longest answer at the dearest rate."""


def give(who: Person, nano: int) -> None:
    ledger.top_up(who.workspace.id, nano, reason="paid by bank transfer", by="treasurer@example.com")


def wallet_of(who: Person) -> Wallet:
    return Wallet.objects.get(pk=who.workspace.id)


def books_add_up() -> None:
    """In whatever state they are, and when all is posted."""
    assert not (problems := found()), problems
    post_settled()
    assert not (problems := found()), problems


def found() -> list[str]:
    return [str(one) for one in (*verification.discrepancies(), *billing_audit.discrepancies())]
