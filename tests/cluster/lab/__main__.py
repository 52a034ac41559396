"""A lab by hand.

``python -m tests.cluster.lab up [NODES]`` runs one until it is interrupted; ``down`` removes what is left of any.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from tests.cluster.images import load, test_images
from tests.cluster.lab.lab import Lab, remove

if sys.argv[1:2] == ["up"]:
    with Lab(int(sys.argv[2]) if len(sys.argv) > 2 else 1) as made:
        for machine in made.nodes:
            load(machine.docker, *test_images())
            print(f"{machine.name} {machine.address} pods {machine.pod_cidr} DOCKER_HOST={machine.docker}")
            print(f"    {' '.join(machine.argv('…'))}")
        print(f"outside: {' '.join(made.client_argv('…'))}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
elif sys.argv[1:] == ["down"]:
    for found in Path(tempfile.gettempdir()).glob("kdl-*-lab"):
        remove(found)
else:
    sys.exit(__doc__)
