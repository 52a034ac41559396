"""Questions about users and access under Kubernetes' paths: reviews, and tokens for service accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kdl.parser.quantity import rfc3339
from kdl.runtime.access import Access
from kdl.runtime.api import errors
from kdl.runtime.api.gate import Action, User
from kdl.runtime.api.http import Asked, Reply
from kdl.runtime.api.service import Objects
from kdl.runtime.identity import Identity
from kdl.runtime.tokens import ISSUER

SHORTEST, USUAL, LONGEST = 600, 3600, 365 * 24 * 3600
"""Seconds that a token for a service account lives."""

Doc = Mapping[str, Any]


class Reviews:
    """The answers, as `kdl.runtime.api.http.app` wants them."""

    def __init__(self, objects: Objects, identity: Identity, access: Callable[[], Access]) -> None:
        self._objects, self._identity, self._access = objects, identity, access

    def answers(self) -> dict[tuple[str, str], Reply]:
        """By kind and subresource."""
        return {
            ("SubjectAccessReview", ""): self._subject,
            ("LocalSubjectAccessReview", ""): self._local,
            ("SelfSubjectAccessReview", ""): self._self,
            ("SelfSubjectRulesReview", ""): self._rules,
            ("SelfSubjectReview", ""): self._who,
            ("TokenReview", ""): self._token,
            ("ServiceAccount", "token"): self._issue,
        }

    # May they?

    def _self(self, asked: Asked) -> Doc:
        return self._decided(asked, asked.user, _spec(asked))

    def _subject(self, asked: Asked) -> Doc:
        spec = _spec(asked)
        name, groups = _text(spec, "user"), tuple(_texts(spec, "groups"))
        if not name and not groups:
            raise errors.bad_request("at least one of spec.user and spec.groups must be specified")
        return self._decided(asked, User(name, groups, _text(spec, "uid")), spec)

    def _local(self, asked: Asked) -> Doc:
        about = _spec(asked).get("resourceAttributes")
        if not isinstance(about, Mapping) or about.get("namespace") != asked.namespace:
            raise errors.bad_request("spec.resourceAttributes.namespace must match the namespace of the request")
        return self._subject(asked)

    def _decided(self, asked: Asked, user: User, spec: Doc) -> Doc:
        verdict = self._access()(user, _action(spec))
        status = {"allowed": verdict.allowed} | ({"reason": verdict.reason} if verdict.reason else {})
        return {**asked.body, "status": status}

    def _rules(self, asked: Asked) -> Doc:
        namespace = _text(_spec(asked), "namespace")
        if not namespace:
            raise errors.bad_request("no namespace on request")
        rules = self._access().rules(asked.user, namespace)
        paths = [rule for rule in rules if rule.get("nonResourceURLs")]
        others = [rule for rule in rules if not rule.get("nonResourceURLs")]
        return {
            **asked.body,
            "status": {"resourceRules": others, "nonResourceRules": paths, "incomplete": False},
        }

    # Who?

    def _who(self, asked: Asked) -> Doc:
        return {**asked.body, "status": {"userInfo": _info(asked.user)}}

    def _token(self, asked: Asked) -> Doc:
        spec = _spec(asked)
        audiences = _texts(spec, "audiences") or [ISSUER]
        for audience in audiences:
            found = self._identity.bearer(_text(spec, "token"), audience)
            if found is not None:
                status = {"authenticated": True, "user": _info(found), "audiences": [audience]}
                return {**asked.body, "status": status}
        return {**asked.body, "status": {"user": {}, "error": "the token is not valid"}}

    def _issue(self, asked: Asked) -> Doc:
        account, spec = asked.item, _spec(asked)
        assert account is not None
        seconds = spec.get("expirationSeconds") or USUAL
        if type(seconds) is not int or seconds < SHORTEST:
            raise errors.bad_request("spec.expirationSeconds may not be less than 10 minutes")
        bound = None
        if reference := spec.get("boundObjectRef"):
            if not isinstance(reference, Mapping):
                raise errors.bad_request("spec.boundObjectRef is an object")
            kind = _text(reference, "kind")
            if kind not in ("Pod", "Secret"):
                raise errors.bad_request("spec.boundObjectRef.kind is Pod or Secret")
            bound = self._objects.get(kind, f"{account.key.namespace}/{_text(reference, 'name')}")
            if _text(reference, "uid") not in ("", bound.uid):
                raise errors.conflict(self._objects.kind(kind), bound.key.name, "the UID in the bound object reference")
            of = bound.doc["spec"].get("serviceAccountName") if kind == "Pod" else account.key.name
            if of != account.key.name:
                raise errors.bad_request(f"pod {bound.key.name} does not run as service account {account.key.name}")
        token, end = self._identity.issue(account, min(seconds, LONGEST), _texts(spec, "audiences"), bound)
        return {**asked.body, "status": {"token": token, "expirationTimestamp": rfc3339(end)}}


def _spec(asked: Asked) -> Doc:
    spec = asked.body.get("spec") or {}
    if not isinstance(spec, Mapping):
        raise errors.bad_request("spec is an object")
    return spec


def _action(spec: Doc) -> Action:
    """What a review asks about."""
    about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if isinstance(about, Mapping) == isinstance(path, Mapping):
        raise errors.bad_request("exactly one of spec.resourceAttributes and spec.nonResourceAttributes must be given")
    if isinstance(path, Mapping):
        return Action(_text(path, "verb"), path=_text(path, "path") or "/")
    assert isinstance(about, Mapping)
    fields: Final = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Action(*(_text(about, field) for field in fields))


def _text(doc: Doc, name: str) -> str:
    text = doc.get(name)
    if text is not None and not isinstance(text, str):
        raise errors.bad_request(f"spec: `{name}` is a string")
    return text or ""


def _texts(doc: Doc, name: str) -> list[str]:
    texts = doc.get(name) or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise errors.bad_request(f"spec: `{name}` is a list of strings")
    return texts


def _info(user: User) -> dict[str, Any]:
    """A user as Kubernetes' reviews write it."""
    extra = {key: list(values) for key, values in user.extra.items()}
    info = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": extra}
    return {key: item for key, item in info.items() if item}
