"""The one way to read the environment; a wrong variable ends the start with one line that names it.

Not by environs or django-environ: an empty number is an error to the first, any other word than a true one is
false to the second, and both would need a wrapper around each of their errors to say it in that line.
"""

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from core.money import InvalidAmount, usd_to_nano
from core.secret_variables import UnusableSecret, read_secret, read_url

ROOT = Path(__file__).resolve().parent.parent


def env(name: str, default: str = "") -> str:
    """Return an environment variable without the space around it; an empty one counts as unset."""
    return os.environ.get(name, "").strip() or default


def env_secret(name: str) -> str:
    """Return a key or a password, which is masked in all that is logged or answered from now on."""
    try:
        return read_secret(name)
    except UnusableSecret as problem:
        raise SystemExit(f"chatapi: {problem}") from None


def env_url(name: str, default: str = "") -> str:
    """Return a URL whose password, if it has one, is masked from now on."""
    try:
        return read_url(name) or default
    except UnusableSecret as problem:
        raise SystemExit(f"chatapi: {problem}") from None


def env_web_url(name: str) -> str:
    """Return the address of a site; empty where none is set."""
    value = env_url(name)
    try:
        url = urlsplit(value)
    except ValueError:
        url = urlsplit("")
    is_plain = value.isprintable() and " " not in value
    if value and not (url.scheme in {"http", "https"} and url.hostname and is_plain):
        raise SystemExit(f"chatapi: {name} is no address such as https://chat.example.com")
    return value


def env_flag(name: str, *, default: bool = False) -> bool:
    value = env(name, "1" if default else "0").lower()
    if value not in {"0", "1", "true", "false", "yes", "no", "on", "off"}:
        raise SystemExit(f"chatapi: {name}={value!r} is neither true nor false")
    return value in {"1", "true", "yes", "on"}


def env_int(name: str, default: int, *, least: int = 0, most: int = 2**53) -> int:
    value = env(name, str(default))
    if not value.isascii() or not value.isdigit():
        raise SystemExit(f"chatapi: {name}={value!r} is not a whole number")
    if int(value) < least:
        raise SystemExit(f"chatapi: {name}={value!r} is below {least}")
    if int(value) > most:
        raise SystemExit(f"chatapi: {name}={value!r} is above {most}")
    return int(value)


def env_choice(name: str, *choices: str) -> str:
    """Return one of these words; the first is the default."""
    value = env(name, choices[0]).lower()
    if value not in choices:
        raise SystemExit(f"chatapi: {name}={value!r} is none of {', '.join(choices)}")
    return value


def env_nano_usd(name: str, default: str) -> int | None:
    """Return an amount of USD in nano-USD, or None if the variable says `none`."""
    value = env(name, default).lower()
    if value == "none":
        return None
    try:
        nano = usd_to_nano(value)
    except InvalidAmount as problem:
        raise SystemExit(f"chatapi: {name}: {problem}") from None
    if nano < 0:
        raise SystemExit(f"chatapi: {name}={value!r} is negative")
    return nano


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env(name, default).split(",") if item.strip()]


class MailServer(NamedTuple):
    host: str
    port: int
    user: str
    password: str
    uses_tls: bool
    uses_ssl: bool


_MAIL_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}


def env_mail_server(name: str) -> MailServer:
    """Parse a URL such as `smtp+tls://USER:PASSWORD@HOST:587`."""
    try:
        url = urlsplit(env_url(name, "smtp://localhost"))
        port = url.port or _MAIL_PORTS[url.scheme]
    except (KeyError, ValueError):  # its text may contain the password
        raise SystemExit(
            f"chatapi: {name} is no mail server's URL, such as smtp+tls://USER:PASSWORD@HOST:587"
        ) from None
    return MailServer(
        host=url.hostname or "localhost",
        port=port,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        uses_tls=url.scheme == "smtp+tls",
        uses_ssl=url.scheme == "smtps",
    )


def data_dir() -> Path:
    """Return the folder for everything the service writes."""
    return Path(env("CHATAPI_DATA_DIR", str(ROOT / "var"))).resolve()


def models_file() -> Path | None:
    path = env("CHATAPI_MODELS_FILE")
    return Path(path) if path else None
