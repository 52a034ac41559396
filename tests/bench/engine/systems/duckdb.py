"""DuckDB: recursive table expressions and joins over columns; one thread, as all the others."""

from __future__ import annotations

import csv
import os
import tempfile
import time
from typing import Any

import duckdb

from tests.bench.engine.systems import resident
from tests.bench.engine.workload import Facts, Row, Workload

TYPES = {"int": "BIGINT", "str": "VARCHAR"}


class DuckDB:
    """A database in memory."""

    updates = False

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.database = duckdb.connect(config={"threads": 1})

    def run(self, statement: str, values: Row | None = None) -> int:
        """Execute a statement; the number in its first column and row, 0 where there is none."""
        found: Any = self.database.execute(statement, values).fetchone()
        return int(found[0] or 0) if found else 0

    def expect(self, facts: Facts, rows: list[Row]) -> None:
        """Nothing to prepare."""

    def load(self, facts: Facts) -> float:
        """Tables from files with values separated by commas, the quickest way in that needs no other package."""
        seconds = 0.0
        for name, types in self.workload.inputs.items():
            columns = ", ".join(f"c{index} {TYPES[type]}" for index, type in enumerate(types.split()))
            with tempfile.NamedTemporaryFile("w", suffix=".csv", delete=False) as file:
                csv.writer(file, quoting=csv.QUOTE_NONNUMERIC).writerows(facts[name])
            start = time.process_time()
            self.run(f"CREATE TABLE {name} ({columns})")
            self.run(f"COPY {name} FROM '{file.name}' (HEADER false, NULLSTR '-')")
            seconds += time.process_time() - start
            os.unlink(file.name)
        return seconds

    def evaluate(self) -> float:
        """The workload's statements."""
        start = time.process_time()
        self.workload.sql(self.run)
        return time.process_time() - start

    def change(self, insert: bool, row: Row) -> float:
        """Everything anew, but for the tables of inputs."""
        name = self.workload.changing
        start = time.process_time()
        if insert:
            self.run(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
        else:
            self.run(f"DELETE FROM {name} WHERE " + " AND ".join(f"c{index} = ?" for index in range(len(row))), row)
        return time.process_time() - start + self.evaluate()

    def count(self) -> int:
        """The rows of the goal's table."""
        return self.run(f"SELECT count(*) FROM {self.workload.goal}")

    def memory(self) -> int:
        """Of this process."""
        return resident()
