"""Kubernetes' written quantities, durations, times and addresses ↔ exact integers and checked text.

Source: the Kubernetes API conventions on `resource.Quantity`, Go's `time.ParseDuration`, RFC 3339.
Every reader raises `ValueError` with a sentence that a person can read.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Final

_SUFFIX: Final = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1), "k": Decimal(10**3),
    "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}  # fmt: skip
_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i|))")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_MILLISECONDS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def quantity(text: str | int | Decimal) -> Decimal:
    """The exact number that a quantity such as ``100m``, ``1.5Gi`` or ``2e3`` stands for."""
    if isinstance(text, (int, Decimal)):
        return Decimal(text)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is not a quantity such as 500m or 2Gi")
    number, exponent, suffix = match.groups()
    return Decimal(number) * (Decimal(10) ** int(exponent) if exponent else _SUFFIX[suffix or ""])


def cpu(text: str | int | Decimal) -> int:
    """Millicores, rounded up."""
    return int((quantity(text) * 1000).to_integral_value(ROUND_CEILING))


def mem(text: str | int | Decimal) -> int:
    """Bytes (or units of a countable resource), rounded up."""
    return int(quantity(text).to_integral_value(ROUND_CEILING))


def dur(text: str) -> int:
    """Milliseconds of a duration such as ``1h30m``, ``5m`` or ``1.5s``."""
    body = text[1:] if text.startswith("-") else text
    parts = _DURATION.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise ValueError(f"`{text}` is not a duration such as 30s or 1h30m")
    total = int(sum(Decimal(number) * _MILLISECONDS[unit] for number, unit in parts))
    return -total if text.startswith("-") else total


def cidr(text: str) -> str:
    """The network in its canonical writing, host bits cleared."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"`{text}` is not a network such as 10.0.0.0/8") from None


def time(text: str) -> int:
    """Milliseconds since the Unix epoch of an RFC 3339 time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text}` is not a time such as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"`{text}` lacks its time zone: write 2026-01-31T12:00:00Z")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def rfc3339(milliseconds: int) -> str:
    """The RFC 3339 text of a time, in UTC; with milliseconds only where there are any."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds" if milliseconds % 1000 else "seconds").replace("+00:00", "Z")


LITERALS: Final[dict[str, Callable[[str], int | str]]] = {
    "cpu": cpu, "mem": mem, "dur": dur, "cidr": cidr, "time": time
}  # fmt: skip
"""The readers of ``cpu"…"``, ``mem"…"``, ``dur"…"``, ``cidr"…"`` and ``time"…"``."""
