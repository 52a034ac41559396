"""What Kubernetes demands of several fields of one object together, as a table of checks by definition of the schema.

Source: the validation functions of the Kubernetes API server. A check sees a value whose types hold, before defaults.
"""

from __future__ import annotations

from typing import Final

from kdl.parser.manifest.checks import cluster, downward, network, pods, storage, workloads
from kdl.parser.manifest.checks.alternatives import Check, at_most_one, exactly_one

CHECKS: Final[dict[str, tuple[Check, ...]]] = {
    "meta.v1.LabelSelectorRequirement": (pods.selector_requirement,),
    "core.v1.NodeSelectorRequirement": (pods.selector_requirement,),
    "core.v1.ResourceRequirements": (pods.requests_within_limits,),
    "core.v1.Container": (pods.container,),
    "core.v1.PodSpec": (pods.pod_spec,),
    "core.v1.EnvVar": (pods.environment,),
    "core.v1.EnvVarSource": (
        exactly_one("source", "configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef", "fileKeyRef"),
        downward.variable,
    ),
    "core.v1.DownwardAPIVolumeFile": (exactly_one("source", "fieldRef", "resourceFieldRef"), downward.file),
    "core.v1.EnvFromSource": (exactly_one("source", "configMapRef", "secretRef"),),
    "core.v1.Probe": (exactly_one("handler", "exec", "httpGet", "tcpSocket", "grpc"),),
    "core.v1.LifecycleHandler": (exactly_one("handler", "exec", "httpGet", "tcpSocket", "sleep"),),
    "core.v1.Volume": (at_most_one("volume source"),),
    "core.v1.Toleration": (pods.toleration,),
    "core.v1.ServiceSpec": (network.service,),
    "core.v1.ReplicationControllerSpec": (workloads.replication_controller,),
    "core.v1.PersistentVolumeClaimSpec": (storage.claim,),
    "core.v1.PersistentVolumeSpec": (storage.persistent_volume,),
    "apps.v1.DeploymentSpec": (workloads.workload, workloads.deployment, pods.mounts),
    "apps.v1.ReplicaSetSpec": (workloads.workload, pods.mounts),
    "apps.v1.DaemonSetSpec": (workloads.workload, pods.mounts),
    "apps.v1.StatefulSetSpec": (workloads.workload, workloads.stateful_set),
    "batch.v1.JobSpec": (workloads.job,),
    "networking.v1.IPBlock": (network.ip_block,),
    "networking.v1.NetworkPolicyPeer": (network.policy_peer,),
    "networking.v1.NetworkPolicyPort": (network.policy_port,),
    "networking.v1.HTTPIngressPath": (network.ingress_path,),
    "networking.v1.IngressSpec": (network.ingress,),
    "networking.v1.IngressBackend": (exactly_one("target", "service", "resource"),),
    "networking.v1.ServiceBackendPort": (exactly_one("port", "name", "number"),),
    "autoscaling.v2.HorizontalPodAutoscalerSpec": (cluster.autoscaler,),
    "autoscaling.v2.MetricSpec": (cluster.metric,),
    "policy.v1.PodDisruptionBudgetSpec": (at_most_one("bound", "minAvailable", "maxUnavailable"),),
    "rbac.v1.PolicyRule": (cluster.policy_rule,),
    "rbac.v1.Subject": (cluster.subject,),
    "apiextensions.v1.CustomResourceDefinition": (cluster.definition,),
}
"""Definition → what must hold between its fields."""
