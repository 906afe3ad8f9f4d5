from django.apps import AppConfig
from django.core import checks

# tasks are shared: they belong to the application that is made here
from chatapi import celery  # noqa: F401


class AccountsConfig(AppConfig):
    name = "chatapi.accounts"

    def ready(self) -> None:
        from chatapi.checks import ALL

        for check in ALL:
            checks.register(check)
