from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from accounts.data_export import register_exporter
        from accounts.keys.end_user_tokens import register_spending
        from billing.data_export import export_billing
        from billing.selectors import spent_of_tokens

        register_exporter(self.name, export_billing)
        register_spending(spent_of_tokens)
