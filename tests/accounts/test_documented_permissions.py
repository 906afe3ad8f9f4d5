"""The table in docs/workspaces.md is that of the code."""

from pathlib import Path

from accounts.permissions import GRANTS, Scope
from accounts.roles import Role

PAGE = Path("docs/workspaces.md")


def test_the_table_in_the_documentation_is_that_of_the_code() -> None:
    table = permissions_table()
    assert table in PAGE.read_text(), (
        f"{PAGE} has another table than accounts.permissions. It should be:\n\n{table}"
    )


def permissions_table() -> str:
    header = "| permission | what one may do | " + " | ".join(Role) + " | scope of a key | end-user token |"
    lines = [header, "|---" * (len(Role) + 4) + "|"]
    for permission, grant in GRANTS.items():
        keys_only = " (keys)" if grant.of_keys_only else ""
        marks = [f"yes{keys_only}" if role in grant.roles else "" for role in Role]
        scopes = ", ".join(f"`{scope}`" for scope in Scope if scope in grant.scopes)
        cells = [f"`{permission}`", grant.meaning, *marks, scopes or "none", "yes" if grant.tokens else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
