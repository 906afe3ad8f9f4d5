from django.apps import AppConfig
from django.core import checks

# shared tasks belong to the Celery application created here
from chatapi import celery  # noqa: F401


class ChatapiConfig(AppConfig):
    name = "chatapi"

    def ready(self) -> None:
        from accounts.deletion import WorkspaceContents, register_contents, register_user_cleanup
        from chatapi.checks import ALL_CHECKS
        from chatapi.data_export.exports import delete_exports_of_user
        from chatapi.model_loading import load_registry
        from chatapi.request_log.deletion import delete_requests_of_user, delete_requests_of_workspace
        from engines.served_models import set_registry_loader

        set_registry_loader(load_registry)
        register_user_cleanup(f"{self.name}.data_export", delete_exports_of_user)
        register_user_cleanup(f"{self.name}.request_log", delete_requests_of_user)
        # records of calls keep nobody from deleting a workspace, so they count for nothing
        register_contents(
            self.name, WorkspaceContents(lambda _: {}, delete_after_commit=delete_requests_of_workspace)
        )
        for check in ALL_CHECKS:
            checks.register(check)
