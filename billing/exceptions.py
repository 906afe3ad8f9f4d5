"""Why something about money is refused.

BillingProblem
├── InvalidPrice     a price that cannot be kept
├── InvalidDeed      a top-up, adjustment or reversal that cannot be made
└── Unaffordable     a wallet or a budget that cannot bear a call
    Unpriced         a model without a price
"""


class BillingError(Exception):
    """The message says what is wrong, and with what."""


class InvalidPrice(BillingError):
    pass


class InvalidBillingAction(BillingError):
    pass


class Unaffordable(BillingError):
    pass


class Unpriced(BillingError):
    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model {model!r} has no price. Its operator can set one in the models file, in the admin "
            "site or with `manage.py import_prices`."
        )
        self.model = model
