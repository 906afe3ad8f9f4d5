"""Credit a payment to a workspace."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from accounts.models import User, Workspace
from accounts.services import personal_workspace
from billing import ledger
from billing.exceptions import InvalidBillingAction
from billing.models import Wallet
from core.money import InvalidAmount, format_usd, usd_to_nano


class Command(BaseCommand):
    help = "Top up a workspace's balance. The same --reference, such as a payment's number, is taken once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workspace", help="its id, or a user's email address for their personal one")
        parser.add_argument("amount", help="USD, such as 25 or 0.50")
        parser.add_argument("--reason", default="top_up command")
        parser.add_argument("--reference", help="what it was paid by")

    def handle(self, *, workspace: str, amount: str, **options: Any) -> None:
        try:
            found = _workspace(workspace)
            transaction = ledger.top_up(
                found.pk,
                usd_to_nano(amount),
                reason=options["reason"],
                by="manage.py top_up",
                reference=options["reference"],
            )
            balance = Wallet.objects.get(pk=found.pk).balance
        except (InvalidAmount, InvalidBillingAction) as problem:
            raise CommandError(str(problem)) from None
        except DatabaseError as error:
            raise CommandError(f"The database refused: {error}. Was `manage.py migrate` run?") from None
        self.stdout.write(f"{found}: {format_usd(balance)} USD (transaction {transaction.pk})")


def _workspace(text: str) -> Workspace:
    if "@" in text:
        user = User.objects.filter(email__iexact=text).first()
        if user is None:
            raise CommandError(f"There is no user {text!r}.")
        return personal_workspace(user)
    try:
        return Workspace.objects.get(pk=text)
    except (Workspace.DoesNotExist, ValidationError):
        raise CommandError(f"There is no workspace {text!r}.") from None
