from django.apps import AppConfig
from django.core import checks

# shared tasks belong to the Celery application created here
from chatapi import celery  # noqa: F401


class ChatapiConfig(AppConfig):
    name = "chatapi"

    def ready(self) -> None:
        from chatapi.checks import ALL_CHECKS
        from chatapi.model_loading import load_registry
        from engines.served_models import set_registry_loader

        set_registry_loader(load_registry)
        for check in ALL_CHECKS:
            checks.register(check)
