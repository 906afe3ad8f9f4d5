"""Mail to people: kept in the database until the mail server has taken it, and where there is none, logged.

A request that sends one takes no longer than one that does not, and works while the mail server is away.
"""

import json
import logging
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from smtplib import SMTPException

from celery import current_app
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.utils import timezone

from accounts.models import OutgoingMail
from accounts.sign_in.encryption import Undecipherable, decrypt, encrypt

logger = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=1)
"""How long a mail is tried; its link has expired or was asked for again by then."""
RETRY_AFTER = timedelta(minutes=1)
SEND_MAIL = "accounts.tasks.send_mail"
LOG_BACKEND = "accounts.sign_in.mail.LogBackend"
_BATCH = 50


def queue(message: EmailMessage) -> None:
    """Keep a plain text for one recipient, and have it sent once the transaction is committed."""
    [recipient] = message.to
    content = encrypt(json.dumps([message.subject, message.body]))
    OutgoingMail.objects.create(recipient=recipient, content=content)
    transaction.on_commit(lambda: current_app.send_task(SEND_MAIL, retry=False), robust=True)


def send_due() -> None:
    """Send what is due. What the mail server does not take is tried again."""
    now = timezone.now()
    for mail in OutgoingMail.objects.filter(due_at__lte=now).order_by("due_at")[:_BATCH]:
        if _claim(mail, now):
            _send(mail, now)


def _claim(mail: OutgoingMail, now: datetime) -> bool:
    """Let no other process send it meanwhile. One that dies while it sends leaves the mail to a later run."""
    unclaimed = OutgoingMail.objects.filter(pk=mail.pk, due_at=mail.due_at)
    return unclaimed.update(due_at=now + RETRY_AFTER) == 1


def _send(mail: OutgoingMail, now: datetime) -> None:
    try:
        subject, body = json.loads(decrypt(mail.content))
        with get_connection() as connection:  # closed also where the server refuses the password
            EmailMessage(
                subject, body, settings.DEFAULT_FROM_EMAIL, [mail.recipient], connection=connection
            ).send()
    except (OSError, SMTPException) as error:  # their text may quote addresses
        if now - mail.created_at < KEPT_FOR:
            logger.warning("The mail server did not take a mail, to be tried again: %s", type(error).__name__)
            return
        logger.error("A mail was given up after a day: %s", type(error).__name__)
    except Undecipherable:
        logger.error("A mail was given up: it was written with another CHATAPI_SECRET_KEY")
    mail.delete()


class LogBackend(BaseEmailBackend):
    """What becomes of mails where no mail server is configured: the operator reads them in the log.

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
