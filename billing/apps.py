from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from accounts.data_export import register_exporter
        from accounts.keys.authority import register_bound
        from accounts.keys.end_user_tokens import register_spending
        from billing.data_export import export_billing
        from billing.selectors import budget_of_key, spent_of_tokens

        register_exporter(self.name, export_billing)
        register_bound(budget_of_key)
        register_spending(spent_of_tokens)
