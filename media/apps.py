from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        from django.conf import settings

        from accounts.data_export import register_exporter
        from accounts.deletion import WorkspaceContents, register_contents
        from core.http.exception_handler import register_conversion
        from media.api_errors import media_api_error, sandbox_api_error
        from media.data_export import export_files
        from media.processing.exceptions import MediaError
        from media.processing.sandbox.exceptions import SandboxError
        from media.processing.sandbox.pools import resize_pools
        from media.selectors import file_counts_of_workspaces
        from media.services import delete_workspace_files, delete_workspace_renditions

        resize_pools(
            file_jobs=settings.CHATAPI_FILE_JOBS,
            recognition_jobs=settings.CHATAPI_RECOGNITION_JOBS,
            synthesis_jobs=settings.CHATAPI_SYNTHESIS_JOBS,
        )
        register_contents(
            self.name,
            WorkspaceContents(
                file_counts_of_workspaces,
                delete=delete_workspace_renditions,
                delete_after_commit=delete_workspace_files,
            ),
        )
        register_exporter(self.name, export_files)
        register_conversion(MediaError, media_api_error)
        register_conversion(SandboxError, sandbox_api_error)
