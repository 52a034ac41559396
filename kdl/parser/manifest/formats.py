"""The forms of single values: names, labels, addresses, ports, schedules, ranges and words of a list.

Source: the validation functions of the Kubernetes API server (`apimachinery/util/validation`). Each takes a value of
the right type and gives a code, the rest of a sentence that begins with the field, and help; or nothing if all is well.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from kdl.parser.manifest.problem import choices, did_you_mean, nearest
from kdl.parser.quantity import quantity

Complaint: TypeAlias = tuple[str, str, str]


class Within(NamedTuple):
    """A complaint about one item or member of the field's value, or about a member's key."""

    step: str | int
    complaint: Complaint
    at_key: bool = False


Constraint: TypeAlias = Callable[[Any], Complaint | Within | None]
Scalar: TypeAlias = Callable[[Any], Complaint | None]

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WORD: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_PERCENT: Final = re.compile(r"[0-9]+%")


def one_of(*words: str, empty: bool = False) -> Scalar:
    """One of these words, in exactly this writing; `empty` allows the empty string for "not set"."""

    def complain(value: str) -> Complaint | None:
        if value in words or (empty and not value):
            return None
        return "KDL513", f"must be {choices(words)}, but is `{value}`", did_you_mean(value, words)

    return complain


def each(constraint: Scalar) -> Constraint:
    """Every item of the list meets the constraint; the first that does not is told."""

    def complain(values: list[Any]) -> Within | None:
        found = ((index, constraint(value)) for index, value in enumerate(values))
        return next((Within(index, complaint) for index, complaint in found if complaint), None)

    return complain


def between(low: int, high: int, what: str = "a number") -> Scalar:
    """An integer in a range."""

    def complain(value: int) -> Complaint | None:
        return None if low <= value <= high else ("KDL519", f"must be {what} from {low} to {high}, but is {value}", "")

    return complain


def at_least(low: int) -> Scalar:
    """An integer with a lower bound."""
    return lambda value: None if value >= low else ("KDL519", f"must be at least {low}, but is {value}", "")


def _name(pattern: re.Pattern[str], longest: int, rule: str) -> Scalar:
    def complain(value: str) -> Complaint | None:
        if len(value) <= longest and pattern.fullmatch(value):
            return None
        if not value:
            return "KDL514", "is empty", f"give it {rule}"
        if len(value) > longest:
            return "KDL514", f"is {len(value)} characters long; at most {longest} are allowed", ""
        better = re.sub(r"[^a-z0-9.-]+", "-", value.lower()).strip("-.")
        if pattern is not _SUBDOMAIN:
            better = better.replace(".", "-")
        fits = pattern.fullmatch(better) is not None
        return "KDL514", f"is `{value}`, but must be {rule}", f"for example `{better}`" if fits else ""

    return complain


label_name: Final[Scalar] = _name(_LABEL, 63, "lowercase letters, digits and `-`, with a letter or digit at both ends")
service_name: Final[Scalar] = _name(_SERVICE, 63, "lowercase letters, digits and `-`, beginning with a letter")
subdomain: Final[Scalar] = _name(
    _SUBDOMAIN, 253, "lowercase letters, digits, `-` and `.`, with a letter or digit at both ends"
)


def path_segment(value: str) -> Complaint | None:
    """A name that may contain almost anything, as those of roles do."""
    if value in ("", ".", "..") or "/" in value or "%" in value:
        return "KDL514", f"is `{value}`, but must be neither `.` nor `..` and without `/` and `%`", ""
    return None


def optional(constraint: Scalar) -> Scalar:
    """The constraint, or the empty string for "not set"."""
    return lambda value: None if value == "" else constraint(value)


def qualified_name(value: str) -> Complaint | None:
    """A label key: an optional DNS prefix and ``/``, then a word of at most 63 characters."""
    prefix, slash, word = value.rpartition("/")
    if slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        return "KDL515", f"is `{value}`, whose prefix is no DNS name", "a key looks like `app` or `example.com/app`"
    if not word or len(word) > 63 or not _WORD.fullmatch(word):
        return (
            "KDL515",
            f"is `{value}`, which is no label key",
            "at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; "
            "before it possibly a DNS name and `/`",
        )
    return None


def label_value(value: str) -> Complaint | None:
    """A label's value: empty, or a word of at most 63 characters."""
    if value == "" or (len(value) <= 63 and _WORD.fullmatch(value)):
        return None
    if len(value) > 63:
        return "KDL515", f"is {len(value)} characters long; a label's value has at most 63", "use an annotation for it"
    return (
        "KDL515",
        f"is `{value}`, which is no label value",
        "only letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; use an annotation for other text",
    )


def labels(value: dict[str, str]) -> Within | None:
    """Keys and values are those of labels."""
    for key, text in value.items():
        if complaint := qualified_name(key):
            return Within(key, complaint, at_key=True)
        if complaint := label_value(text):
            return Within(key, complaint)
    return None


def annotation_map(value: dict[str, str]) -> Complaint | Within | None:
    """Keys are those of labels (in any case); all together at most 256 KiB."""
    for key in value:
        if complaint := qualified_name(key.lower()):
            return Within(key, complaint, at_key=True)
    total = sum(len(key.encode()) + len(text.encode()) for key, text in value.items())
    if total > 256 * 1024:
        return "KDL515", f"are {total:,} bytes together; at most 262,144 are allowed", "keep large text in a ConfigMap"
    return None


port_number: Final[Scalar] = between(1, 65535, "a port")


def port_name(value: str) -> Complaint | None:
    """An IANA service name."""
    if len(value) <= 15 and _LABEL.fullmatch(value) and "--" not in value and re.search("[a-z]", value):
        return None
    rule = "at most 15 lowercase letters, digits and single `-`, with at least one letter"
    return "KDL514", f"is `{value}`, but a port's name is {rule}", ""


def port(value: int | str) -> Complaint | None:
    """A port number, or the name of a port."""
    if isinstance(value, int):
        return port_number(value)
    if value.isdigit():
        return "KDL519", f'is the text `"{value}"`', f"write the port without quotes: `{value}`"
    return port_name(value)


def data_keys(value: dict[str, str]) -> Complaint | Within | None:
    """Keys that can be file names."""
    for key in value:
        if not _KEY.fullmatch(key) or key in (".", "..") or len(key) > 253:
            complaint = "KDL514", "is no key: keys are letters, digits, `-`, `_` and `.`", ""
            return Within(key, complaint, at_key=True)
    total = sum(len(text.encode()) for text in value.values())
    return ("KDL519", f"holds {total:,} bytes; at most 1,048,576 are allowed", "") if total > 1024 * 1024 else None


def variable_name(value: str) -> Complaint | None:
    """A name of an environment variable: printable ASCII without ``=``."""
    if value and all(" " <= letter <= "~" and letter != "=" for letter in value):
        return None
    return "KDL514", f"is `{value}`, but a variable's name is printable text without `=`", ""


def ip(value: str) -> Complaint | None:
    """One address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return "KDL522", f"is `{value}`, which is no IP address", "an address looks like `10.0.0.1` or `fd00::1`"
    return None


def cidr(value: str) -> Complaint | None:
    """One network, with its prefix length."""
    try:
        ipaddress.ip_network(value, strict=False)
        fits = "/" in value and "." not in value.partition("/")[2]
    except ValueError:
        fits = False
    if fits:
        return None
    help = (
        f"did you mean `{value}/{128 if ':' in value else 32}`?" if ip(value) is None else "it looks like `10.0.0.0/8`"
    )
    return "KDL522", f"is `{value}`, which is no network", help


def number_or_percent(value: int | str) -> Complaint | None:
    """A count, or a share in percent."""
    if isinstance(value, int):
        return at_least(0)(value)
    if _PERCENT.fullmatch(value):
        return None
    help = f"write it without quotes: `{value}`" if value.isdigit() else "for example `1` or `25%`"
    return "KDL519", f'must be a number or a percentage, but is `"{value}"`', help


def relative_path(value: str) -> Complaint | None:
    """A path inside a volume."""
    if value.startswith("/"):
        return "KDL514", f"is `{value}`, but must be relative", f"write `{value.lstrip('/')}`"
    return ("KDL514", f"is `{value}`, but must not contain `..`", "") if ".." in value.split("/") else None


def filled(value: str) -> Complaint | None:
    """Any text but none."""
    return None if value else ("KDL511", "is empty", "")


def mount_path(value: str) -> Complaint | None:
    """Where a volume appears in a container."""
    if not value:
        return "KDL511", "is empty", "give it a path such as `/data`"
    return ("KDL514", f"is `{value}`, but must not contain `:`", "") if ":" in value else None


_RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")


def resource_name(value: str) -> Complaint | None:
    """A resource such as ``cpu`` or ``memory``, or an extended one with its domain."""
    if value in _RESOURCES or value.startswith("hugepages-") or "/" in value:
        return None
    meant = nearest(value, _RESOURCES)
    help = f"did you mean `{meant}`?" if meant else "an extended resource has a domain, as in `example.com/gpu`"
    return "KDL510", "is no resource that a container can ask for", help


def container_resources(value: dict[str, Any]) -> Within | None:
    """Amounts of resources that a container can have, none of them negative."""
    for name, amount in value.items():
        if complaint := resource_name(name):
            return Within(name, complaint, at_key=True)
        if quantity(str(amount)) < 0:
            return Within(name, ("KDL519", f"must not be negative, but is `{amount}`", ""))
    return None


_CRON_MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_CRON_DAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_CRON_FIELDS: Final[tuple[tuple[str, int, int, list[str]], ...]] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of the month", 1, 31, []),
    ("month", 1, 12, _CRON_MONTHS),
    ("day of the week", 0, 6, _CRON_DAYS),
)


def cron(value: str) -> Complaint | None:
    """Five fields, or a macro such as ``@hourly``."""
    if value.startswith("@"):
        if value in ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"):
            return None
        if value.startswith("@every ") and re.fullmatch(r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+", value[7:]):
            return None
        return "KDL514", f"is `{value}`, which is no schedule", "for example `@hourly` or `*/5 * * * *`"
    fields = value.split()
    if len(fields) != 5:
        help = "minute, hour, day of the month, month, day of the week: `*/5 * * * *`"
        return "KDL514", f"is `{value}`: a schedule has five fields, this has {len(fields)}", help
    for text, (name, low, high, words) in zip(fields, _CRON_FIELDS, strict=True):
        for part in text.split(","):
            span, slash, step = part.partition("/")
            ends = [] if span in ("*", "?") else span.split("-")
            numbers = [_cron_number(end, low, words) for end in ends]
            right = (
                len(ends) <= 2
                and all(number is not None and low <= number <= high for number in numbers)
                and (len(numbers) < 2 or (numbers[0] or 0) <= (numbers[1] or 0))
                and (not slash or (step.isdecimal() and int(step) > 0))
            )
            if not right:
                return (
                    "KDL514",
                    f"is `{value}`, whose {name} `{text}` is not understood",
                    f"{low} to {high}, `*` or `*/n`",
                )
    return None


def _cron_number(text: str, low: int, words: list[str]) -> int | None:
    if text.isdecimal():
        return int(text)
    return words.index(text.lower()) + low if text.lower() in words else None
