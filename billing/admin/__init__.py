"""Money in the admin: rows are looked at, and actions call the verbs of this app, with a reason."""

from billing.admin import alerts, budgets, ledger, prices, statements, usage, wallets

__all__ = ["alerts", "budgets", "ledger", "prices", "statements", "usage", "wallets"]
