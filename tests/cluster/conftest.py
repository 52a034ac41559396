"""One lab node for all tests that need Docker.

They are skipped where there can be none, unless KDL_REQUIRE_DOCKER=1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cluster.images import load, test_images
from tests.cluster.lab import Lab, missing


def require_lab() -> None:
    """Skip the test, or fail it if Docker tests are required, where no lab can be made."""
    lacks = missing()
    if lacks and os.environ.get("KDL_REQUIRE_DOCKER") == "1":
        pytest.fail(f"KDL_REQUIRE_DOCKER=1, but this machine lacks {', '.join(lacks)}")
    if lacks:
        pytest.skip(f"no lab on this machine: it lacks {', '.join(lacks)}")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab of one node with the test images loaded, for the whole session. Leave it as you found it."""
    require_lab()
    with Lab() as made:
        for node in made.nodes:
            load(node.docker, *test_images())
        yield made
