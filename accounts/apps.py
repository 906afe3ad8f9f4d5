from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed

        from accounts.security_events import receivers

        user_logged_in.connect(receivers.on_signed_in)
        user_logged_out.connect(receivers.on_signed_out)
        user_login_failed.connect(receivers.on_sign_in_failed)
