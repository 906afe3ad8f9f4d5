"""What a client is told where its call is refused for money."""

from billing.exceptions import BillingError, Unpriced
from core.exceptions import ApiError, InsufficientQuota, ModelUnpriced


def api_error_of_billing(problem: BillingError) -> ApiError:
    return ModelUnpriced(str(problem)) if isinstance(problem, Unpriced) else InsufficientQuota(str(problem))
