"""Money in the admin: rows are looked at, and deeds are done by the verbs of this room, with a reason."""

from billing.admin import ledger, prices, upkeep, usage, wallets

__all__ = ["ledger", "prices", "upkeep", "usage", "wallets"]
