"""The API errors for calls that billing refuses."""

from billing.exceptions import BillingError, Unpriced
from core.exceptions import ApiError, InsufficientQuota, ModelUnpriced


def billing_api_error(error: BillingError) -> ApiError:
    return ModelUnpriced(str(error)) if isinstance(error, Unpriced) else InsufficientQuota(str(error))
