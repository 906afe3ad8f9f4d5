"""How people sign in: settings of Django's sessions and of django-allauth. docs/operating.md has ours."""

from chatapi.env import env_choice, env_flag, env_int, env_list, env_web_url
from chatapi.sign_in_providers import apps_by_kind, providers

_providers = providers()
SIGN_IN_APPS = [
    "allauth",
    "allauth.account",
    "allauth.headless",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",  # even without a provider: its tables are then there when one comes
    *dict.fromkeys(provider.django_app for provider in _providers),
]

# --- ours ---------------------------------------------------------------------------------------

CHATAPI_SIGN_UP = env_choice("CHATAPI_SIGN_UP", "closed", "invitation", "open")
CHATAPI_STAFF_SECOND_FACTOR = env_choice("CHATAPI_STAFF_SECOND_FACTOR", "optional", "required")
CHATAPI_FRONTEND_URL = env_web_url("CHATAPI_FRONTEND_URL").rstrip("/")
CHATAPI_SESSION_IDLE_SECONDS = env_int(
    "CHATAPI_SESSION_IDLE_SECONDS", 14 * 86_400, least=60, most=400 * 86_400
)
CHATAPI_TRUSTED_PROXIES = env_list("CHATAPI_TRUSTED_PROXIES")
CHATAPI_MAIL_IN_LOG = env_flag("CHATAPI_MAIL_IN_LOG")
CHATAPI_WORKSPACES_PER_USER = env_int("CHATAPI_WORKSPACES_PER_USER", 10, most=100_000)
CHATAPI_INVITATION_DAYS = env_int("CHATAPI_INVITATION_DAYS", 7, least=1, most=90)

# --- sessions and passwords ---------------------------------------------------------------------

SESSION_ENGINE = "accounts.sign_in.sessions"
SESSION_COOKIE_AGE = 400 * 86_400  # the longest that browsers keep one; the server ends idle sessions
AUTHENTICATION_BACKENDS = ["accounts.sign_in.backend.PasswordBackend"]
PASSWORD_HASHERS = ["accounts.sign_in.password_hasher.PasswordHasher"]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/accounts/"
LOGOUT_REDIRECT_URL = LOGIN_URL

# Shared by all processes, and there wherever the service is. Beyond MAX_ENTRIES Django drops live entries: a
# stranger who makes many, by asking for links, would make it forget failed codes. A task deletes old ones.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "accounts_cacheentry",
        "OPTIONS": {"MAX_ENTRIES": 1_000_000},
    }
}

# --- allauth ------------------------------------------------------------------------------------

ACCOUNT_ADAPTER = "accounts.sign_in.account_adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"  # else it tells whether an address is taken
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = True  # the adapter drops them, for the same work as is done for known ones
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[chatapi] "
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_MAX_EMAIL_ADDRESSES = 2  # the present one, and one that waits for its verification
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True  # for another address, which would be another way in
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
# The backend limits failed sign-ins; login_failed is for codes of second factors alone. By address only where
# it is known: behind a proxy that is not trusted all have the same.
_known = bool(CHATAPI_TRUSTED_PROXIES) and "*" not in CHATAPI_TRUSTED_PROXIES
ACCOUNT_RATE_LIMITS = {
    "login_failed": "5/5m/key",
    "login": "30/m/ip" if _known else None,
    "reset_password": "20/m/ip,5/m/key" if _known else "5/m/key",
    "request_login_code": "20/m/ip,3/m/key" if _known else "3/m/key",
    "reset_password_from_key": "20/m/ip" if _known else None,
    "signup": "20/h/ip" if _known else "300/h/ip",  # of all together
    "invite": "30/h/user,3/d/key",  # mails of ours to strangers: by who invites, and by who is invited
}
MFA_RATE_LIMITS = {"webauthn_login": "10/m/ip" if _known else None}

MFA_ADAPTER = "accounts.sign_in.mfa_adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "chatapi"
MFA_TOTP_TOLERANCE = 1
MFA_RECOVERY_CODES_SHOW_ONCE = True

USERSESSIONS_ADAPTER = "accounts.sign_in.sessions_adapter.SessionsAdapter"

SOCIALACCOUNT_ADAPTER = "accounts.sign_in.social_adapter.SocialAdapter"
SOCIALACCOUNT_PROVIDERS = apps_by_kind(_providers)
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True

HEADLESS_ADAPTER = "accounts.sign_in.headless_adapter.HeadlessAdapter"
HEADLESS_SERVE_SPECIFICATION = True  # our document has it, and needs to know where it would be
HEADLESS_SPECIFICATION_TEMPLATE_NAME = None  # the page would load from elsewhere
HEADLESS_FRONTEND_URLS = (
    {
        "account_confirm_email": f"{CHATAPI_FRONTEND_URL}/verify-email/{{key}}",
        "account_reset_password": f"{CHATAPI_FRONTEND_URL}/reset-password",
        "account_reset_password_from_key": f"{CHATAPI_FRONTEND_URL}/reset-password/{{key}}",
        "account_signup": f"{CHATAPI_FRONTEND_URL}/sign-up",
        "socialaccount_login_error": f"{CHATAPI_FRONTEND_URL}/sign-in-error",
    }
    if CHATAPI_FRONTEND_URL
    else {}
)
