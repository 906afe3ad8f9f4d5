"""What people and tests do with a page: sign in, look for obstacles, take pictures of it."""

import os
from functools import cache
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, ViewportSize, expect

from accounts.sign_in.sessions import SessionStore

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SERIOUS = {"serious", "critical"}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PHONE: ViewportSize = {"width": 390, "height": 844}
SCREENSHOTS = "CHATAPI_TEST_SCREENSHOTS"
# preload would read the stylesheets into <style> elements, which the policy of our pages refuses
# colours that are still changing have any contrast
_RUN_AXE = """async ([part, rules]) => {
    for (const one of document.getAnimations()) if (one instanceof CSSTransition) one.finish();
    const options = {preload: false, resultTypes: ["violations"], ...(rules && {runOnly: rules})};
    return (await axe.run(part, options)).violations;
}"""


def sign_in(page: Page, email: str, password: str) -> None:
    """Sign in with a password alone."""
    page.goto("/accounts/login/")
    enter_password(page, email, password)
    expect_heading(page, "Your account")


def enter_password(page: Page, email: str, password: str) -> None:
    """Fill in and send the form of the sign-in page."""
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    page.goto("/accounts/logout/")
    page.get_by_role("button", name="Sign out").click()
    expect_heading(page, "Sign in")


def let_time_pass(page: Page) -> None:
    """Let the person have signed in so long ago that what is risky asks who they are."""
    [key] = [cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "sessionid"]
    session = SessionStore(key)
    for method in session["account_authentication_methods"]:
        method["at"] -= 3600
    session.save()


def confirm_password(page: Page, password: str) -> None:
    """Fill in and send the form that asks for the password once more."""
    expect_heading(page, "Is it you?")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Go on").click()


def expect_heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def expect_message(page: Page, text: str) -> None:
    expect(page.locator(".messages")).to_contain_text(text)


def look_at(page: Page, heading: str, name: str) -> None:
    """Check the page with this heading for obstacles and for what is too wide, light, dark and on a phone.

    `name` is that of its pictures.
    """
    expect_heading(page, heading)
    size = page.viewport_size
    assert size
    page.emulate_media(color_scheme="light")
    check_accessibility(page)
    page.emulate_media(color_scheme="dark")
    check_accessibility(page, rules=["color-contrast"])  # all else is the same in the dark
    page.set_viewport_size(PHONE)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"], f"{page.url} is {width} pixels wide"
    take_screenshots(page, f"{name}-phone")
    page.set_viewport_size(size)
    take_screenshots(page, name)
    page.emulate_media(color_scheme="null")


def check_accessibility(page: Page, part: str = "html", rules: list[str] | None = None) -> None:
    """Fail if axe finds a serious or critical obstacle in this part of the page, which a selector names.

    By default it applies all its rules.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe())  # by the debugger, which no policy of the page keeps out
    violations = page.evaluate(_RUN_AXE, [part, rules])
    obstacles = [
        f"{violation['impact']} {violation['id']} at {node['target']}: {violation['help']}"
        for violation in violations
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]
    assert not obstacles, "\n".join([f"{page.url}:", *obstacles])


@cache
def _axe() -> str:
    return AXE.read_text()


def take_screenshots(page: Page, name: str) -> None:
    """Save the whole page as NAME-light.png and NAME-dark.png, if the environment names a folder for it."""
    folder = os.environ.get(SCREENSHOTS)
    if not folder:
        return
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=Path(folder) / f"{name}-{scheme}.png", full_page=True)
    page.emulate_media(color_scheme="null")
