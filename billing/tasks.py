"""Billing's background tasks. Each only calls one function, and may run twice or die anywhere."""

from contextlib import closing
from datetime import timedelta

from celery import shared_task

from billing import charge_posting, meter_export, operator_alerts, statements, stripe_meters


@shared_task
def post_settled() -> None:
    charge_posting.post_settled()


@shared_task
def alert_low_balances() -> None:
    operator_alerts.check_low_balances()


@shared_task
def alert_overdrawn() -> None:
    operator_alerts.check_overdrawn()


@shared_task
def alert_unpriced() -> None:
    operator_alerts.check_unpriced()


@shared_task
def mail_alerts() -> None:
    operator_alerts.mail_new_alerts()


@shared_task
def export_meters() -> None:
    _export(meter_export.RECENT_WINDOW)


@shared_task
def export_late_meters() -> None:
    """Also export hours that ended long ago, for what was posted late and for new customers."""
    _export(meter_export.MAX_AGE)


def _export(since: timedelta) -> None:
    if meter := stripe_meters.configured_meter():
        with closing(meter):
            meter_export.export(meter, since)


@shared_task
def make_statements() -> None:
    statements.create_missing_statements()
