"""What a client is told where its call is refused for money."""

from chatapi.billing.problems import BillingProblem, Unpriced
from chatapi.errors import ApiError, InsufficientQuota, ModelUnpriced


def refusal(problem: BillingProblem) -> ApiError:
    return ModelUnpriced(str(problem)) if isinstance(problem, Unpriced) else InsufficientQuota(str(problem))
