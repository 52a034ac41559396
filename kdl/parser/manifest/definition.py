"""What a CustomResourceDefinition says, for Python to understand: the kind that it brings along.

Pydantic reads it, since here a document steers the program. Only loads that contain a definition import this module.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from kdl.parser.manifest.kinds import Kind, PrinterColumn, Scaled


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


class Scale(_Model):
    """Where the replicas of a kind are."""

    spec_replicas_path: str
    status_replicas_path: str
    label_selector_path: str = ""


class Subresources(_Model):
    """What is served under an object's own path."""

    status: dict[str, Any] | None = None
    scale: Scale | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Their path elements."""
        given = {"scale": self.scale is not None, "status": self.status is not None}
        return tuple(name for name, there in given.items() if there)


class Column(_Model):
    """One of the columns in which objects are shown."""

    name: str
    type: str
    json_path: str
    priority: int = 0


class Version(_Model):
    """One version of a kind."""

    name: str
    served: bool
    storage: bool
    validation: Validation = Field(default=Validation(), alias="schema")
    subresources: Subresources = Subresources()
    additional_printer_columns: tuple[Column, ...] = ()


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
            subresources=version.subresources.names,
            categories=names.categories,
            served=tuple(other.name for other in definition.versions if other.served and not other.storage),
            schema=version.validation.schema_ or {"x-kubernetes-preserve-unknown-fields": True},
            columns=tuple(
                PrinterColumn(column.name, column.type, column.json_path, column.priority > 0)
                for column in version.additional_printer_columns
            ),
            scale=_scaled(version.subresources.scale),
        )
        for version in definition.versions
        if version.storage
    ]


def _scaled(scale: Scale | None) -> Scaled | None:
    if scale is None:
        return None
    return Scaled(scale.spec_replicas_path, scale.status_replicas_path, scale.label_selector_path)
