"""What goes into pods' files and variables, never into facts: the data of Secrets, and tokens of service accounts."""

from __future__ import annotations

import base64
from collections.abc import Callable

from kdl.fact import Document
from kdl.runtime.identity import Identity
from kdl.runtime.store import Key, Object, Store


def sources(store: Store, identity: Identity) -> dict[str, Callable[[Document], bytes]]:
    """Each by the word that rules have for it; raises `LookupError` with what is missing."""

    def the(kind: str, id_: str) -> Object:
        found = store.get(Key("", kind, id_))
        if found is None:
            raise LookupError(f'{kind.lower()} "{id_.rpartition("/")[2]}" not found')
        return found

    def secret(what: Document) -> bytes:
        data = the("Secret", what["id"]).doc.get("data") or {}
        if what["key"] not in data:
            raise LookupError(f"references non-existent secret key: {what['key']}")
        return base64.b64decode(data[what["key"]])

    def token(what: Document) -> bytes:
        pod = the("Pod", what["pod"])
        if pod.uid != what["uid"]:
            raise LookupError(f'pod "{pod.key.name}" is another one now')
        account = the("ServiceAccount", f"{pod.key.namespace}/{what['account']}")
        audiences = [what["audience"]] if what["audience"] else []
        return identity.issue(account, what["seconds"], audiences, pod)[0].encode()

    return {"secret": secret, "token": token}
