"""`make bench` finds every measurement, and each can be begun without arguments."""

import ast
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent / "bench"
FILES = [
    path
    for path in sorted([*BENCH.glob("*.py"), *BENCH.glob("*/__init__.py")])
    if path.parent != BENCH or path.name[0] != "_"
]


def test_every_measurement_has_a_main_without_arguments():
    assert len(FILES) >= 7
    for path in FILES:
        functions = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
        (main,) = [node for node in functions if node.name == "main"]
        assert not main.args.args, path


def test_a_name_that_is_none_is_told_with_those_there_are():
    command = [sys.executable, "-m", "tests.bench", "nonsense"]
    done = subprocess.run(command, cwd=BENCH.parents[1], capture_output=True, text=True)
    assert done.returncode == 2
    for path in FILES:
        assert (path.stem if path.parent == BENCH else path.parent.name) in done.stderr
