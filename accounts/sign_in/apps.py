from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    """The admin, signed in to as all else is."""

    default_site = "accounts.sign_in.admin_site.AdminSite"
