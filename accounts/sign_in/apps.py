from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    """The admin site, without a sign-in form of its own."""

    default_site = "accounts.sign_in.admin_site.AdminSite"
