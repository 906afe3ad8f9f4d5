"""The access matrix of signing in: what each page and each address of allauth's API answers to whom.

Of each route what anonymous clients get, and who is signed in: a status, or where the answer leads. A key or
a token counts as nobody there. The requests have no body, the session is of somebody without a second factor
who signed in lately, and the ids in the addresses are of nothing.
"""

SIGN_IN = "/accounts/login/"
PROVE = "/accounts/reauthenticate/code/"
"""Where those prove anew who they are who would change how they sign in."""

Answers = tuple[int | str, int | str]

PAGES: dict[str, Answers] = {
    "GET /accounts/": (SIGN_IN, 200),
    "GET /accounts/2fa/": (SIGN_IN, 200),
    "GET POST /accounts/2fa/authenticate/": (SIGN_IN, "/accounts/"),
    "GET POST PUT /accounts/2fa/reauthenticate/": (SIGN_IN, PROVE),
    "GET /accounts/2fa/recovery-codes/": (SIGN_IN, 404),
    "GET /accounts/2fa/recovery-codes/download/": (SIGN_IN, 404),
    "GET POST PUT /accounts/2fa/recovery-codes/generate/": (SIGN_IN, PROVE),
    "GET POST PUT /accounts/2fa/totp/activate/": (SIGN_IN, PROVE),
    "GET POST PUT /accounts/2fa/totp/deactivate/": (SIGN_IN, 404),
    "GET /accounts/2fa/webauthn/": (SIGN_IN, 200),
    "GET POST PUT /accounts/2fa/webauthn/add/": (SIGN_IN, PROVE),
    "GET POST PUT /accounts/2fa/webauthn/keys/<int:pk>/edit/": (SIGN_IN, PROVE),
    "DELETE GET POST /accounts/2fa/webauthn/keys/<int:pk>/remove/": (SIGN_IN, PROVE),
    "GET POST PUT /accounts/2fa/webauthn/login/": (SIGN_IN, "/accounts/"),
    "GET POST PUT /accounts/2fa/webauthn/reauthenticate/": (SIGN_IN, PROVE),
    "GET POST PUT /accounts/3rdparty/": (SIGN_IN, 200),
    "GET /accounts/3rdparty/login/cancelled/": (200, 200),
    "GET /accounts/3rdparty/login/error/": (401, 401),
    "GET POST PUT /accounts/3rdparty/signup/": (SIGN_IN, SIGN_IN),
    "GET /accounts/^confirm-email/(?P<key>[-:\\w]+)/$": (200, 200),
    "POST /accounts/^confirm-email/(?P<key>[-:\\w]+)/$": (404, 404),
    "GET POST PUT /accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": (200, 200),
    "GET /accounts/confirm-email/": (200, 200),
    "POST /accounts/confirm-email/": (405, 405),
    "GET /accounts/email/": (SIGN_IN, 200),
    "POST PUT /accounts/email/": (SIGN_IN, "/accounts/email/"),
    "GET /accounts/inactive/": (200, 200),
    "GET /accounts/invitations/<str:token>/": (404, 404),
    "POST /accounts/invitations/<str:token>/": (SIGN_IN, 404),
    "GET POST PUT /accounts/login/": (200, "/accounts/"),
    "GET POST PUT /accounts/login/code/confirm/": (SIGN_IN, "/accounts/"),
    "GET /accounts/logout/": (SIGN_IN, 200),
    "POST /accounts/logout/": (SIGN_IN, SIGN_IN),
    "GET POST PUT /accounts/password/change/": (SIGN_IN, "/accounts/password/set/"),
    "GET POST PUT /accounts/password/reset/": (200, 200),
    "GET /accounts/password/reset/done/": (200, 200),
    "GET /accounts/password/reset/key/done/": (200, 200),
    "GET POST PUT /accounts/password/set/": (SIGN_IN, PROVE),
    "GET POST PUT /accounts/reauthenticate/": (SIGN_IN, PROVE),
    "GET POST PUT /accounts/reauthenticate/code/": (SIGN_IN, 200),
    "GET POST PUT /accounts/reauthenticate/code/confirm/": (SIGN_IN, PROVE),
    "GET /accounts/sessions/": (SIGN_IN, 200),
    "POST /accounts/sessions/": (SIGN_IN, "/accounts/sessions/"),
    "GET POST PUT /accounts/signup/": (200, "/accounts/"),
}

REDIRECTED: dict[str, str] = {
    "/": "/docs",
    "/_allauth/openapi.json": "/openapi.json",
    "/_allauth/openapi.yaml": "/openapi.json",
    "/accounts/social/connections/": "/accounts/3rdparty/",
    "/accounts/social/login/cancelled/": "/accounts/3rdparty/login/cancelled/",
    "/accounts/social/login/error/": "/accounts/3rdparty/login/error/",
    "/accounts/social/signup/": "/accounts/3rdparty/signup/",
    "/admin": "/admin/",
}
"""What leads elsewhere, with any method."""

APPS_ONLY: dict[str, Answers] = {
    "POST /tokens/refresh": (400, 400),
}
BROWSERS_AND_APPS: dict[str, Answers] = {
    "GET /account/authenticators": (401, 200),
    "GET /account/authenticators/recovery-codes": (401, 404),
    "POST /account/authenticators/recovery-codes": (401, 400),
    "DELETE /account/authenticators/totp": (401, 200),
    "GET /account/authenticators/totp": (401, 404),
    "POST /account/authenticators/totp": (401, 400),
    "DELETE POST PUT /account/authenticators/webauthn": (401, 400),
    "GET /account/authenticators/webauthn": (401, 401),
    "DELETE PATCH PUT /account/email": (401, 400),
    "GET /account/email": (401, 200),
    "POST /account/email": (409, 400),
    "POST /account/password/change": (401, 401),
    "GET /account/phone": (401, 404),
    "POST /account/phone": (409, 400),
    "DELETE /account/providers": (401, 400),
    "GET /account/providers": (401, 200),
    "POST /auth/2fa/authenticate": (401, 401),
    "POST /auth/2fa/reauthenticate": (401, 400),
    "POST /auth/code/confirm": (409, 409),
    "GET POST /auth/email/verify": (400, 400),
    "POST /auth/email/verify/resend": (409, 409),
    "POST /auth/login": (400, 400),
    "POST /auth/password/request": (400, 400),
    "GET POST /auth/password/reset": (400, 400),
    "POST /auth/phone/verify": (409, 409),
    "POST /auth/phone/verify/resend": (409, 409),
    "POST /auth/provider/redirect": (401, 401),
    "GET POST /auth/provider/signup": (409, 409),
    "POST /auth/provider/token": (400, 400),
    "POST /auth/reauthenticate": (401, 400),
    "POST /auth/reauthenticate/code/confirm": (401, 409),
    "POST /auth/reauthenticate/code/request": (401, 400),
    "POST /auth/reauthenticate/code/resend": (401, 409),
    "DELETE /auth/session": (401, 401),
    "GET /auth/session": (401, 200),
    "DELETE /auth/sessions": (401, 400),
    "GET /auth/sessions": (401, 200),
    "POST /auth/signup": (400, 400),
    "GET POST /auth/webauthn/authenticate": (401, 401),
    "GET /auth/webauthn/login": (200, 200),
    "POST /auth/webauthn/login": (400, 400),
    "GET /auth/webauthn/reauthenticate": (401, 200),
    "POST /auth/webauthn/reauthenticate": (401, 400),
    "GET /config": (200, 200),
}
"""Below `/_allauth/browser/v1`, where a cookie tells who asks, and `/_allauth/app/v1`, where a token does."""


def _each(rows: dict[str, Answers], prefix: str = "") -> dict[str, Answers]:
    """Return a row for each of the methods that one is written for."""
    return {
        f"{method} {prefix}{pattern}": answers
        for route, answers in rows.items()
        for *methods, pattern in [route.split()]
        for method in methods
    }


BROWSER, APP = "/_allauth/browser/v1", "/_allauth/app/v1"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROWS: dict[str, Answers] = {
    **_each(PAGES),
    **{f"{method} {pattern}": (to, to) for pattern, to in REDIRECTED.items() for method in METHODS},
    **_each(BROWSERS_AND_APPS, BROWSER),
    **_each({**BROWSERS_AND_APPS, **APPS_ONLY}, APP),
}
