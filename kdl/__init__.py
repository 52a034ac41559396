"""kdl runs containers from Kubernetes manifests; its control plane is a Datalog program.

Public names: `compile`, `Engine`, `ProgramError`, `shipped`. They are imported when first used, so that a command
that needs none of them starts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdl.parser.diagnostic import ProgramError as ProgramError
    from kdl.parser.source import shipped as shipped
    from kdl.rules.engine import Engine as Engine
    from kdl.runtime.programs import compile as compile

__all__ = ["Engine", "ProgramError", "compile", "shipped"]

_HOMES = {
    "Engine": "kdl.rules.engine",
    "ProgramError": "kdl.parser.diagnostic",
    "compile": "kdl.runtime.programs",
    "shipped": "kdl.parser.source",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module `kdl` has no attribute `{name}`")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
