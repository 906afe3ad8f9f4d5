from django.apps import AppConfig
from django.db.models.signals import pre_delete


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from allauth.account.signals import email_confirmed

        from accounts.data_export import export_account, register_exporter
        from accounts.security_events.receivers import connect
        from accounts.sign_in.invitations import on_email_confirmed
        from accounts.sign_in.mfa_adapter import keep_last_factor

        connect()
        email_confirmed.connect(on_email_confirmed)
        register_exporter(self.name, export_account)
        pre_delete.connect(keep_last_factor, sender="mfa.Authenticator")
