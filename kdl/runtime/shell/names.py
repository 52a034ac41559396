"""What people name on a command line: ``pod web``, ``pods,services``, ``deploy/web svc/web``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from kdl.parser.manifest.kinds import Kind
    from kdl.runtime.api.client import Client

ALL = ("pods", "services", "deployments", "replicasets", "replicationcontrollers")
"""What ``all`` stands for, as far as rules do something with it."""


class Named(NamedTuple):
    """A kind, and the object of it that is meant; all of them if the name is empty."""

    kind: Kind
    name: str
    namespace: str

    @classmethod
    def of(cls, client: Client, doc: dict[str, Any]) -> Named:
        """What a document stands for."""
        kind = client.stored(doc["apiVersion"], doc["kind"])
        if kind is None:
            raise click.UsageError(f"there is no kind `{doc['kind']}` in `{doc['apiVersion']}`")
        return cls(kind, doc["metadata"]["name"], doc["metadata"].get("namespace", ""))

    def __str__(self) -> str:
        return f"{self.kind.singular} `{self.name}`"


def kind_of(client: Client, word: str) -> Kind:
    """The kind that a word means; a usage error with the nearest ones if none."""
    from kdl.parser.manifest.kinds import BUILT_IN
    from kdl.parser.manifest.problem import did_you_mean
    from kdl.runtime.api.errors import ApiError

    try:
        return client.kind(word)
    except ApiError:
        words = [name for kind in BUILT_IN for name in (kind.plural, kind.singular)]
        hint = did_you_mean(word, words)
        raise click.UsageError(f"there is no kind `{word}`" + (f": {hint}" if hint else "")) from None


def named(client: Client, words: Sequence[str], namespace: str) -> list[Named]:
    """The kinds and objects that the words of a command line mean."""
    if any("/" in word for word in words):
        found = []
        for word in words:
            kind, slash, name = word.partition("/")
            if not slash or not name or "/" in name:
                raise click.UsageError(f"write all as KIND/NAME, or as one KIND and names: `{word}` is neither")
            found.append(Named(kind_of(client, kind), name, namespace))
        return found
    kinds = [one for word in words[0].split(",") if word for one in (ALL if word == "all" else (word,))]
    if not kinds:
        raise click.UsageError("name a kind, such as pods")
    if len(kinds) > 1 and len(words) > 1:
        raise click.UsageError("names go with one kind")
    return [Named(kind_of(client, kind), name, namespace) for kind in kinds for name in (words[1:] or ("",))]
