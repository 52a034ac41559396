"""The driver that keeps a node's iptables chains, in the kernel's legacy tables.

Belongs here: checking rule documents (`document`), naming what is ours (`names`), turning rules into the kernel's bytes
(`encode`), changing and reading a table (`table`), the lock (`lock`), the driver itself (`driver`), and what the host's
own tables mean for us (`preflight`). Only `libiptc` imports python-iptables. Does not belong here: what the rules
should be.
"""

from kdl.effects.iptables.driver import IptablesDriver

__all__ = ["IptablesDriver"]
