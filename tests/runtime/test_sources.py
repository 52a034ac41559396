"""What goes into pods' files: the data of Secrets, and tokens that are their pods'."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdl.fact import Document, value
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import VirtualClock
from kdl.runtime.identity import Identity
from kdl.runtime.sources import sources
from kdl.runtime.store import MemoryStore

Made = tuple[Objects, Identity, VirtualClock, dict[str, Callable[[Document], bytes]]]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A store with an account, its pod and a secret."""
    store, clock = MemoryStore(), VirtualClock(1_800_000_000_000)
    objects, identity = Objects(store, clock), Identity(tmp_path, "admin", store, clock)
    objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dev"}})
    for kind, name, more in (
        ("ServiceAccount", "robot", {}),
        ("Secret", "db", {"data": {"password": "aHVudGVyMg=="}}),
        ("Pod", "web", {"spec": {"serviceAccountName": "robot", "containers": [{"name": "a", "image": "a:1"}]}}),
    ):
        objects.create({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "dev"}, **more})
    return objects, identity, clock, sources(store, identity)


def asked(**fields: Any) -> Document:
    """What a file asks for."""
    document = value(fields)
    assert isinstance(document, Document)
    return document


def token(objects: Objects, **other: Any) -> Document:
    """What the pod's file asks for."""
    uid = objects.get("Pod", "dev/web").uid
    return asked(
        **{"pod": "dev/web", "uid": uid, "account": "robot", "audience": "", "seconds": 3607, **other}
    )  # fmt: skip


def test_a_secrets_data_is_fetched_and_what_is_missing_is_named(made: Made) -> None:
    secret = made[3]["secret"]
    assert secret(asked(id="dev/db", key="password", mark="<secret dev/db/password#1>")) == b"hunter2"
    with pytest.raises(LookupError, match="references non-existent secret key: other"):
        secret(asked(id="dev/db", key="other", mark=""))
    with pytest.raises(LookupError, match='secret "none" not found'):
        secret(asked(id="dev/none", key="password", mark=""))


def test_a_token_is_its_accounts_for_so_long_and_dies_with_its_pod(made: Made) -> None:
    objects, identity, clock, fetch = made
    text = fetch["token"](token(objects)).decode()
    user = identity.bearer(text)
    assert user is not None
    assert user.name == "system:serviceaccount:dev:robot"
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("web",)
    clock.advance(3_606_000)
    assert identity.bearer(text) is not None
    clock.advance(1_000)
    assert identity.bearer(text) is None
    again = fetch["token"](token(objects)).decode()
    assert identity.bearer(again) is not None
    objects.delete("Pod", "dev/web", grace_seconds=0)
    assert identity.bearer(again) is None


def test_a_token_for_another_audience_does_not_open_the_api(made: Made) -> None:
    objects, identity, _, fetch = made
    text = fetch["token"](token(objects, audience="vault")).decode()
    assert identity.bearer(text) is None
    assert identity.bearer(text, "vault") is not None


def test_a_pod_that_took_anothers_name_gets_no_token_of_it(made: Made) -> None:
    objects, _, _, fetch = made
    with pytest.raises(LookupError, match='pod "web" is another one now'):
        fetch["token"](token(objects, uid="other"))
    with pytest.raises(LookupError, match='serviceaccount "gone" not found'):
        fetch["token"](token(objects, account="gone"))
