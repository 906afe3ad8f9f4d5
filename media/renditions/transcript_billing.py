"""Recognition is billed where it is made: once for the same bytes in a workspace, to who had it made first.

It is charged for in the transaction that keeps the transcript. So none is kept that was not paid for, and a
worker that dies before has charged nothing, however often others begin anew.
"""

from billing.audio_models import audio_charge_request
from billing.holds import ChargeRequest
from billing.one_time_charges import charge_once, check_affordable
from billing.tariffs import Bound
from billing.units import Units
from media.models import Rendition


def check_transcript_affordable(rendition: Rendition, seconds: int) -> None:
    """Check whether a transcript can be paid for, before it is made. Raises `BillingError`."""
    check_affordable(rendition.id, _charge_request(rendition), Bound(seconds=seconds))


def charge_transcript(rendition: Rendition, seconds: int) -> None:
    """Charge for a transcript in the transaction that keeps it. Raises `BillingError`.

    The id of a rendition is derived from the bytes: a transcript that is made again has been paid for.
    """
    charge_once(rendition.id, _charge_request(rendition), Units(seconds=seconds))


def _charge_request(rendition: Rendition) -> ChargeRequest:
    return audio_charge_request(
        "transcription",
        rendition.workspace_id,
        rendition.user_id,
        rendition.key_id,
        rendition.token_id,
        what="The transcript of this sound",
    )
