"""SWI-Prolog: everything by tabling, as it is fastest cold, or incremental, so that it updates its own tables."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from tests.bench.engine.systems import resident
from tests.bench.engine.workload import Facts, Row, Workload

PRELUDE = """
:- set_prolog_flag(stack_limit, 12_000_000_000).
:- set_prolog_flag(table_space, 12_000_000_000).
:- set_prolog_flag(double_quotes, atom).
:- style_check(-singleton).
:- use_module(library(aggregate)).

serve :- repeat, read(Order), done(Order), (Order == halt ; Order == end_of_file), !.
done(halt) :- !.
done(end_of_file) :- !.
done(count(Goal)) :- !, aggregate_all(count, Goal, Count), answer(Count).
done(Order) :- statistics(cputime, S), (call(Order) -> true ; true), statistics(cputime, E), T is E - S, answer(T).
answer(What) :- write(What), nl, flush_output.
"""


def atom(value: object) -> str:
    """A constant of Prolog."""
    return str(value) if isinstance(value, int) else "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def fact(name: str, row: Row) -> str:
    """A fact, without its dot."""
    return f"{name}({', '.join(map(atom, row))})"


def clauses(text: str) -> str:
    """Plain rules in Prolog's words."""
    text = re.sub(r"\bnot ", r"\\+ ", text).replace(" <= ", " =< ")
    return re.sub(r"(\w+) = ([^,.]+[-+*])", r"\1 is \2", text)


class Tabling:
    """A process of its own that is told what to do line by line and says how long that took."""

    updates = False

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.goal = f"{workload.goal}({', '.join('_' for _ in workload.derived[workload.goal].split())})"
        self.folder = tempfile.TemporaryDirectory()
        mode, dynamic = (" as incremental", ", [incremental(true)]") if self.updates else ("", ", []")
        arity = {name: len(types.split()) for name, types in (*workload.derived.items(), *workload.inputs.items())}
        tables = [f":- table {name}/{arity[name]}{mode}." for name in workload.tables or workload.derived]
        inputs = [f":- dynamic([{name}/{arity[name]}]{dynamic})." for name in workload.inputs]
        program = Path(self.folder.name, "program.pl")
        program.write_text(PRELUDE + "\n".join(tables + inputs) + clauses(workload.text("swi")))
        self.process = subprocess.Popen(
            ["swipl", "-q", "-f", "none", "-g", "serve", "-t", "halt", str(program)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def order(self, text: str) -> float:
        """Have something done; what is answered."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(text + ".\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(-self.process.wait())
        return float(answer)

    def expect(self, facts: Facts, rows: list[Row]) -> None:
        """Nothing to prepare."""

    def load(self, facts: Facts) -> float:
        """Read a file of facts."""
        file = Path(self.folder.name, "facts.pl")
        with file.open("w") as out:
            for name, rows in facts.items():
                out.writelines(f"{fact(name, row)}.\n" for row in rows)
        return self.order(f"load_files('{file}', [silent(true)])")

    def evaluate(self) -> float:
        """Complete the goal's table, which completes all others that it needs."""
        self.order("abolish_all_tables")
        return self.order(self.goal)

    def change(self, insert: bool, row: Row) -> float:
        """Assert or retract, and everything anew but for the facts."""
        return self.order(f"{self.edit(insert, row)}, abolish_all_tables, {self.goal}")

    def edit(self, insert: bool, row: Row) -> str:
        """The goal that changes a fact."""
        return f"{'assertz' if insert else 'retract'}({fact(self.workload.changing, row)})"

    def count(self) -> int:
        """The answers in the goal's table."""
        return int(self.order(f"count({self.goal})"))

    def memory(self) -> int:
        """Of Prolog's process."""
        return resident(self.process.pid)


class IncrementalTabling(Tabling):
    """Tables that know on which facts they depend."""

    updates = True

    def change(self, insert: bool, row: Row) -> float:
        """Assert or retract; the next look at the goal re-evaluates the tables that this made invalid."""
        return self.order(f"{self.edit(insert, row)}, {self.goal}")
