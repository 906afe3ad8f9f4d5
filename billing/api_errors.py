"""The API errors for calls that billing refuses."""

from billing.exceptions import BillingError, Unpriced
from core.exceptions import ApiError, InsufficientQuota, ModelUnpriced


def api_error_of_billing(error: BillingError) -> ApiError:
    return ModelUnpriced(str(error)) if isinstance(error, Unpriced) else InsufficientQuota(str(error))
