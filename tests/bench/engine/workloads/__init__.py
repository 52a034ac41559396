"""The workloads, each in a module of its own."""

from __future__ import annotations

from tests.bench.engine.workload import Workload
from tests.bench.engine.workloads.closure import CLOSURE
from tests.bench.engine.workloads.feasibility import FEASIBILITY
from tests.bench.engine.workloads.generation import GENERATION
from tests.bench.engine.workloads.netpol import NETPOL
from tests.bench.engine.workloads.pointsto import POINTSTO
from tests.bench.engine.workloads.rbac import RBAC

WORKLOADS: dict[str, Workload] = {
    workload.name: workload for workload in (CLOSURE, GENERATION, POINTSTO, RBAC, NETPOL, FEASIBILITY)
}
