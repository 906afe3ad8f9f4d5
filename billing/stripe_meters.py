"""Stripe's billing meters: https://docs.stripe.com/api/billing/meter-event/create

The meter's aggregation is `sum`, and its unit is a nano-USD. Stripe's package is imported only if a key is
set, so that nobody else pays for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from billing.meter_export import MeterError, MeterReading
from core.known_secrets import KNOWN_SECRETS
from core.redaction import redact

if TYPE_CHECKING:
    from stripe import StripeError

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 20.0


def configured_meter() -> StripeMeter | None:
    """Return the configured meter; None if there is no key."""
    if not settings.STRIPE_API_KEY:
        return None
    return StripeMeter(settings.STRIPE_API_KEY, settings.CHATAPI_STRIPE_METER, settings.CHATAPI_STRIPE_URL)


class StripeMeter:
    def __init__(
        self, key: str, event_name: str, url: str, *, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        import stripe

        KNOWN_SECRETS.add(key)
        self._event_name = event_name
        self._http = stripe.RequestsClient(timeout=(CONNECT_SECONDS, answer_seconds))
        # no retries by the client: because of their idempotency key, Stripe would only repeat a failure
        self._client = stripe.StripeClient(
            key, base_addresses={"api": url.rstrip("/")}, max_network_retries=0, http_client=self._http
        )

    def send(self, reading: MeterReading) -> None:
        import stripe

        try:
            self._client.v1.billing.meter_events.create(
                {
                    "event_name": self._event_name,
                    "identifier": reading.identifier,
                    "timestamp": int(reading.hour.timestamp()),
                    "payload": {"stripe_customer_id": reading.customer, "value": str(reading.amount)},
                }
            )
        except stripe.StripeError as error:
            if not _is_known(error, reading.identifier):
                raise _to_meter_error(error) from None  # the error's own text may quote the key

    def close(self) -> None:
        self._http.close()  # type: ignore[no-untyped-call]


def _is_known(error: StripeError, identifier: str) -> bool:
    """Tell whether Stripe refused because it has seen this identifier, and so has the event."""
    text = str(error)
    return error.http_status == 400 and (
        error.code == "duplicate_meter_event" or ("already exists" in text and identifier in text)
    )


def _to_meter_error(error: StripeError) -> MeterError:
    status = error.http_status
    if status in {401, 403}:
        return MeterError("Stripe does not accept STRIPE_API_KEY.", is_general=True)
    if status == 429:
        return MeterError("Stripe wants no more requests for now.", is_general=True)
    if status is not None and 400 <= status < 500:
        return MeterError(f"Stripe refused it: {redact(str(error.user_message or error.code or status))}")
    what = f"answered with status {status}" if status else "could not be reached, or did not answer"
    return MeterError(f"Stripe {what}.", is_unsure=True, is_general=True)
