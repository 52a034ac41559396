"""The endpoints of a running cluster: what can be asked of its engine and its nodes, beside Kubernetes' API.

Whatever asks the engine holds the brain's lock meanwhile: an answer is about one settled state.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, Queue
from typing import Any

from kdl.effects.driver import operation_id
from kdl.fact import digest, literal, value
from kdl.parser.quantity import time
from kdl.rules.engine import LimitExceeded
from kdl.runtime import whatif
from kdl.runtime.api.call import TRUE
from kdl.runtime.api.channels import container_of
from kdl.runtime.api.errors import ApiError, bad_request, not_run
from kdl.runtime.api.gate import Action
from kdl.runtime.api.http import Asked, Endpoint, Judge, Reply, Require, sources
from kdl.runtime.api.request import number
from kdl.runtime.brain import WITHHELD
from kdl.runtime.cluster import Cluster
from kdl.runtime.packs import Refused
from kdl.runtime.questions import FORMS, Answer, View, ask_why, ask_why_not, goal, query
from kdl.runtime.screen import Lacks, asked_about, everything, lacking
from kdl.runtime.store import Object

SUPPOSED = frozenset({"insert", "remove", "objects", "advance"})
CONTAINER, SANDBOX = "docker.container", "docker.sandbox"


@dataclass(slots=True)
class Endpoints:
    """The answers of one cluster. `runtime` is what its nodes are, `down` ends the process after cleaning up."""

    cluster: Cluster
    runtime: str
    down: Callable[[], None]
    facts: dict[str, Any] = field(default_factory=dict)
    """What else `status` tells."""

    def all(self) -> list[Endpoint | Judge]:
        """Everything under ``/kdl/v1/``."""
        return [
            Endpoint("query", self._query),
            Judge("why", self._why),
            Judge("whynot", self._why_not),
            Endpoint("whatif", self._what_if),
            Endpoint("program", self._program),
            Endpoint("packs", self._packs),
            Endpoint("pack", self._pack),
            Endpoint("container", self._container),
            Endpoint("logs", self._logs),
            Endpoint("down", self._down),
            Endpoint("status", self._status),
            sources(self.cluster.objects),
        ]

    def answers(self) -> dict[tuple[str, str], Reply]:
        """What kdl answers under Kubernetes' paths beside objects."""
        return {("Pod", "log"): self._pod_log}

    # what the rules say

    def _query(self, body: dict[str, Any]) -> Any:
        text = _text(body, "query")
        with self.cluster.brain.lock:
            return {"rows": query(self.cluster.brain.engine, text)}

    def _why(self, body: dict[str, Any], require: Require) -> Any:
        """Whole for who may see everything; for others about objects that they may get, screened."""
        text, view, origin = _text(body, "goal"), _view(body), self.cluster.origin
        lacks = self._lacks(text, require, "why")
        with self.cluster.brain.lock:
            return _shown(lambda: ask_why(self.cluster.brain.engine, text, origin, view=view, lacks=lacks))

    def _why_not(self, body: dict[str, Any], require: Require) -> Any:
        """The same."""
        text, view, origin = _text(body, "goal"), _view(body), self.cluster.origin
        lacks = self._lacks(text, require, "whynot")
        with self.cluster.brain.lock:
            return _shown(lambda: ask_why_not(self.cluster.brain.engine, text, view, origin, lacks))

    def _lacks(self, text: str, require: Require, verb: str) -> Lacks | None:
        """What the asker lacks for an answer about a goal; None for who may see everything. Refuses others' objects."""
        whole, kinds, engine = everything(verb), self.cluster.objects.kinds, self.cluster.brain.engine
        if _allows(require, whole):
            return None
        for action in asked_about(goal(engine, text), engine.program, kinds, whole):
            require(action)
        return lacking(partial(_allows, require), kinds, whole)

    def _what_if(self, body: dict[str, Any]) -> Any:
        for name, (fits, form) in whatif.FORMS.items():
            if name in body and not fits(body[name]):
                raise bad_request(f"`{name}` is {form}")
        with self.cluster.brain.lock:
            engine, origin = self.cluster.brain.engine, self.cluster.origin
            try:
                supposed = whatif.suppose(engine, **{name: item for name, item in body.items() if name in SUPPOSED})
                question = whatif.question(engine, body.get("ask"), origin)
                return whatif.ask_what_if(engine, supposed, body.get("lines", whatif.LINES), question).document()
            except (ValueError, LimitExceeded) as error:
                raise bad_request(str(error)) from None

    def _program(self, body: dict[str, Any]) -> Any:
        with self.cluster.brain.lock:
            engine = self.cluster.brain.engine
            counts = {name: engine.count(name) for name in engine.program.relations}
            return {"sources": dict(engine.program.sources), "counts": counts}

    def _packs(self, body: dict[str, Any]) -> Any:
        return {"packs": list(self.cluster.packs.listed(self.cluster))}

    def _pack(self, body: dict[str, Any]) -> Any:
        """Plan a change of packs; make it if the plan is the one that was agreed to (`agreed`: its digest, or true)."""
        packs, name = self.cluster.packs, _text(body, "name")
        texts = body.get("texts", {})
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise bad_request("`texts` are the texts of rules by the names of their files")
        try:
            match body.get("verb"):
                case "add":
                    wanted = packs.added(name, texts)
                case "replace":
                    wanted = packs.replaced(name, texts)
                case "remove":
                    wanted = packs.removed(name)
                case verb:
                    raise bad_request(f"`{verb}` is none of add, replace, remove")
            proposal = packs.propose(self.cluster, wanted)
            plan = [{"id": o.id, "verb": o.verb, "sentence": o.cause.sentence, "rule": o.cause.rule}
                    for o in proposal.operations]  # fmt: skip
            mark = digest(value([[o.id, o.verb] for o in proposal.operations]))
            agreed = body.get("agreed") in (True, mark)
            if agreed:
                packs.commit(self.cluster, proposal)
        except Refused as error:
            raise ApiError(409, "Conflict", f"the pack `{name}` is refused: {error}") from None
        return {"plan": plan, "digest": mark, "removes": proposal.removes, "done": agreed}

    def _container(self, body: dict[str, Any]) -> Any:
        """The goal that makes a container of this id (or its beginning), or name in the container runtime, run."""
        word = _text(body, "container")
        with self.cluster.brain.lock:
            engine = self.cluster.brain.engine
            found = {
                f"node.container({literal(row[0])}, {literal(row[1])}, {literal(row[2])}, _, _)"
                for row in engine.lookup(CONTAINER, {})
                if _names(word, str(row[5]), str(row[1]), str(row[2]))
            } | {
                f"node.sandbox({literal(row[0])}, {literal(row[1])}, _)"
                for row in engine.lookup(SANDBOX, {})
                if _names(word, str(row[3]), str(row[1]), "POD")
            }
        if len(found) != 1:
            how = "no container" if not found else f"{len(found)} containers"
            raise ApiError(404, "NotFound", f"{how} of this cluster: `{word}`")
        return {"goal": found.pop()}

    # what containers print

    def _logs(self, body: dict[str, Any]) -> Any:
        pod = self.cluster.objects.get("Pod", f"{body.get('namespace') or 'default'}/{_text(body, 'name')}")
        return self._lines(pod, body)

    def _pod_log(self, asked: Asked) -> Any:
        pod, query = asked.item, asked.query
        assert pod is not None
        options: dict[str, Any] = {"container": query.get("container")}
        options |= {name: query.get(name) in TRUE for name in ("follow", "previous", "timestamps")}
        options["tail"] = number(query, "tailLines")
        options["since"] = self._since(query)
        limit = number(query, "limitBytes")
        lines = self._lines(pod, options)
        return lines if limit is None else _limited(lines, limit)

    def _since(self, query: dict[str, str]) -> int | None:
        """From when on the log is wanted, in seconds since the epoch."""
        if (seconds := number(query, "sinceSeconds")) is not None:
            return self.cluster.clock.now() // 1000 - seconds
        if not (text := query.get("sinceTime")):
            return None
        try:
            return time(text) // 1000
        except ValueError as error:
            raise bad_request(f"sinceTime is no time: {error}") from None

    def _lines(self, pod: Object, options: dict[str, Any]) -> Iterator[bytes]:
        chosen = container_of(pod, options.get("container"))
        read = self.cluster.nodes.logs
        if read is None:
            raise ApiError(
                404, "NotFound", f"there are no logs: on the {self.runtime} runtime containers print nothing"
            )
        wanted = {name: options[name] for name in ("tail", "since") if options.get(name) is not None}
        wanted |= {name: True for name in ("follow", "previous", "timestamps") if options.get(name)}
        try:
            yield from _waiting(read(pod.uid, chosen, **wanted))
        except LookupError as error:
            raise not_run(str(error.args[0])) from None

    # the process

    def _down(self, body: dict[str, Any]) -> Any:
        self.down()
        return {"pid": os.getpid()}

    def _status(self, body: dict[str, Any]) -> Any:
        brain = self.cluster.brain
        with brain.lock:
            halted, problems = brain.halted, brain.problems()
            pending = sum(
                not brain.engine.holds(WITHHELD, (operation_id(*key),)) for key in brain.comparison.differences
            )
        return {
            **self.facts,
            "pid": os.getpid(),
            "runtime": self.runtime,
            "nodes": [node.name for node in self.cluster.nodes.nodes],
            "clusterUID": self.cluster.store.cluster_uid,
            "ticks": brain.ticks,
            "pending": pending,
            "halted": halted,
            "stuck": problems,
        }


def _view(body: dict[str, Any]) -> View:
    numbers, form = body.get("expand", []), body.get("form", "json")
    if not isinstance(numbers, list) or form not in FORMS:
        raise bad_request(f"`expand` is a list of numbers, `form` is one of {', '.join(FORMS)}")
    return View(tuple(map(str, numbers)), form)


def _shown(ask: Callable[[], Answer]) -> dict[str, Any]:
    try:
        return ask().document()
    except LookupError as error:
        raise bad_request(str(error.args[0])) from None


def _limited(pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """So many bytes at most."""
    for piece in pieces:
        yield piece[:limit]
        limit -= len(piece)
        if limit <= 0:
            return


def _waiting(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces as they come, and an empty one for each second without."""
    waiting: Queue[bytes | BaseException | None] = Queue(64)
    over = threading.Event()

    def pump() -> None:
        last: BaseException | None = None
        try:
            for piece in pieces:
                waiting.put(piece)
                if over.is_set():
                    return
        except BaseException as error:
            last = error
        waiting.put(last)

    threading.Thread(target=pump, name="logs", daemon=True).start()
    try:
        while True:
            try:
                item = waiting.get(timeout=1)
            except Empty:
                yield b""
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        over.set()
        with contextlib.suppress(Empty):
            waiting.get_nowait()


def _names(word: str, container_id: str, pod_uid: str, name: str) -> bool:
    """Whether a word is a container's id, the beginning of it, or its name (``kdl-…-UID-NAME-ATTEMPT``)."""
    started = len(word) >= 6 and container_id.startswith(word)
    return word == container_id or started or word.rpartition("-")[0].endswith(f"{pod_uid}-{name}")


def _allows(require: Require, action: Action) -> bool:
    try:
        require(action)
    except ApiError:
        return False
    return True


def _text(body: dict[str, Any], name: str) -> str:
    text = body.get(name)
    if not isinstance(text, str) or not text.strip():
        raise bad_request(f"`{name}` is missing")
    return text
