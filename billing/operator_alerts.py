"""Alerts: conditions that need an operator's attention.

Each check looks for the current conditions, and settles an alert once its condition is gone. An alert is a
line in the log when it is raised, a row in the admin site, and part of an email if email is set up.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import mail_admins
from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from billing.models import Alert, UsageRollup, Wallet
from billing.prices import current_tariffs
from core.money import format_usd
from core.redaction import redact

logger = logging.getLogger(__name__)

AlertKind = Alert.Kind

UNPRICED_WINDOW = timedelta(days=7)
"""How long unpriced calls keep an alert open if their model never gets a price."""
MAX_ALERTS_PER_MAIL = 50


def check_low_balances() -> None:
    wallets = _limited().filter(low_balance__isnull=False, left__lt=F("low_balance"))
    rows = wallets.values_list("workspace_id", "left", "low_balance")
    texts_by_subject = {
        str(workspace_id): (
            f"The workspace {workspace_id} has {format_usd(left)} USD left to spend, "
            f"less than {format_usd(low_balance)} USD."
        )
        for workspace_id, left, low_balance in rows
    }
    sync_alerts(AlertKind.LOW_BALANCE, texts_by_subject)


def check_overdrawn() -> None:
    """Alert about wallets overdrawn by, say, an adjustment or a call that used more than was held for it."""
    rows = _limited().filter(left__lt=0).values_list("workspace_id", "left")
    texts_by_subject = {
        str(
            workspace_id
        ): f"The workspace {workspace_id} has overdrawn its wallet by {format_usd(-left)} USD."
        for workspace_id, left in rows
    }
    sync_alerts(AlertKind.OVERDRAWN, texts_by_subject)


def check_unpriced() -> None:
    """Alert about models that answered without a price; settled once they have one."""
    since = timezone.now() - UNPRICED_WINDOW
    hours = UsageRollup.objects.filter(unpriced__gt=0, width=UsageRollup.Width.HOUR, starts_at__gte=since)
    counts = dict(hours.values_list("model").annotate(calls=Sum("unpriced")))
    priced = current_tariffs(counts, timezone.now())
    texts_by_subject = {
        model: (
            f"{calls} calls of the last {UNPRICED_WINDOW.days} days to the model {model!r}, "
            "which has no price, were billed to nobody."
        )
        for model, calls in counts.items()
        if model not in priced
    }
    sync_alerts(AlertKind.UNPRICED, texts_by_subject)


def _limited() -> QuerySet[Any]:
    """Return the wallets that can run out of money, with what is `left` to spend."""
    limited = Wallet.objects.filter(credit_limit__isnull=False)
    return limited.annotate(left=F("balance") + F("credit_limit") - F("held"))


def sync_alerts(kind: Alert.Kind, texts_by_subject: Mapping[str, str]) -> None:
    """Raise and settle alerts so that the open ones of a kind are these texts by subject.

    May run twice, and in several workers at once.
    """
    texts_by_subject = {subject: redact(text) for subject, text in texts_by_subject.items()}
    open_alerts = {alert.subject: alert for alert in Alert.objects.filter(kind=kind, settled_at=None)}
    for subject, text in texts_by_subject.items():
        existing = open_alerts.pop(subject, None)
        if existing is None:
            _open_alert(kind, subject, text)
        elif existing.text != text:
            Alert.objects.filter(pk=existing.pk).update(text=text)
    resolved = [alert.pk for alert in open_alerts.values()]
    if resolved:
        Alert.objects.filter(pk__in=resolved, settled_at=None).update(settled_at=timezone.now())


def settle(ids: Sequence[UUID]) -> int:
    """Settle alerts by hand and return how many were open. The next check raises again those that persist."""
    return Alert.objects.filter(pk__in=ids, settled_at=None).update(settled_at=timezone.now())


def _open_alert(kind: Alert.Kind, subject: str, text: str) -> None:
    _, is_new = Alert.objects.get_or_create(
        kind=kind, subject=subject, settled_at=None, defaults={"text": text}
    )
    if is_new:  # another worker may have been faster
        logger.warning("%s", text)


def mail_new_alerts() -> None:
    """Email all open alerts that were not mailed yet, in one message.

    They are marked first: a worker that dies while sending loses the email but not the alert, and repeats
    neither. If the mail server fails, the next run tries again.
    """
    if not settings.ADMINS:
        return
    claim, sent = timezone.now(), False
    unmailed = [
        alert for alert in Alert.objects.filter(settled_at=None, mailed_at=None) if _claim(alert, claim)
    ]
    if not unmailed:
        return
    try:
        _mail(unmailed)
        sent = True
    except OSError as error:  # its text may contain addresses
        logger.warning("Alerts could not be mailed, to be tried again: %s", type(error).__name__)
    finally:
        if not sent:
            Alert.objects.filter(pk__in=[alert.pk for alert in unmailed], mailed_at=claim).update(
                mailed_at=None
            )


def _claim(alert: Alert, claim: datetime) -> bool:
    return Alert.objects.filter(pk=alert.pk, mailed_at=None).update(mailed_at=claim) == 1


def _mail(alerts: Sequence[Alert]) -> None:
    texts = [alert.text for alert in alerts[:MAX_ALERTS_PER_MAIL]]
    if len(alerts) > MAX_ALERTS_PER_MAIL:
        texts.append(f"And {len(alerts) - MAX_ALERTS_PER_MAIL} more, which the admin site lists.")
    subject = " ".join(alerts[0].text.split())[:100] if len(alerts) == 1 else f"{len(alerts)} alerts"
    mail_admins(subject, "\n\n".join(texts))
