"""Rule documents are checked to the last key, and names stay within what iptables takes."""

from __future__ import annotations

from typing import Any

import pytest

from kdl.effects.iptables.document import rules_of
from kdl.effects.iptables.names import COMMENT_LENGTH, BadRule, Names
from kdl.effects.iptables.preflight import foreign
from kdl.fact import value

NAMES = Names("abcd1234-0000")


def rule(target: Any = "DROP", params: dict[str, Any] | None = None, **match: Any) -> dict[str, Any]:
    """One rule document."""
    return {"match": match, "target": target, "params": params or {}, "comment": "c"}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("DROP", "a rule is a document"),
        ({**rule(), "matches": {}}, "unknown rule `matches`"),
        (rule(sourc="10.0.0.1"), "unknown match `sourc`"),
        (rule(source="10.0.0.300"), "`source`: `10.0.0.300` is no IPv4 address or range"),
        (rule(source=5), "`source` is an address or a range, not 5"),
        (rule(destination="::1"), "no IPv4 address"),
        (rule(source="10.0.0.1", notSource="10.0.0.2"), "`source` and `notSource` are one match"),
        (rule(protocol="dccp"), 'protocol "dccp" is none of'),
        (rule(dport=80), "a port needs a protocol"),
        (rule(protocol="icmp", dport=80), "a port needs a protocol"),
        (rule(protocol="tcp", dport="90:80"), "`dport` is a port or a range"),
        (rule(protocol="tcp", sport=65536), "`sport` is a port or a range"),
        (rule("DROP", None, **{"in": "a-name-that-is-too-long"}), "`in` cannot be"),
        (rule("DROP", None, **{"in": "!eth0"}), "`in` cannot be"),
        (rule(ctstate=["FRESH"]), 'ctstate "FRESH" is none of'),
        (rule(ctstate=[]), "ctstate names no state"),
        (rule(mark="lots"), "`mark` cannot be"),
        (rule(probability="1.5"), "`probability` cannot be"),
        (rule(addrtype={}), "addrtype is a document"),
        (rule(addrtype={"to": "LOCAL"}), "unknown addrtype `to`"),
        (rule(addrtype={"dst": "NEAR"}), 'addrtype "NEAR" is none of'),
        (rule(physdev={"inn": "eth0"}), "unknown physdev `inn`"),
        (rule(recent={"name": "A"}), "exactly one of set, rcheck, update"),
        (rule(recent={"name": "A", "set": True, "rcheck": True}), "exactly one of set, rcheck, update"),
        (rule(recent={"name": "A", "set": True, "seconds": 5}), "recent's seconds"),
        (rule(recent={"name": "A", "rcheck": True, "reap": True}), "recent's reap needs seconds"),
        (rule(recent={"name": "A/../B", "set": True}), "recent needs a name"),
        (rule(recent={"name": "A", "set": 1}), "`set` is true or false"),
        (rule(None), "a rule needs a target"),
        (rule("LOG"), "target LOG is not supported"),
        (rule("FORWARD"), "target FORWARD is not supported"),
        (rule("DROP", {"rejectWith": "tcp-reset"}), "unknown DROP parameter `rejectWith`"),
        (rule("SVC A"), "`SVC A` is no chain name"),
        (rule("SVC-ABCDEF0123456789"), "is too long, iptables takes 28 characters"),
        (rule("MARK"), "needs the parameter setXmark"),
        (rule("MARK", {"setXmark": "1/2/3"}), "`setXmark` cannot be"),
        (rule("REJECT"), "target REJECT belongs into table filter"),
        (rule("DNAT"), "needs the parameter toDestination"),
        (rule("DNAT", {"toDestination": "10.0.0.1:80"}), "DNAT to a port needs a protocol"),
        (rule("DNAT", {"toDestination": "10.0.0.1:0"}, protocol="tcp"), "`0` is no port"),
        (rule("DNAT", {"toDestination": "10.0.0.0/8"}), "is no IPv4 address"),
    ],
)
def test_a_wrong_document_is_refused_with_the_word_that_is_wrong(document: Any, told: str) -> None:
    with pytest.raises(BadRule) as error:
        rules_of(value([rule("ACCEPT"), document]), "nat", NAMES)
    assert told in str(error.value)
    assert str(error.value).startswith("rule 2")


def test_a_reset_needs_tcp_and_nat_targets_need_nat() -> None:
    for document, told in (
        (rule("REJECT", {"rejectWith": "tcp-reset"}), "needs the match protocol tcp"),
        (rule("REJECT", {"rejectWith": "rudely"}), "is none of"),
        (rule("MASQUERADE"), "belongs into table nat"),
    ):
        with pytest.raises(BadRule, match=told):
            rules_of(value([document]), "filter", NAMES)
    with pytest.raises(BadRule, match="no table `mangle`"):
        rules_of((), "mangle", NAMES)


def test_names_are_the_clusters_own_and_fit() -> None:
    assert NAMES.chain("SVC-ABCDEF012345") == "KDL-abcd-SVC-ABCDEF012345"
    assert NAMES.logical("KDL-abcd-SERVICES") == "SERVICES"
    assert NAMES.logical("KDL-abce-SERVICES") is None
    assert NAMES.logical("KDL-abcdX") is None
    assert len(Names("no hexadecimal uid").tag) == 4
    assert Names("a").tag != Names("b").tag
    with pytest.raises(BadRule, match="too long"):
        NAMES.chain("X" * 20)


@pytest.mark.parametrize("text", ["web", "x" * 300, "é" * 300, "two\nlines\0and a zero\ud800\u2028"])
def test_a_comment_is_one_line_of_text_that_fits(text: str) -> None:
    comment = NAMES.comment(text)
    assert comment.startswith(b"kdl:abcd:")
    assert len(comment) <= COMMENT_LENGTH
    assert comment.decode().isprintable()
    assert comment.decode().endswith("…") == (len(text) > 250)


def test_foreign_rules_are_counted_by_table_and_dropping_policies_named() -> None:
    saved = (
        "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j X\n-A X -j DROP\nCOMMIT\n*nat\n-A X -j Y\n"
    )
    assert foreign(saved) == ["filter: 2 rules", "nat: 1 rules", "filter INPUT drops by policy"]
    assert foreign("# Warning: iptables-legacy tables present\n") == []
