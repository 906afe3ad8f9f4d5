"""Invite somebody to sign up; only the link goes to standard output."""

import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email

from accounts.sign_in import invitations


class Command(BaseCommand):
    help = "Invite somebody to sign up with an address. Prints the link, which works once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--url", default="http://localhost:8000", help="scheme and host of the service")
        parser.add_argument("--mail", action="store_true", help="send the link, too")

    def handle(self, *, email: str, url: str, mail: bool, **options: Any) -> None:
        if not re.fullmatch(r"https?://[^/\s]+/?", url):
            raise CommandError(f"{url!r} is no scheme and host, such as https://chat.example.com.")
        try:
            validate_email(email)
            invitation, token = invitations.invite(email, None)
        except ValidationError as error:
            raise CommandError(f"{email}: {' '.join(error.messages)}") from None
        link = invitations.link(token, url)
        if mail:
            invitations.send(invitation, link)
        if settings.CHATAPI_SIGN_UP == "closed":
            self.stderr.write("Nobody can sign up now: set CHATAPI_SIGN_UP=invitation.")
        self.stderr.write(f"{email} signs up here until {invitation.expires_at:%Y-%m-%d %H:%M} UTC:")
        self.stdout.write(link)
