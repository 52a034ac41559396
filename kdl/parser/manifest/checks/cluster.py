"""What must hold between the fields of autoscalers, access rules and definitions of kinds."""

from __future__ import annotations

from kdl.parser.manifest.checks.alternatives import Doc
from kdl.parser.manifest.problem import Path, Report, field


def autoscaler(value: Doc, path: Path, report: Report) -> None:
    low, high = value.get("minReplicas", 1), value["maxReplicas"]
    if low > high:
        at = (*path, "minReplicas")
        report("KDL523", at, f"`{field(at)}` ({low}) is more than `maxReplicas` ({high})")


def metric(value: Doc, path: Path, report: Report) -> None:
    wanted = value["type"][:1].lower() + value["type"][1:]
    if wanted not in value:
        message = f"`{field(path)}` is of type `{value['type']}`, but has no `{wanted}`"
        report("KDL511", path, message, f"add `{wanted}:`", at_key=True)


def policy_rule(value: Doc, path: Path, report: Report) -> None:
    if not value["verbs"]:
        report("KDL511", (*path, "verbs"), f"`{field((*path, 'verbs'))}` is empty", 'for example `["get", "list"]`')
    if value.get("resources") and "apiGroups" not in value:
        report(
            "KDL511", path, f"`{field(path)}` has no `apiGroups`", 'the core group is `apiGroups: [""]`', at_key=True
        )
    elif not value.get("resources") and not value.get("nonResourceURLs"):
        report("KDL511", path, f"`{field(path)}` names no `resources`", "add `resources:`", at_key=True)


def subject(value: Doc, path: Path, report: Report) -> None:
    if value["kind"] == "ServiceAccount" and not value.get("namespace"):
        report(
            "KDL511", path, f"`{field(path)}` is a ServiceAccount without `namespace`", "add `namespace:`", at_key=True
        )


def definition(value: Doc, path: Path, report: Report) -> None:
    wanted = f"{value['spec']['names']['plural']}.{value['spec']['group']}"
    if value.get("metadata", {}).get("name", wanted) != wanted:
        at = ("metadata", "name")
        message = f"`metadata.name` is `{value['metadata']['name']}`, but must be `{wanted}`"
        report("KDL514", at, message, "the name is `spec.names.plural`, a dot and `spec.group`")
    if sum(bool(version.get("storage")) for version in value["spec"]["versions"]) != 1:
        at = ("spec", "versions")
        report("KDL521", at, "`spec.versions` must have exactly one version with `storage: true`", at_key=True)
