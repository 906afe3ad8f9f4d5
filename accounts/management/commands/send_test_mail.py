"""Try the mail server: send one mail now, and say what became of it."""

from smtplib import SMTPException
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email

from accounts.sign_in.mail import LOG_BACKEND
from core.redaction import redact


class Command(BaseCommand):
    help = "Send a mail to an address, to see whether CHATAPI_EMAIL_URL and CHATAPI_EMAIL_FROM are right."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *, email: str, **options: Any) -> None:
        try:
            validate_email(email)
        except ValidationError:
            raise CommandError(f"{email!r} is not an email address.") from None
        if settings.EMAIL_BACKEND == LOG_BACKEND:
            raise CommandError(
                "No mail server is configured. Set CHATAPI_EMAIL_URL, such as smtp+tls://USER:PASSWORD@HOST:587."
            )
        server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
        text = "This service can send mail."
        message = EmailMessage(f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}Test", text, to=[email])
        try:
            with get_connection() as connection:  # closed however it ends
                connection.send_messages([message])
        except (OSError, SMTPException) as error:
            reason = redact(str(error)) or type(error).__name__
            raise CommandError(f"{server} did not take the mail: {reason}") from None
        self.stdout.write(f"{server} has taken a mail from {message.from_email} to {email}.")
