from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from accounts.data_export import register_exporter
        from billing.data_export import export_billing

        register_exporter(self.name, export_billing)
