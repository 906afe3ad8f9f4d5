"""`manage.py`: Django's commands, none of which makes a database by the way.

Under a wrong environment SQLite would open an empty database in another folder, and a command report that
all is well there.
"""

import sys
from collections.abc import Sequence

from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand

from chatapi.serving.exceptions import CannotStart

CREATE_THE_DATABASE = frozenset({"run", "migrate"})
NEED_NO_DATABASE = frozenset(
    {
        *("collectstatic", "compilemessages", "diffsettings", "findstatic", "makemessages", "makemigrations"),
        *("spectacular", "startapp", "startproject", "test", "testserver"),
    }
)
NEED_NO_MIGRATIONS = frozenset({"dbshell", "inspectdb", "showmigrations", "sqlmigrate"})
HELP = frozenset({"-h", "--help", "--version"})


def execute(arguments: Sequence[str]) -> None:
    """Run a command; end with one line where there is no database for it."""
    try:
        _Utility(list(arguments)).execute()
    except CannotStart as reason:
        sys.exit(f"chatapi: {reason}")


class _Utility(ManagementUtility):
    def fetch_command(self, subcommand: str) -> BaseCommand:
        command = super().fetch_command(subcommand)
        if self.argv[1:2] == [subcommand] and not HELP.intersection(self.argv):
            _check_database(subcommand, self.argv[2:])
        return command


def _check_database(command: str, options: Sequence[str]) -> None:
    if command in CREATE_THE_DATABASE | NEED_NO_DATABASE or _judges_settings_alone(command, options):
        return
    from chatapi.serving import preflight  # it imports models, which need Django set up

    if command in NEED_NO_MIGRATIONS:
        preflight.check_database()
    else:
        preflight.check_migrations()


def _judges_settings_alone(command: str, options: Sequence[str]) -> bool:
    """Whether it is `check --deploy`, which is run where an image is built, too."""
    return command == "check" and "--deploy" in options and "--database" not in " ".join(options)
