"""What must hold between the fields of a controller: its selector, its template, its strategy."""

from __future__ import annotations

from kdl.parser.manifest.checks.alternatives import Doc
from kdl.parser.manifest.checks.pods import matches, mounts
from kdl.parser.manifest.problem import Path, Report, choices, field


def workload(value: Doc, path: Path, report: Report) -> None:
    selector, labels = value.get("selector"), value["template"].get("metadata", {}).get("labels", {})
    if selector is None:
        return
    at = (*path, "selector")
    if not (selector.get("matchLabels") or selector.get("matchExpressions")):
        report("KDL520", at, f"`{field(at)}` is empty", "select the pods by the labels of `template`", at_key=True)
    elif not matches(selector, labels):
        wanted = selector.get("matchLabels", {})
        wrong = next((key for key, text in wanted.items() if labels.get(key) != text), None)
        if wrong is None:
            message = f"`{field(at)}` does not select the labels of `{field((*path, 'template'))}`"
            report("KDL520", at, message, "mend one of the two", at_key=True)
        else:
            at = (*at, "matchLabels", wrong)
            found = f"has `{wrong}: {labels[wrong]}`" if wrong in labels else f"has no label `{wrong}`"
            message = f"`{field(at)}` wants `{wanted[wrong]}`, but `{field((*path, 'template'))}` {found}"
            help = f"write `{wrong}: {wanted[wrong]}` under `{field((*path, 'template', 'metadata', 'labels'))}`"
            report("KDL520", at, message, help)
    _template_restarts(value, path, report, "Always")


def replication_controller(value: Doc, path: Path, report: Report) -> None:
    if "template" not in value:
        report("KDL511", path, f"the field `template` is missing in `{field(path)}`", "add `template:`", at_key=True)
        return
    selector = {"matchLabels": value["selector"]} if value.get("selector") else None
    workload({**value, "selector": selector}, path, report)
    mounts(value, path, report)


def _template_restarts(value: Doc, path: Path, report: Report, *allowed: str) -> None:
    policy = value["template"].get("spec", {}).get("restartPolicy", "Always")
    if policy not in allowed:
        at = (*path, "template", "spec", "restartPolicy")
        unset = "restartPolicy" not in value["template"].get("spec", {})
        found = "is not set, which means `Always`" if unset else f"is `{policy}`"
        report("KDL513", at, f"`{field(at)}` {found}; here it must be {choices(allowed)}",
               f"write `restartPolicy: {allowed[0]}`")  # fmt: skip


def deployment(value: Doc, path: Path, report: Report) -> None:
    strategy = value.get("strategy", {})
    rolling = strategy.get("rollingUpdate")
    at = (*path, "strategy", "rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        report("KDL523", at, f"`{field(at)}` has no meaning with the type `Recreate`", "remove it", at_key=True)
    elif rolling and _zero(rolling, "maxSurge") and _zero(rolling, "maxUnavailable"):
        message = f"`{field(at)}` allows neither a new pod (`maxSurge`) nor a missing one (`maxUnavailable`)"
        report("KDL523", at, message, "set one of them to 1", at_key=True)
    minimum, deadline = value.get("minReadySeconds", 0), value.get("progressDeadlineSeconds", 600)
    if deadline <= minimum:
        at = (*path, "progressDeadlineSeconds")
        report("KDL523", at, f"`{field(at)}` ({deadline}) must be more than `minReadySeconds` ({minimum})")


def _zero(value: Doc, name: str) -> bool:
    return str(value.get(name, "25%")) in ("0", "0%")


def stateful_set(value: Doc, path: Path, report: Report) -> None:
    claims = [claim.get("metadata", {}).get("name", "") for claim in value.get("volumeClaimTemplates", [])]
    mounts(value, path, report, claims)


def job(value: Doc, path: Path, report: Report) -> None:
    _template_restarts(value, path, report, "OnFailure", "Never")
    mounts(value, path, report)
    if value.get("selector") is not None and not value.get("manualSelector") and path == ("spec",):
        labels = value["template"].get("metadata", {}).get("labels", {})
        if not matches(value["selector"], labels):
            message = f"`{field((*path, 'selector'))}` is set, but a Job makes its own"
            report("KDL520", (*path, "selector"), message, "remove it, or set `manualSelector: true`", at_key=True)
