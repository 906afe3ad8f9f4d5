"""Mail to people: kept in the database until the mail server has taken it, and where there is none, logged.

A request that sends one takes no longer than one that does not, and works while the mail server is away.
"""

import json
import logging
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from smtplib import SMTPRecipientsRefused

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import OutgoingMail
from accounts.sign_in.encryption import Undecipherable, decrypt, encrypt

logger = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=1)
"""How long a mail is tried; its link has expired or was asked for again by then."""
LEAST_RETRY = timedelta(minutes=1)
LOG_BACKEND = "accounts.sign_in.mail.LogBackend"
PERMANENT = 500
"""From this code on, SMTP says that trying again would not help."""
_BATCH = 50


def queue(message: EmailMessage, *, is_kept: bool = True) -> None:
    """Keep a plain text for one recipient until the schedule sends it.

    One that is not kept costs the same time, and nobody gets it.
    """
    [recipient] = message.to
    content = encrypt(json.dumps([message.subject, message.body]))
    with transaction.atomic():
        mail = OutgoingMail.objects.create(recipient=recipient, content=content)
        if not is_kept:
            mail.delete()


def leads_to_claimed_host(text: str, request: HttpRequest) -> bool:
    """Tell, and log, whether a link in the text leads to where the request says, which may be anywhere."""
    is_claimed = "*" in settings.ALLOWED_HOSTS and f"://{request.get_host()}" in text
    if is_claimed:
        logger.error(
            "A mail with a link was not sent: it would lead to the host that the request claims, which "
            "may be anybody's. Set CHATAPI_ALLOWED_HOSTS to the names of this service"
        )
    return is_claimed


def send_due() -> None:
    """Send what is due, by one connection. What the mail server does not take now is tried again later."""
    now = timezone.now()
    due = OutgoingMail.objects.filter(due_at__lte=now).order_by("due_at")[:_BATCH]
    claimed = [mail for mail in due if _claim(mail, now)]
    if not claimed:
        return
    try:
        with get_connection() as connection:
            for mail in claimed:
                _send(mail, connection)
    except OSError as error:  # its text may quote addresses
        logger.warning("The mail server did not take a mail, to be tried again: %s", type(error).__name__)
        if OutgoingMail.objects.filter(created_at__lt=now - KEPT_FOR).delete()[0]:
            logger.error("Mails were given up after a day")


def _claim(mail: OutgoingMail, now: datetime) -> bool:
    """Let no other process send it meanwhile. One that dies while it sends leaves the mail to a later run."""
    next_try = now + max(LEAST_RETRY, (now - mail.created_at) / 4)
    return OutgoingMail.objects.filter(pk=mail.pk, due_at=mail.due_at).update(due_at=next_try) == 1


def _send(mail: OutgoingMail, connection: BaseEmailBackend) -> None:
    """Send a mail, or give it up. Raises `OSError` where a later try may succeed."""
    try:
        subject, body = json.loads(decrypt(mail.content))
        sender = settings.DEFAULT_FROM_EMAIL
        EmailMessage(subject, body, sender, [mail.recipient], connection=connection).send()
    except Undecipherable:
        logger.error("A mail was given up: it was written with another CHATAPI_SECRET_KEY")
    except SMTPRecipientsRefused as refusal:
        if any(code < PERMANENT for code, _ in refusal.recipients.values()):
            raise
        logger.error("A mail was given up: the mail server refuses its recipient")
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 (it stops no other)
        logger.error("A mail was given up: it cannot be written (%s)", type(error).__name__)
    mail.delete()


class LogBackend(BaseEmailBackend):
    """Log mails instead of sending them, where no mail server is configured.

    A link in one lets whoever reads it in. So the text is shown only on a terminal, which nobody collects, or
    where CHATAPI_MAIL_IN_LOG says so.
    """

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            if settings.CHATAPI_MAIL_IN_LOG or sys.stderr.isatty():
                self._show(message)
            else:
                logger.warning(
                    "A mail was not sent, since CHATAPI_EMAIL_URL names no mail server: %r. "
                    "CHATAPI_MAIL_IN_LOG=1 shows such mails here",
                    message.subject,
                )
        return len(email_messages)

    def _show(self, message: EmailMessage) -> None:
        logger.warning(
            "NOT SENT, since CHATAPI_EMAIL_URL names no mail server. Whoever has this link can use it:\n"
            "To: %s\nSubject: %s\n\n%s\n",
            ", ".join(message.to),
            message.subject,
            message.body,
        )
