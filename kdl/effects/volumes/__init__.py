"""Volumes of pods on a node's disk: folders and files, with what may be seen by nobody else fetched when it is written.

Belongs here: making, rewriting and removing volumes. Does not: what is in them, which the rules say.
"""

from kdl.effects.volumes.driver import VolumeDriver

__all__ = ["VolumeDriver"]
