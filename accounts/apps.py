from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts.data_export import export_account, register_exporter
        from accounts.security_events.receivers import connect

        connect()
        register_exporter(self.name, export_account)
