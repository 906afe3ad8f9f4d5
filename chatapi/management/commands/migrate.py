"""`manage.py migrate`: Django's own, one at a time, which may create the database."""

from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.core.management.commands import migrate

from chatapi.serving import preflight
from chatapi.serving.first_start import preparation_lock


class Command(migrate.Command):
    def execute(self, *args: Any, **options: Any) -> str | None:
        if options["plan"] or options["check_unapplied"]:
            preflight.check_database()
            return super().execute(*args, **options)
        _check_app(options["app_label"])
        for line in preflight.create_storage():
            self.stderr.write(f"chatapi: {line}")
        preflight.check_database()
        with preparation_lock(self.stdout.write):
            return super().execute(*args, **options)


def _check_app(label: str | None) -> None:
    """Raise `CommandError` for an app that is none, before anything is made for it."""
    try:
        if label:
            apps.get_app_config(label)
    except LookupError as error:
        raise CommandError(str(error)) from error
