"""Sign-in by somebody else's server, such as a company's, from environment variables."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

from chatapi.env import env, env_flag, env_list, env_secret, env_web_url

NAMES = "CHATAPI_SIGN_IN_PROVIDERS"
OPENID_CONNECT = "openid_connect"
_PACKAGE = "allauth.socialaccount.providers"
_NO_PROVIDERS = {OPENID_CONNECT, "base", "dummy", "oauth", "oauth2", "openid", "saml", "telegram"}


class Provider(NamedTuple):
    """An OpenID Connect server of any name, or one of those that allauth knows by theirs."""

    kind: str
    app: dict[str, Any]

    @property
    def django_app(self) -> str:
        return f"{_PACKAGE}.{self.kind}"


def providers() -> list[Provider]:
    """Read the providers. Raises `SystemExit` for one that cannot be meant."""
    names = env_list(NAMES)
    if len(names) > len(set(names)):
        raise SystemExit(f"chatapi: {NAMES} names a provider twice")
    return [_provider(name) for name in names]


def _provider(name: str) -> Provider:
    if not (name.isascii() and name.isidentifier() and name == name.lower()):
        raise SystemExit(f"chatapi: {NAMES}: {name!r} is no name; use small letters, digits and _")
    variable = f"CHATAPI_SIGN_IN_{name.upper()}"
    server = env_web_url(f"{variable}_URL")
    if not server and not _is_provider(name):
        raise SystemExit(
            f"chatapi: {NAMES} has {name!r}, which is none of allauth's providers: set {variable}_URL to the "
            "address of its OpenID Connect server"
        )
    client_id, secret = env(f"{variable}_CLIENT_ID"), env_secret(f"{variable}_SECRET")
    if not (client_id and secret):
        raise SystemExit(
            f"chatapi: {NAMES} has {name!r}: set {variable}_CLIENT_ID and {variable}_SECRET, too"
        )
    is_trusted = env_flag(f"{variable}_TRUSTED")
    settings = {"verified_email": is_trusted, "email_authentication": is_trusted, "sign_up": is_trusted}
    app = {
        "provider_id": name,
        "name": env(f"{variable}_NAME", name.replace("_", " ").title()),
        "client_id": client_id,
        "secret": secret,
        "settings": {**settings, "server_url": server} if server else settings,
    }
    return Provider(OPENID_CONNECT if server else name, app)


def _is_provider(name: str) -> bool:
    """Tell whether allauth has one of this name that client id and secret are enough for."""
    return name not in _NO_PROVIDERS and find_spec(f"{_PACKAGE}.{name}") is not None


def apps_by_kind(providers: Sequence[Provider]) -> dict[str, Any]:
    """Return SOCIALACCOUNT_PROVIDERS."""
    kinds = dict.fromkeys(provider.kind for provider in providers)
    return {
        kind: {
            "APPS": [provider.app for provider in providers if provider.kind == kind],
            "OAUTH_PKCE_ENABLED": True,
        }
        for kind in kinds
    }
