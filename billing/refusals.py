"""What a client is told where its call is refused for money."""

from billing.problems import BillingProblem, Unpriced
from core.exceptions import ApiError, InsufficientQuota, ModelUnpriced


def refusal(problem: BillingProblem) -> ApiError:
    return ModelUnpriced(str(problem)) if isinstance(problem, Unpriced) else InsufficientQuota(str(problem))
