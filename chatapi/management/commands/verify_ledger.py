"""`manage.py verify_ledger`: prove that the ledger adds up."""

from itertools import chain
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import ngettext

from billing import verification
from billing.database_snapshot import snapshot
from billing.models import Charge, Transaction
from chatapi.completions import billing_audit


class Command(BaseCommand):
    help = "Compute all that was billed anew, from usage and prices; print what differs, and exit 1 on any."

    def handle(self, *args: Any, **options: Any) -> None:
        with snapshot():
            found = 0
            for discrepancy in chain(verification.discrepancies(), billing_audit.discrepancies()):
                found += 1
                self.stdout.write(str(discrepancy))
            charges, transactions = Charge.objects.count(), Transaction.objects.count()
        counts = (
            ngettext("%d charge", "%d charges", charges) % charges,
            ngettext("%d transaction", "%d transactions", transactions) % transactions,
            ngettext("%d discrepancy", "%d discrepancies", found) % found,
        )
        self.stdout.write(", ".join(counts))
        if found:
            raise SystemExit(1)
