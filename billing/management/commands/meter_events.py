"""List and settle the sums that could not be sent to Stripe's meter."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import meter_export
from billing.exceptions import InvalidBillingAction
from core.money import format_usd


class Command(BaseCommand):
    help = (
        "List the sums that are not told to Stripe's meter yet. One that is in doubt may have arrived: look "
        "for its identifier in Stripe's dashboard, then say --arrived or --send-again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("identifier", nargs="?", help="chatapi-…")
        decision = parser.add_mutually_exclusive_group()
        decision.add_argument(
            "--arrived", action="store_true", help="Stripe has it, or it was billed otherwise."
        )
        decision.add_argument("--send-again", action="store_true", help="Stripe does not have it.")

    def handle(self, *args: Any, **options: Any) -> None:
        identifier, arrived = options["identifier"], options["arrived"]
        if (identifier is not None) != (arrived or options["send_again"]):
            raise CommandError("Name an identifier with --arrived or --send-again, or neither.")
        if identifier is None:
            self._list()
            return
        try:
            meter_export.settle(identifier, arrived=arrived)
        except InvalidBillingAction as problem:
            raise CommandError(str(problem)) from None

    def _list(self) -> None:
        for event in meter_export.overdue_events():
            self.stdout.write(
                f"{meter_export.identifier_of(event)}  {event.customer}  {format_usd(event.amount)} USD  "
                f"{meter_export.describe_delay(event)}"
            )
