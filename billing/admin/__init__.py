"""The admin pages of billing: rows are read-only, and actions call this app's functions, with a reason."""

from billing.admin import alerts, budgets, ledger, panels, prices, statements, usage, wallets

__all__ = ["alerts", "budgets", "ledger", "panels", "prices", "statements", "usage", "wallets"]
