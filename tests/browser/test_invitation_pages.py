"""People follow an invitation into a workspace: with an account, without one, and too late."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Membership, User, Workspace
from accounts.roles import Role
from tests.browser.complaints import Complaints
from tests.browser.conftest import PASSWORD, OpenBrowser, with_password
from tests.browser.mailbox import Mailbox
from tests.browser.on_pages import enter_password, expect_heading, expect_message, look_at, sign_in

INVITE = """async (body) => {
    const { csrf_token } = await (await fetch("/v1/me")).json();
    const headers = { "X-CSRFToken": csrf_token, "Content-Type": "application/json" };
    const request = { method: "POST", headers, body: JSON.stringify(body) };
    return (await fetch("/v1/organization/invites", request)).json();
}"""


@pytest.fixture
def alices(open_browser: OpenBrowser, member: User) -> Page:
    """A browser in which Alice, who owns a workspace, is signed in."""
    page = open_browser()
    sign_in(page, member.email, PASSWORD)
    return page


def invite(page: Page, **body: Any) -> Any:
    return page.evaluate(INVITE, body)


def roles(user: User) -> dict[str, str]:
    """Return somebody's roles in the workspaces of others, by name."""
    rows = Membership.objects.filter(user=user).exclude(workspace__personal_of=user)
    return {one.workspace.name: one.role for one in rows.select_related("workspace")}


def test_bob_follows_the_mailed_link_signs_in_and_joins(
    alices: Page, open_browser: OpenBrowser, mailbox: Mailbox, complaints: Complaints
) -> None:
    Workspace.objects.update(name="The <b>team</b>")
    bob = with_password(User.objects.create_user("bob@example.com"))
    assert invite(alices, email=bob.email, role="reviewer")["status"] == "pending"
    link = mailbox.link(bob.email, "You are invited")

    page = open_browser()
    page.goto(link)
    expect(page.get_by_text("to the workspace The <b>team</b>, as reviewer.")).to_be_visible()
    look_at(page, "Invitation", "invitation")
    page.get_by_role("link", name="Sign in").click()
    enter_password(page, bob.email, PASSWORD)
    look_at(page, "Invitation", "invitation-signed-in")
    page.get_by_role("button", name="Join").click()
    expect_message(page, "You are a member of The <b>team</b> now.")
    expect_heading(page, "Your account")
    assert roles(bob) == {"The <b>team</b>": Role.REVIEWER}

    complaints.expect(r"/accounts/invitations/.* 410 ")
    page.goto(link)
    look_at(page, "Gone", "invitation-used")
    assert page.get_by_role("button", name="Join").count() == 0


def test_dora_signs_up_by_a_link_and_joins_once_her_address_is_confirmed(
    alices: Page, open_browser: OpenBrowser, mailbox: Mailbox
) -> None:
    link = invite(alices, role="member")["link"]

    page = open_browser()
    page.goto(link)
    page.get_by_role("link", name="Sign up").click()
    page.get_by_label("Email").fill("dora@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    expect_heading(page, "Look into your mailbox")
    dora = User.objects.get(email="dora@example.com")
    assert roles(dora) == {}

    page.goto(mailbox.link("dora@example.com", "Confirm your address"))
    page.get_by_role("button", name="Yes, confirm it").click()

    expect_heading(page, "Your account")
    expect(page.get_by_text("alice@example.com's workspace")).to_be_visible()
    assert list(roles(dora).values()) == [Role.MEMBER]


def test_an_invitation_for_another_address_is_not_accepted(
    alices: Page, open_browser: OpenBrowser, mailbox: Mailbox
) -> None:
    charlie = with_password(User.objects.create_user("charlie@example.com"))
    invite(alices, email="bob@example.com", role="member")
    link = mailbox.link("bob@example.com", "You are invited")

    page = open_browser()
    sign_in(page, charlie.email, PASSWORD)
    page.goto(link)

    expect(page.get_by_role("alert")).to_contain_text("the invitation is for another address")
    look_at(page, "Invitation", "invitation-for-another")
    assert roles(charlie) == {}
