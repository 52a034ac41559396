"""The engine beside its peers: the same facts and rules, equal answers, measured in the same run."""


def main() -> None:
    """Measure everything, and keep it."""
    import sys

    from tests.bench.engine.__main__ import main

    sys.argv.append("--keep")
    main()
