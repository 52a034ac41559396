"""A lab of full nodes on one machine: each has its own network, mount, UTS, PID and IPC namespace and its own dockerd.

No namespace made here has a default route, so a wrong rule leaks no packet off the machine. Belongs here: nodes, the
network between them, their dockerd and how to break all of it. Does not: kdl, and images. By hand:
``python -m tests.cluster.lab up 3`` and ``down``.
"""

from tests.cluster.lab.lab import Lab, missing
from tests.cluster.lab.node import Node

__all__ = ["Lab", "Node", "missing"]
