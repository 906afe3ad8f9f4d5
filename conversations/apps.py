from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "conversations"

    def ready(self) -> None:
        from accounts.data_export import register_exporter
        from accounts.deletion import WorkspaceContents, register_contents
        from billing.completion_finder import set_completion_finder
        from conversations.data_export import export_history
        from conversations.deletion import delete_history_of_workspace, history_counts_of_workspaces
        from conversations.selectors import find_completion

        set_completion_finder(find_completion)
        register_contents(
            self.name,
            WorkspaceContents(history_counts_of_workspaces, delete=delete_history_of_workspace),
        )
        register_exporter(self.name, export_history)
