"""Errors about money.

BillingError
├── InvalidPrice             a price that cannot be stored
├── InvalidBillingAction     a top-up, adjustment or reversal that cannot be made
├── Unaffordable             a wallet or a budget that cannot cover a call
│   └── UnaffordableBeside   one that covers it, but not together with what is to be paid beside it
└── Unpriced                 a model without a price
"""


class BillingError(Exception):
    """The base of all billing errors. The message says what is wrong, and with what."""


class InvalidPrice(BillingError):
    pass


class InvalidBillingAction(BillingError):
    pass


class Unaffordable(BillingError):
    pass


class UnaffordableBeside(Unaffordable):
    pass


class Unpriced(BillingError):
    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model {model!r} has no price. Its operator can set one in the models file, in the admin "
            "site or with `manage.py import_prices`."
        )
        self.model = model
