"""What a CustomResourceDefinition says, for Python to understand: the kind that it brings along.

Pydantic reads it, since here a document steers the program. Only loads that contain a definition import this module.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from kdl.parser.manifest.kinds import Kind


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class Names(_Model):
    """How people call the objects of a kind."""

    kind: str
    plural: str
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class Validation(_Model):
    """The schema of one version."""

    schema_: dict[str, Any] | None = Field(default=None, alias="openAPIV3Schema")


class Version(_Model):
    """One version of a kind."""

    name: str
    served: bool
    storage: bool
    validation: Validation = Field(default=Validation(), alias="schema")
    subresources: dict[str, Any] = {}


class Definition(_Model):
    """The `spec` of a CustomResourceDefinition."""

    group: str
    scope: Literal["Namespaced", "Cluster"]
    names: Names
    versions: tuple[Version, ...]


def kinds_of(doc: dict[str, Any]) -> list[Kind]:
    """The kind that an accepted CustomResourceDefinition defines, in its stored version."""
    definition = Definition.model_validate(doc["spec"])
    names = definition.names
    return [
        Kind(
            definition.group,
            version.name,
            names.kind,
            names.plural,
            names.singular or names.kind.lower(),
            names.short_names,
            namespaced=definition.scope == "Namespaced",
            subresources=tuple(sorted(version.subresources)),
            categories=names.categories,
            served=tuple(other.name for other in definition.versions if other.served and not other.storage),
            schema=version.validation.schema_ or {"x-kubernetes-preserve-unknown-fields": True},
        )
        for version in definition.versions
        if version.storage
    ]
