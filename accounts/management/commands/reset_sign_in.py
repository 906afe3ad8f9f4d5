"""Let somebody in again who has locked themselves out."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.sign_in.reset import reset_sign_in


class Command(BaseCommand):
    help = (
        "Help a user who cannot sign in: print a new password, remove their second factors, end their "
        "sessions and forget failed attempts. Keys stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--keep-second-factor", action="store_true", help="only the password is lost")

    def handle(self, *, email: str, keep_second_factor: bool, **options: Any) -> None:
        try:
            user = User.objects.get_by_natural_key(email)
        except User.DoesNotExist:
            raise CommandError(f"There is no user {email!r}.") from None
        password = reset_sign_in(user, keep_second_factor=keep_second_factor)
        if not user.is_active:
            self.stderr.write(f"{user} is deactivated: an administrator has to change that first.")
        self.stderr.write(f"{user} signs in with this password, and changes it then:")
        self.stdout.write(password)
