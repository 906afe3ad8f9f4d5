"""Key validation: each admission asks which keys are valid, with a SQL statement that is built once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.keys.end_user_tokens import TokenRequest, create_end_user_token
from accounts.keys.services import create_api_key, revoke_api_key
from accounts.keys.validation import valid_secrets, valid_tokens
from accounts.models import EndUserToken, KeySecret
from accounts.principal import Principal
from accounts.secret_digests import digest_of
from tests.support.people import Person

pytestmark = pytest.mark.django_db


def test_only_usable_keys_are_valid(alice: Person, bob: Person, charlie: Person) -> None:
    digests = {name: digest_of(who.key) for name, who in (("a", alice), ("b", bob), ("c", charlie))}
    assert valid_secrets({*digests.values(), digest_of("nobody's"), "'"}) == set(digests.values())

    alice.user.api_keys.update(expires_at=timezone.now() + timedelta(minutes=1))
    assert valid_secrets([digests["a"]]) == {digests["a"]}
    alice.user.api_keys.update(expires_at=timezone.now() - timedelta(milliseconds=1))
    assert valid_secrets([digests["a"]]) == set()

    KeySecret.objects.filter(key=bob.key_id).update(expires_at=timezone.now())
    assert valid_secrets([digests["b"]]) == set()
    KeySecret.objects.filter(key=bob.key_id).update(expires_at=timezone.now() + timedelta(minutes=1))
    assert valid_secrets([digests["b"]]) == {digests["b"]}

    revoke_api_key(charlie.user.api_keys.get())
    assert valid_secrets([digests["c"]]) == set()

    bob.user.memberships.filter(workspace=alice.workspace).delete()
    assert valid_secrets([digests["b"]]) == set()


def test_any_number_of_keys_is_looked_up(alice: Person) -> None:
    digests = {digest_of(create_api_key(alice.workspace, alice.user)[1]) for _ in range(70)}
    assert valid_secrets(digests) == digests
    assert valid_secrets([]) == set()


def test_a_deactivated_user_has_no_valid_key(alice: Person) -> None:
    alice.user.is_active = False
    alice.user.save()
    assert valid_secrets([digest_of(alice.key)]) == set()


def test_only_usable_tokens_are_valid(alice: Person) -> None:
    own = Principal(alice.workspace.pk, alice.user.pk, alice.key_id)
    token, secret = create_end_user_token(own, TokenRequest("dave", None), digest_of(alice.key))
    of_token = EndUserToken.objects.filter(pk=token.pk)
    assert valid_tokens([digest_of(secret), digest_of(alice.key)]) == {digest_of(secret)}
    assert valid_secrets([digest_of(secret)]) == set()

    of_token.update(revoked_at=timezone.now())
    assert valid_tokens([digest_of(secret)]) == set()
    of_token.update(revoked_at=None, expires_at=timezone.now())
    assert valid_tokens([digest_of(secret)]) == set()
    of_token.update(expires_at=timezone.now() + timedelta(minutes=1))
    assert valid_tokens([digest_of(secret)]) == {digest_of(secret)}
    alice.user.api_keys.update(revoked_at=timezone.now())
    assert valid_tokens([digest_of(secret)]) == set()
