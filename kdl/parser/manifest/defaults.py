"""The defaults that Kubernetes sets when an object is written, by kind.

Source: `pkg/apis/*/v1/defaults.go` of Kubernetes. What the API server sets only on pods, not on templates (requests
from limits, service links, host ports), is set only on pods here too. The objects have been validated; every function
fills in what is absent, in place, so that doing it twice changes nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final, TypeAlias

Doc: TypeAlias = dict[str, Any]

_RBAC: Final = "rbac.authorization.k8s.io"
_FILE_MODE: Final = 0o644


def set_defaults(doc: Doc) -> None:
    """Fill in, in place, what Kubernetes would."""
    if fill := _DEFAULTS.get(doc["kind"]):
        fill(doc)


def _fill(value: Doc, **defaults: Any) -> Doc:
    for name, default in defaults.items():
        value.setdefault(name, default)
    return value


def _fill_zero(value: Doc, **defaults: Any) -> None:
    """Fill in where a field is absent or zero, which Go does not tell apart for plain fields."""
    for name, default in defaults.items():
        if not value.get(name):
            value[name] = default


def _pod(doc: Doc) -> None:
    spec = doc.setdefault("spec", {})
    _pod_spec(spec)
    _fill(spec, enableServiceLinks=True)
    for container in spec["containers"] + spec.get("initContainers", []):
        resources = container["resources"]
        if limits := resources.get("limits"):
            _fill(resources.setdefault("requests", {}), **limits)
        if spec.get("hostNetwork"):
            for port in container.get("ports", []):
                _fill_zero(port, hostPort=port["containerPort"])


def _pod_spec(spec: Doc) -> None:
    _fill_zero(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    _fill(spec, terminationGracePeriodSeconds=30, securityContext={})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for part in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(part, []):
            _container(container)
    for volume in spec.get("volumes", []):
        _volume(volume)


def _container(container: Doc) -> None:
    _fill_zero(container, imagePullPolicy="Always" if _floats(container.get("image", "")) else "IfNotPresent")
    _fill_zero(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    _fill(container, resources={})
    for port in container.get("ports", []):
        _fill_zero(port, protocol="TCP")
    for variable in container.get("env", []):
        _field_references(variable.get("valueFrom", {}))
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _fill_zero(container[name], timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            _handler(container[name])
    for handler in container.get("lifecycle", {}).values():
        if isinstance(handler, dict):
            _handler(handler)


def _floats(image: str) -> bool:
    """Whether an image is named by the tag `latest`, be it unsaid."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag == "latest" or not (tag or digest)


def _handler(handler: Doc) -> None:
    if "httpGet" in handler:
        _fill_zero(handler["httpGet"], path="/", scheme="HTTP")
    if "grpc" in handler:
        _fill(handler["grpc"], service="")


def _field_references(source: Doc) -> None:
    if "fieldRef" in source:
        _fill_zero(source["fieldRef"], apiVersion="v1")
    if "resourceFieldRef" in source:
        _fill(source["resourceFieldRef"], divisor="0")


def _volume(volume: Doc) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        if name in volume:
            _fill(volume[name], defaultMode=_FILE_MODE)
    if "hostPath" in volume:
        _fill(volume["hostPath"], type="")
    sources = [volume.get("downwardAPI", {})]
    for projection in volume.get("projected", {}).get("sources", []):
        sources.append(projection.get("downwardAPI", {}))
        if "serviceAccountToken" in projection:
            _fill(projection["serviceAccountToken"], expirationSeconds=3600)
    for source in sources:
        for item in source.get("items", []):
            _field_references(item)
    if "volumeClaimTemplate" in volume.get("ephemeral", {}):
        _fill(volume["ephemeral"]["volumeClaimTemplate"]["spec"], volumeMode="Filesystem")


def _template(holder: Doc) -> None:
    """The pod template under `template`, if there is one."""
    template = holder.get("template", {})
    if "spec" in template:
        _pod_spec(template["spec"])


def _deployment(doc: Doc) -> None:
    spec = doc["spec"]
    _template(spec)
    strategy = spec.setdefault("strategy", {})
    _fill_zero(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy.setdefault("rollingUpdate", {}), maxUnavailable="25%", maxSurge="25%")
    _fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)


def _replica_set(doc: Doc) -> None:
    _template(doc["spec"])
    _fill(doc["spec"], replicas=1)


def _replication_controller(doc: Doc) -> None:
    spec = doc["spec"]
    labels = spec.get("template", {}).get("metadata", {}).get("labels")
    if labels:
        _fill_zero(spec, selector=dict(labels))
        _fill_zero(doc["metadata"], labels=dict(labels))
    _replica_set(doc)


def _daemon_set(doc: Doc) -> None:
    spec = doc["spec"]
    _template(spec)
    strategy = spec.setdefault("updateStrategy", {})
    _fill_zero(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy.setdefault("rollingUpdate", {}), maxUnavailable=1, maxSurge=0)
    _fill(spec, revisionHistoryLimit=10)


def _stateful_set(doc: Doc) -> None:
    spec = doc["spec"]
    _template(spec)
    _fill_zero(spec, podManagementPolicy="OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    _fill_zero(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy.setdefault("rollingUpdate", {}), partition=0)
    _fill(spec.setdefault("persistentVolumeClaimRetentionPolicy", {}), whenDeleted="Retain", whenScaled="Retain")
    for claim in spec.get("volumeClaimTemplates", []):
        _fill(claim, apiVersion="v1", kind="PersistentVolumeClaim")
        _claim(claim)
    _fill(spec, replicas=1, revisionHistoryLimit=10)


def _job(doc: Doc) -> None:
    spec = doc["spec"]
    _template(spec)
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    replaced = "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed"
    _fill(spec, parallelism=1, backoffLimit=6, completionMode="NonIndexed", suspend=False)
    _fill(spec, podReplacementPolicy=replaced)
    labels = spec["template"].get("metadata", {}).get("labels")
    if labels:
        _fill_zero(doc["metadata"], labels=dict(labels))


def _cron_job(doc: Doc) -> None:
    spec = doc["spec"]
    _template(spec["jobTemplate"].get("spec", {}))
    _fill_zero(spec, concurrencyPolicy="Allow")
    _fill(spec, suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)


def _service(doc: Doc) -> None:
    spec = doc.setdefault("spec", {})
    _fill_zero(spec, sessionAffinity="None", type="ClusterIP")
    if spec["sessionAffinity"] == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        _fill(config, timeoutSeconds=10800)
    for port in spec.get("ports", []):
        _fill_zero(port, protocol="TCP", targetPort=port["port"])
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _fill_zero(spec, externalTrafficPolicy="Cluster")
    if spec["type"] != "ExternalName":
        _fill(spec, internalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _fill(spec, allocateLoadBalancerNodePorts=True)


def _endpoints(doc: Doc) -> None:
    for subset in doc.get("subsets", []):
        for port in subset.get("ports", []):
            _fill_zero(port, protocol="TCP")


def _endpoint_slice(doc: Doc) -> None:
    for port in doc.get("ports") or []:
        _fill(port, name="", protocol="TCP")


def _network_policy(doc: Doc) -> None:
    spec = doc.setdefault("spec", {})
    _fill(spec, podSelector={})
    for rule in spec.get("ingress", []) + spec.get("egress", []):
        for port in rule.get("ports", []):
            _fill(port, protocol="TCP")
    _fill_zero(spec, policyTypes=["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])


def _persistent_volume(doc: Doc) -> None:
    spec = doc["spec"]
    _fill_zero(spec, persistentVolumeReclaimPolicy="Retain")
    _fill(spec, volumeMode="Filesystem")
    if "hostPath" in spec:
        _fill(spec["hostPath"], type="")
    _fill(doc.setdefault("status", {}), phase="Pending")


def _claim(doc: Doc) -> None:
    _fill(doc["spec"], volumeMode="Filesystem")
    _fill(doc.setdefault("status", {}), phase="Pending")


def _secret(doc: Doc) -> None:
    _fill_zero(doc, type="Opaque")
    clear = doc.pop("stringData", {})
    if clear:
        encoded = {key: b64encode(text.encode()).decode() for key, text in clear.items()}
        doc["data"] = {**doc.get("data", {}), **encoded}


def _namespace(doc: Doc) -> None:
    if name := doc["metadata"].get("name"):
        doc["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name
    _fill(doc.setdefault("status", {}), phase="Active")


def _node(doc: Doc) -> None:
    status = doc.get("status", {})
    if "capacity" in status:
        _fill(status, allocatable=dict(status["capacity"]))


def _limit_range(doc: Doc) -> None:
    for item in doc.get("spec", {}).get("limits", []):
        if item["type"] == "Container":
            _fill(item.setdefault("default", {}), **item.get("max", {}))
            _fill(item.setdefault("defaultRequest", {}), **item["default"])
            _fill(item["defaultRequest"], **item.get("min", {}))


def _autoscaler(doc: Doc) -> None:
    spec = doc["spec"]
    _fill(spec, minReplicas=1)
    target = {"type": "Utilization", "averageUtilization": 80}
    _fill_zero(spec, metrics=[{"type": "Resource", "resource": {"name": "cpu", "target": target}}])


def _binding(doc: Doc) -> None:
    _fill_zero(doc["roleRef"], apiGroup=_RBAC)
    for subject in doc.get("subjects", []):
        _fill(subject, apiGroup="" if subject["kind"] == "ServiceAccount" else _RBAC)


def _storage_class(doc: Doc) -> None:
    _fill(doc, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _priority_class(doc: Doc) -> None:
    _fill(doc, preemptionPolicy="PreemptLowerPriority")


def _resource_definition(doc: Doc) -> None:
    names = doc["spec"]["names"]
    _fill_zero(names, singular=names["kind"].lower(), listKind=names["kind"] + "List")
    _fill(doc["spec"], conversion={"strategy": "None"})


_DEFAULTS: Final[dict[str, Callable[[Doc], None]]] = {
    "Pod": _pod,
    "PodTemplate": _template,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "ReplicationController": _replication_controller,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Endpoints": _endpoints,
    "EndpointSlice": _endpoint_slice,
    "NetworkPolicy": _network_policy,
    "PersistentVolume": _persistent_volume,
    "PersistentVolumeClaim": _claim,
    "Secret": _secret,
    "Namespace": _namespace,
    "Node": _node,
    "LimitRange": _limit_range,
    "HorizontalPodAutoscaler": _autoscaler,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "StorageClass": _storage_class,
    "PriorityClass": _priority_class,
    "CustomResourceDefinition": _resource_definition,
}
"""Kind → what fills it in; kinds that are not here have no defaults."""
