"""Upload URLs that carry their own permission, as object storage's pre-signed URLs do."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import urlencode

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"


class Refusal(StrEnum):
    """Why a URL gives no permission, in S3's own words for it."""

    EXPIRED = "Request has expired"
    WRONG = "The request signature we calculated does not match the signature you provided."


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs paths for a while, and checks the signatures that come back."""

    lifetime_s: float
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def query(self, path: str, now: float) -> str:
        """Sign a path."""
        moment = datetime.fromtimestamp(now, UTC).strftime(_TIME_FORMAT)
        lifetime = f"{self.lifetime_s:g}"
        parameters = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Date": moment,
            "X-Amz-Expires": lifetime,
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Signature": self._signature(path, moment, lifetime),
        }
        return urlencode(parameters)

    def refusal(self, path: str, query: Mapping[str, str], now: float) -> Refusal | None:
        """Check the signature of a request."""
        moment, lifetime = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
        expected = self._signature(path, moment, lifetime)
        given = query.get("X-Amz-Signature", "")
        if not hmac.compare_digest(expected.encode(), given.encode()):
            return Refusal.WRONG
        signed_at = datetime.strptime(moment, _TIME_FORMAT).replace(tzinfo=UTC).timestamp()
        return Refusal.EXPIRED if now >= signed_at + float(lifetime) else None

    def _signature(self, path: str, moment: str, lifetime: str) -> str:
        message = "\n".join(("PUT", path, moment, lifetime)).encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
