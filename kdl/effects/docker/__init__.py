"""The docker driver: pods' sandboxes and containers, through the Docker API.

Belongs here: what a desired sandbox or container is in Docker's words, making and removing them so that nothing is made
twice, and seeing what is there. Does not: when to restart, whom to stop; such things come as operations. The Docker SDK
is imported in `connection` alone.
"""

from kdl.effects.docker.connection import connect_to
from kdl.effects.docker.driver import DockerDriver

__all__ = ["DockerDriver", "connect_to"]
