"""Where objects live: revisions, transactions, a change log, and who is told of changes.

Belongs here: the store's interface (`interface`), its implementations, and the lock on the data folder. Every
implementation passes the one contract in ``tests/runtime/store``. Does not: what an object may look like, or what
Kubernetes' verbs mean (`kdl.runtime.api`).
"""

from kdl.runtime.store.interface import Change, Gone, Key, Object, Source, Store, StoreError, Transaction
from kdl.runtime.store.memory import MemoryStore
from kdl.runtime.store.sqlite import SqliteStore

__all__ = [
    "Change",
    "Gone",
    "Key",
    "MemoryStore",
    "Object",
    "Source",
    "SqliteStore",
    "Store",
    "StoreError",
    "Transaction",
]
