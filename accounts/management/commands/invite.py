"""Invite somebody to sign up, or into a workspace; only the link goes to standard output."""

import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email

from accounts.management.arguments import workspace_named
from accounts.models import Invitation, Workspace
from accounts.roles import Role
from accounts.sign_in.invitations import send
from accounts.workspaces.invitations import invite, link, mailed_link
from core.exceptions import ApiError


class Command(BaseCommand):
    help = "Invite somebody to sign up, or into a workspace. Prints the link, which works once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", nargs="?", default="", help="left out: whoever has the link may join")
        parser.add_argument("--workspace", metavar="ID", help="default: none, the person only signs up")
        parser.add_argument("--role", choices=Role.values, help=f"in the workspace; default: {Role.MEMBER}")
        parser.add_argument("--url", default="http://localhost:8000", help="scheme and host of the service")
        parser.add_argument("--mail", action="store_true", help="send the link, too")

    def handle(self, *, email: str, url: str, mail: bool, **options: Any) -> None:
        if not re.fullmatch(r"https?://[^/\s]+/?", url):
            raise CommandError(f"{url!r} is no scheme and host, such as https://chat.example.com.")
        workspace = workspace_named(options["workspace"]) if options["workspace"] is not None else None
        if workspace is None and options["role"]:
            raise CommandError("A role is one in a workspace: name that with --workspace.")
        if not email and (workspace is None or mail):
            raise CommandError("Name the email address: only a link into a workspace needs none.")
        invitation, token = _invite(email, workspace, Role(options["role"] or Role.MEMBER))
        if mail:
            send(invitation, token, url)
        if settings.CHATAPI_SIGN_UP == "closed":
            self.stderr.write("Nobody can sign up now: set CHATAPI_SIGN_UP=invitation.")
        does = "signs up" if workspace is None else f"joins {workspace} as {invitation.role}"
        until = f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC"
        self.stderr.write(f"{email or 'Who has this link'} {does} here until {until}:")
        self.stdout.write((mailed_link if email else link)(invitation, token, url))


def _invite(email: str, workspace: Workspace | None, role: Role) -> tuple[Invitation, str]:
    try:
        if email:
            validate_email(email)
        return invite(email, None, workspace=workspace, role=role)
    except ValidationError as error:
        raise CommandError(f"{email}: {' '.join(error.messages)}") from None
    except ApiError as error:
        raise CommandError(error.message) from None
