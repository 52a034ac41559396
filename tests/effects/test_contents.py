"""What desired rows only name, and that no error tells what it is."""

from __future__ import annotations

import pytest

from kdl.effects.contents import Contents
from kdl.fact import Document, Value, value

DATA = {"word": b"hunter2", "bytes": b"hunter\xff2", "nul": b"hunter\x002", "empty": b""}


@pytest.fixture
def contents() -> Contents:
    """Secrets by their keys."""
    return Contents({"secret": lambda what: DATA[what["key"]]})


def secret(key: str) -> Document:
    """What stands for a secret."""
    item = value({"secret": {"id": "dev/db", "key": key, "mark": f"<secret dev/db/{key}#1>"}})
    assert isinstance(item, Document)
    return item


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("", ""), ("plain", "plain"), (secret("word"), "hunter2"), (secret("empty"), ""), ((), ""),
        (("a", secret("word"), "b", secret("word")), "ahunter2bhunter2"),
    ],
)  # fmt: skip
def test_texts_are_put_together(contents: Contents, item: Value, expected: str) -> None:
    assert contents.text(item) == expected


@pytest.mark.parametrize("key", ["bytes", "nul"])
def test_what_no_program_can_be_given_is_named_and_not_told(contents: Contents, key: str) -> None:
    with pytest.raises(ValueError, match=f"^<secret dev/db/{key}#1> is no text that a program") as caught:
        contents.text(("a", secret(key)))
    assert "hunter" not in str(caught.value)
    assert caught.value.__context__ is None
    assert contents.data(secret(key)) == DATA[key]
