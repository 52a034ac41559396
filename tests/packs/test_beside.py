"""The tests that stand beside the rules, of the shipped packs and of the example of a user's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import kdl
from kdl.fact import Fact, value
from kdl.parser.manifest.kinds import identity
from kdl.parser.manifest.load import load
from kdl.rules.testing import run_tests

ROOT = Path(__file__).parents[2]
PACKS = sorted(path for path in (ROOT / "policies").iterdir() if path.is_dir())


def facts(path: str) -> Iterator[Fact]:
    """The objects of a manifest file."""
    for manifest in load([path]):
        group, kind, id = identity(manifest.doc)
        yield Fact("core.object", (group, kind, id, f"uid-{id}", value(manifest.doc)))


@pytest.mark.parametrize("packs", [PACKS, [*PACKS, ROOT / "examples/02-policies"]], ids=["shipped", "with-02-policies"])
def test_every_test_beside_the_rules_passes(packs):
    results = list(run_tests(kdl.compile(packs), facts, kdl.Engine))
    failures = [f"{result.test.name}: {result.failure}" for result in results if not result.passed]
    assert results
    assert not failures, "\n".join(failures)
