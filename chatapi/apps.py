from django.apps import AppConfig
from django.core import checks

# shared tasks belong to the Celery application created here
from chatapi import celery  # noqa: F401


class ChatapiConfig(AppConfig):
    name = "chatapi"

    def ready(self) -> None:
        from accounts.deletion import register_user_cleanup
        from chatapi.checks import ALL_CHECKS
        from chatapi.data_export.exports import delete_exports_of_user
        from chatapi.model_loading import load_registry
        from engines.served_models import set_registry_loader

        set_registry_loader(load_registry)
        register_user_cleanup(self.name, delete_exports_of_user)
        for check in ALL_CHECKS:
            checks.register(check)
