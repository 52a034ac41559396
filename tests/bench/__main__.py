"""All measurements, one after the other: ``python -m tests.bench [NAME …]``.

Each is a module of this package with a ``main()`` that prints its table; a NAME chooses some by their names.
"""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import tests.bench


def main(wanted: list[str]) -> int:
    """Run them; 2 for a name that is none."""
    known = [found.name for found in pkgutil.iter_modules(tests.bench.__path__) if not found.name.startswith("_")]
    if strange := [name for name in wanted if name not in known]:
        print(f"no measurement is called {', '.join(strange)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    for name in wanted or known:
        module = importlib.import_module(f"tests.bench.{name}")
        if callable(getattr(module, "main", None)):
            print(f"== {name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
            alone = f"from tests.bench.{name} import main; main()"  # with memory and a heap of its own
            subprocess.run([sys.executable, "-c", alone], check=True)
    return 0


sys.exit(main(sys.argv[1:]))
