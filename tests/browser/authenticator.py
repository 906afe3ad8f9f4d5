"""A device that holds passkeys, which Chromium has built in for tests."""

from playwright.sync_api import CDPSession, Page


class VirtualAuthenticator:
    def __init__(self, session: CDPSession, id: str) -> None:
        self._session = session
        self._id = id

    def refuse(self) -> None:
        """Let its owner fail to prove who they are, as with a wrong finger."""
        self._set_verified(False)

    def agree(self) -> None:
        self._set_verified(True)

    def _set_verified(self, is_verified: bool) -> None:
        values = {"authenticatorId": self._id, "isUserVerified": is_verified}
        self._session.send("WebAuthn.setUserVerified", values)


def add_authenticator(page: Page) -> VirtualAuthenticator:
    """Give the page a device that holds passkeys, and whose owner always agrees."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    added = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return VirtualAuthenticator(session, added["authenticatorId"])
