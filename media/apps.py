from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        from accounts.deletion import WorkspaceContents, register_contents
        from media.selectors import file_counts_of_workspaces
        from media.services import delete_workspace_files

        register_contents(
            self.name,
            WorkspaceContents(file_counts_of_workspaces, delete_after_commit=delete_workspace_files),
        )
