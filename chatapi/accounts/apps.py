from django.apps import AppConfig
from django.core import checks


class AccountsConfig(AppConfig):
    name = "chatapi.accounts"

    def ready(self) -> None:
        from chatapi.checks import ALL

        for check in ALL:
            checks.register(check)
