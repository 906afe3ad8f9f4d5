"""API keys with what a test needs of them, and requests to the API with one."""

from typing import Any

import msgspec
from django.test import Client

from accounts.keys.services import create_api_key
from accounts.models import ApiKey
from accounts.permissions import DEFAULT_SCOPES, Scope
from core.ids import KEY, PROJECT, format_id, parse_id
from tests.support.people import Person

ALL_SCOPES = tuple(Scope)


class Caller:
    """A program that has a key or an end-user token."""

    def __init__(self, secret: str, key: ApiKey | None = None) -> None:
        self.secret, self.key = secret, key

    @property
    def id(self) -> str:
        assert self.key is not None
        return key_name(self.key)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        headers = {"Authorization": f"Bearer {self.secret}", **headers}
        return Client().generic(
            method, path, b"" if body is None else to_json(body), "application/json", headers=headers
        )

    def works(self) -> bool:
        return bool(self.send("GET", "/v1/models").status_code == 200)


def to_json(body: Any) -> bytes:
    return body if isinstance(body, bytes) else msgspec.json.encode(body)


def program(who: Person, *scopes: Scope, **options: Any) -> Caller:
    """Return a program with a new key of this person's, in their workspace."""
    key, secret = create_api_key(who.workspace, who.user, scopes=scopes or DEFAULT_SCOPES, **options)
    return Caller(secret, key)


def key_name(key: ApiKey) -> str:
    return format_id(KEY, key.pk)


def stored_key(public_id: str) -> ApiKey:
    id = parse_id(KEY, public_id)
    assert id is not None
    return ApiKey.objects.get(pk=id)


def keys_of(who: Person) -> str:
    return f"/v1/organization/projects/{format_id(PROJECT, who.workspace.pk)}/api_keys"
