from django.apps import AppConfig
from django.core import checks

# shared tasks belong to the Celery application created here
from chatapi import celery  # noqa: F401


class ChatapiConfig(AppConfig):
    name = "chatapi"

    def ready(self) -> None:
        from chatapi.checks import ALL
        from chatapi.models_file import load_registry
        from engines.served_models import load_models_with

        load_models_with(load_registry)
        for check in ALL:
            checks.register(check)
