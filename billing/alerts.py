"""What an operator should see to. An alert tells of a matter while it lasts: it is found anew at each look,
and settled by itself once it is found no more.

Each is a line in the log when it is raised, a row in the admin site, and part of a mail where mail is set up.
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
from billing.money import format_usd
from billing.prices import current_tariffs

logger = logging.getLogger(__name__)

Kind = Alert.Kind

UNPRICED_FOR = timedelta(days=7)
"""How long calls without a price are a matter, where the model never gets one."""
IN_A_MAIL = 50


def low_balances() -> None:
    wallets = _limited().filter(low_balance__isnull=False, left__lt=F("low_balance"))
    rows = wallets.values_list("workspace_id", "left", "low_balance")
    matters = {
        str(workspace_id): (
            f"The workspace {workspace_id} has {format_usd(left)} USD left to spend, "
            f"less than {format_usd(low_balance)} USD."
        )
        for workspace_id, left, low_balance in rows
    }
    show(Kind.LOW_BALANCE, matters)


def overdrawn() -> None:
    """By a call that used more than it could be held for, say, or by an adjustment."""
    rows = _limited().filter(left__lt=0).values_list("workspace_id", "left")
    matters = {
        str(
            workspace_id
        ): f"The workspace {workspace_id} has overdrawn its wallet by {format_usd(-left)} USD."
        for workspace_id, left in rows
    }
    show(Kind.OVERDRAWN, matters)


def unpriced() -> None:
    """Models that answered without a price. Settled once they have one."""
    since = timezone.now() - UNPRICED_FOR
    hours = UsageRollup.objects.filter(unpriced__gt=0, width=UsageRollup.Width.HOUR, starts_at__gte=since)
    counts = dict(hours.values_list("model").annotate(calls=Sum("unpriced")))
    priced = current_tariffs(counts, timezone.now())
    matters = {
        model: (
            f"{calls} calls of the last {UNPRICED_FOR.days} days to the model {model!r}, which has no price, "
            "were billed to nobody."
        )
        for model, calls in counts.items()
        if model not in priced
    }
    show(Kind.UNPRICED, matters)


def _limited() -> QuerySet[Any]:
    """Wallets that can run dry, with what is `left` to spend."""
    limited = Wallet.objects.filter(credit_limit__isnull=False)
    return limited.annotate(left=F("balance") + F("credit_limit") - F("held"))


def show(kind: Alert.Kind, matters: Mapping[str, str]) -> None:
    """Make the open alerts of a kind these, texts by subject: raise what is new, settle what is over. May run
    twice, and in several workers at once."""
    open_ones = {alert.subject: alert for alert in Alert.objects.filter(kind=kind, settled_at=None)}
    for subject, text in matters.items():
        known = open_ones.pop(subject, None)
        if known is None:
            _raise(kind, subject, text)
        elif known.text != text:
            Alert.objects.filter(pk=known.pk).update(text=text)
    over = [alert.pk for alert in open_ones.values()]
    if over:
        Alert.objects.filter(pk__in=over, settled_at=None).update(settled_at=timezone.now())


def settle(ids: Sequence[UUID]) -> int:
    """By hand: what lasts is found anew at the next look. Gives how many were open."""
    return Alert.objects.filter(pk__in=ids, settled_at=None).update(settled_at=timezone.now())


def _raise(kind: Alert.Kind, subject: str, text: str) -> None:
    _, is_new = Alert.objects.get_or_create(
        kind=kind, subject=subject, settled_at=None, defaults={"text": text}
    )
    if is_new:  # another worker may have been faster
        logger.warning("%s", text)


def mail_news() -> None:
    """Mail those open alerts that were not mailed yet, all in one. They are marked first: a worker that dies
    while it sends loses the mail, not the alert, and repeats neither. Where the mail server fails, the next
    run tries again."""
    if not settings.ADMINS:
        return
    claim, sent = timezone.now(), False
    news = [
        alert for alert in Alert.objects.filter(settled_at=None, mailed_at=None) if _is_mine(alert, claim)
    ]
    if not news:
        return
    try:
        _mail(news)
        sent = True
    except OSError as error:  # its text may hold addresses
        logger.warning("Alerts could not be mailed, to be tried again: %s", type(error).__name__)
    finally:
        if not sent:
            Alert.objects.filter(pk__in=[alert.pk for alert in news], mailed_at=claim).update(mailed_at=None)


def _is_mine(alert: Alert, claim: datetime) -> bool:
    return Alert.objects.filter(pk=alert.pk, mailed_at=None).update(mailed_at=claim) == 1


def _mail(alerts: Sequence[Alert]) -> None:
    texts = [alert.text for alert in alerts[:IN_A_MAIL]]
    if len(alerts) > IN_A_MAIL:
        texts.append(f"And {len(alerts) - IN_A_MAIL} more, which the admin site lists.")
    subject = " ".join(alerts[0].text.split())[:100] if len(alerts) == 1 else f"{len(alerts)} alerts"
    mail_admins(subject, "\n\n".join(texts))
