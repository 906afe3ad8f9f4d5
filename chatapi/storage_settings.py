"""Django's STORAGES from environment variables: a folder under the data directory, or an S3 bucket."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chatapi.env import env, env_secret

BUCKET = "CHATAPI_S3_BUCKET"
ENDPOINT = "CHATAPI_S3_ENDPOINT"
REGION = "CHATAPI_S3_REGION"
PREFIX = "CHATAPI_S3_PREFIX"
ACCESS_KEY = "CHATAPI_S3_ACCESS_KEY_ID"
SECRET_KEY = "CHATAPI_S3_SECRET_ACCESS_KEY"  # noqa: S105  (the variable's name)
KEYS = (ACCESS_KEY, SECRET_KEY)
_DISK = "media.storage.disk.WholeFileStorage"
VARIABLES = (BUCKET, ENDPOINT, REGION, PREFIX, *KEYS)


def storages(data_dir: Path) -> dict[str, dict[str, Any]]:
    """Build STORAGES. Raises `SystemExit` for settings that make no sense, without showing a secret.

    Without keys of our own, boto3 looks where it always does: AWS_* variables, profiles, the machine's role.
    """
    given = {name: value for name in VARIABLES if (value := (env_secret if name in KEYS else env)(name))}
    return {
        "default": _bucket(given) if given else _folder(data_dir / "media"),
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


def keeps_media_on_disk(storages: Mapping[str, Mapping[str, Any]]) -> bool:
    return str(storages["default"]["BACKEND"]) == _DISK


def _folder(location: Path) -> dict[str, Any]:
    return {
        "BACKEND": _DISK,
        "OPTIONS": {"location": str(location), "file_permissions_mode": 0o600},
    }


def _bucket(given: Mapping[str, str]) -> dict[str, Any]:
    if BUCKET not in given:
        raise SystemExit(
            f"chatapi: {', '.join(given)} without {BUCKET}: name the bucket too, or none of them"
        )
    options: dict[str, Any] = {"bucket_name": given[BUCKET]}
    if ENDPOINT in given:
        options["endpoint_url"] = _endpoint(given[ENDPOINT])
    if REGION in given:
        options["region_name"] = given[REGION]
    if PREFIX in given:
        options["location"] = given[PREFIX].strip("/")
    return {"BACKEND": "media.storage.s3.ObjectStorage", "OPTIONS": options | _keys(given)}


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        is_valid = False
    if not is_valid:
        raise SystemExit(f"chatapi: {ENDPOINT} is not a server's URL, such as https://s3.example.com")
    return url


def _keys(given: Mapping[str, str]) -> dict[str, str | None]:
    if (ACCESS_KEY in given) != (SECRET_KEY in given):
        raise SystemExit(f"chatapi: {ACCESS_KEY} and {SECRET_KEY} belong together: set both, or neither")
    if ACCESS_KEY not in given:
        return {}
    # AWS_SESSION_TOKEN belongs to other keys
    return {"access_key": given[ACCESS_KEY], "secret_key": given[SECRET_KEY], "security_token": None}
