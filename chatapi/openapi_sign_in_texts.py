"""What allauth's document leaves unsaid of its schemas, and what is otherwise here."""

from typing import Any

from core.http.examples import NOON

SCHEMAS = {
    "Authenticated": "Who is signed in, and by what.",
    "AuthenticatedMeta": "What is told of the session of somebody who is signed in.",
    "AuthenticatedResponse": "Somebody is signed in.",
    "AuthenticationMeta": "What is told of the session.",
    "AuthenticationMethod": "A way in which somebody proved in this session who they are, and when.",
    "AuthenticatorList": "The second factors and passkeys of an account.",
    "BaseAuthenticationMeta": "What an app keeps of a session.",
    "BaseAuthenticator": "When a second factor was added and used.",
    "BaseSignup": "Who signs up.",
    "ConfigurationResponse": "How signing in is set up here.",
    "ConfirmLoginCode": "A code that was mailed.",
    "ConflictResponse": "The step does not fit: somebody is signed in already, or nobody is.",
    "EmailAddress": "An address of an account.",
    "EmailVerificationInfo": "Whose address a key verifies.",
    "EndSessions": "Which sessions to end.",
    "ErrorResponse": "What was sent is wrong.",
    "Flow": "A step that can be taken to sign in or, with `is_pending`, that waits to be taken.",
    "ForbiddenResponse": "It is not allowed, such as signing up where that is closed.",
    "Login": "An account's address and password.",
    "MFAAuthenticate": "A code of an authenticator app, or a recovery code.",
    "OptionalTimestamp": "A time in seconds since the epoch; null: never.",
    "Provider": "Another server by which people sign in.",
    "ProviderAccount": "An account at another server that is connected.",
    "ProviderList": "The other servers by which people sign in.",
    "ProviderRedirect": "By which server to sign in, and where to return to.",
    "ProviderSignup": "What another server did not tell of somebody who signs up.",
    "ProviderToken": "What an app got from another server.",
    "Reauthenticate": "The password, sent again.",
    "ReauthenticationCodeRecipient": "Where a code can be mailed.",
    "ReauthenticationRequired": "How somebody who is signed in can prove anew who they are.",
    "RecoveryCodesAuthenticator": "The recovery codes of an account, without the codes.",
    "RequestPassword": "Whose password was forgotten.",
    "RequestReauthenticationCode": "Where to mail a code.",
    "ResetPassword": "A new password, and the key that was mailed.",
    "SensitiveRecoveryCodesAuthenticator": "The recovery codes of an account, with the codes.",
    "Session": "Where somebody is signed in.",
    "Signup": "The address and password of a new account.",
    "StatusOK": "The same as the answer's HTTP status.",
    "TOTPAuthenticator": "An authenticator app.",
    "User": "The user of an account.",
    "VerifyEmail": "The key that was mailed.",
    "WebAuthnAuthenticator": "A security key or passkey.",
    "WebAuthnCredential": "What the browser made of the options: `PublicKeyCredential.toJSON()`.",
    "WebAuthnCredentialCreationOptions": "What `navigator.credentials.create` takes.",
    "WebAuthnCredentialRequestOptions": "What `navigator.credentials.get` takes.",
}
PROPERTIES = {
    "account": "The account at the other server.",
    "creation_options": "To be read by `PublicKeyCredential.parseCreationOptionsFromJSON`.",
    "credential": "What the browser made: `PublicKeyCredential.toJSON()`.",
    "data": "What was asked for, or what can be done next.",
    "email": "The addresses that the other server told.",
    "email_verification_by_code_enabled": "Whether addresses are verified by codes instead of links.",
    "errors": "What is wrong, and where.",
    "flows": "The steps that can be taken; the one with `is_pending` waits.",
    "id": "What it is named by.",
    "ip": "The address that it was last used from.",
    "is_authenticated": "Whether somebody is signed in.",
    "is_authenticating": "Whether this session waits for the address to be verified.",
    "is_current": "Whether it is the session of this request.",
    "is_open_for_signup": "Whether anybody may sign up.",
    "is_pending": "Always true: the step waits to be taken. Absent of others.",
    "login_by_code_enabled": "Whether people can sign in by a mailed code.",
    "login_methods": "What people are known by when they sign in.",
    "meta": "What is told of the session.",
    "method": "In which way.",
    "name": "What it is called.",
    "password_reset_by_code_enabled": "Whether passwords are reset by codes instead of links.",
    "primary": "Whether it is the address by which the person signs in and gets mail.",
    "provider": "The other server.",
    "providers": "The other servers by which people can sign in.",
    "reauthenticated": "True if somebody who was signed in proved anew who they are. Absent else.",
    "request_options": "To be read by `PublicKeyCredential.parseRequestOptionsFromJSON`.",
    "status": "The same as the answer's HTTP status.",
    "type": "The kind of second factor.",
    "user": "The account's user.",
    "user_agent": "The browser or app, as it calls itself.",
    "verified": "Whether a link that was mailed there was opened.",
}
"""By the names of fields, which mean the same wherever they have no description."""

_EMAIL: dict[str, Any] = {"$ref": "#/components/schemas/Email"}
_BOOLEAN = {"type": "boolean"}
OURS: dict[str, dict[str, Any]] = {
    "AccountConfiguration": {
        "type": "object",
        "description": "How accounts are made and used here.",
        "properties": {
            "login_methods": {"type": "array", "items": {"type": "string", "enum": ["email"]}},
            "is_open_for_signup": _BOOLEAN,
            "email_verification_by_code_enabled": {**_BOOLEAN, "example": False},
            "login_by_code_enabled": {**_BOOLEAN, "example": False},
            "password_reset_by_code_enabled": {**_BOOLEAN, "example": False},
        },
        "required": [
            *("login_methods", "is_open_for_signup", "email_verification_by_code_enabled"),
            *("login_by_code_enabled", "password_reset_by_code_enabled"),
        ],
    },
    "Login": {
        "type": "object",
        "properties": {"email": _EMAIL, "password": {"$ref": "#/components/schemas/Password"}},
        "required": ["email", "password"],
    },
    "ReauthenticationCodeRecipient": {
        "type": "object",
        "properties": {"email": _EMAIL},
        "required": ["email"],
    },
    "RequestReauthenticationCode": {
        "type": "object",
        "properties": {"email": _EMAIL},
        "required": ["email"],
    },
    "Timestamp": {
        "type": "number",
        "description": "A time in seconds since the epoch, with fractions.",
        "example": float(NOON),
    },
}
"""Schemas that have less here: people are known by their addresses alone, not by user names or phones."""

VALUES: dict[Any, Any] = {
    "Alohomora!": "correct horse battery staple",
    "Magic Wizard": "Alice Berg",
    "Master key": "Security key",
    "Wizzkid": "alice",
    "email@domain.org": "alice@example.com",
    1711555057.065702: float(NOON),
    1711555060.9375854: NOON + 4.0,
}
"""What allauth's examples say, and what ours do instead."""
