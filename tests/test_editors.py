"""The grammar for editors knows the words of the language."""

import json
import re
from pathlib import Path

import pytest

GRAMMAR = json.loads((Path(__file__).parents[1] / "docs/editors/kdl.tmLanguage.json").read_text("utf-8"))
CODE = GRAMMAR["repository"]["code"]["patterns"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("sched.bind(P, N)", "entity.name.function"),
        ("Name)", "variable.other"),
        ('mem"2Gi"', "constant.other.quantity"),
        ("rel edge(a: int)", "keyword.declaration"),
        ("not edge(A)", "keyword.operator.logical"),
        ("count : { p(A) }", "keyword.control.aggregate"),
        ("expect p(1).", "keyword.control.test"),
        (":- p", "keyword.operator"),
        ("true", "constant.language"),
        ("42", "constant.numeric"),
        ('@why f"x"', "keyword.other.annotation"),
    ],
)
def test_the_first_pattern_that_matches_is_the_right_one(text: str, kind: str):
    named = [item["name"] for item in CODE if re.match(item.get("match") or item["begin"], text)]
    assert named[0] == f"{kind}.kdl"
