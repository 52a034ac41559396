"""An iptables driver in a process of its own, which is what each network namespace needs: JSON lines in and out."""

from __future__ import annotations

import json
import sys
from typing import Any

from kdl.effects.driver import Cause, Operation
from kdl.effects.iptables import IptablesDriver
from kdl.fact import row


def answer(driver: IptablesDriver, request: dict[str, Any]) -> Any:
    """Do what is asked."""
    match request["do"]:
        case "perform":
            outcomes = driver.perform_all([operation(driver, *given) for given in request["operations"]])
            return [outcome.error for outcome in outcomes]
        case "observe":
            seen = driver.observe()
            return {"blind": seen.blind, "chains": [list(fact.row) for fact in seen.facts]}
        case "tables":
            return driver.tables()
        case "cleanup":
            try:
                driver.cleanup()
            except Exception as error:
                return str(error)
    return None


def operation(driver: IptablesDriver, verb: Any, table: str, chain: str, rules: Any) -> Operation:
    """The operation on one chain; without rules it is removed."""
    key = (driver.node, table, chain)
    desired = None if rules is None else row((*key, rules))
    return Operation(verb, "network.chain", key, desired, None, Cause("test.dl:1", "a test wants it"))


if __name__ == "__main__":
    own = IptablesDriver("n1", sys.argv[1], lock_seconds=float(sys.argv[2]) if len(sys.argv) > 2 else 20)
    for line in sys.stdin:
        print(json.dumps(answer(own, json.loads(line))), flush=True)
