"""What Kubernetes demands of single fields beyond their type, as one table: definition and field → form.

Source: the validation functions of the Kubernetes API server (`pkg/apis/*/validation`).
"""

from __future__ import annotations

from typing import Final

from kdl.parser.manifest.formats import (
    Complaint,
    Constraint,
    annotation_map,
    at_least,
    between,
    cidr,
    container_resources,
    cron,
    data_keys,
    each,
    filled,
    ip,
    label_name,
    label_value,
    labels,
    mount_path,
    number_or_percent,
    one_of,
    optional,
    path_segment,
    port,
    port_name,
    port_number,
    qualified_name,
    relative_path,
    service_name,
    subdomain,
    variable_name,
)


def _no_reference(value: str) -> Complaint:
    return "KDL523", f"is `{value}`, but a custom kind's schema may not refer to others", "write the schema out"


_SCHEMA_TYPES: Final = ("object", "array", "string", "integer", "number", "boolean")
_PROTOCOL: Final = one_of("TCP", "UDP", "SCTP")
_OPERATOR: Final = one_of("In", "NotIn", "Exists", "DoesNotExist")
_EFFECT: Final = one_of("NoSchedule", "PreferNoSchedule", "NoExecute")
_PULL: Final = one_of("Always", "IfNotPresent", "Never")
_MESSAGE: Final = one_of("File", "FallbackToLogsOnError")
_ACCESS: Final = each(one_of("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"))
_VOLUME_MODE: Final = one_of("Filesystem", "Block")
_MODE: Final = between(0, 0o777, "file permission bits")
_SUBJECT: Final = one_of("User", "Group", "ServiceAccount")
_HOST_PORT: Final = between(0, 65535, "a port")
_COUNT: Final = at_least(0)


def _fields(definition: str, **constraints: Constraint) -> dict[str, Constraint]:
    return {f"{definition}.{name}": constraint for name, constraint in constraints.items()}


CONSTRAINTS: Final[dict[str, Constraint]] = {
    **_fields("meta.v1.ObjectMeta", labels=labels, annotations=annotation_map, namespace=label_name),
    **_fields("meta.v1.ObjectMeta", finalizers=each(qualified_name)),
    **_fields("meta.v1.LabelSelector", matchLabels=labels),
    **_fields("meta.v1.LabelSelectorRequirement", operator=_OPERATOR, key=qualified_name),
    **_fields(
        "core.v1.PodSpec",
        restartPolicy=one_of("Always", "OnFailure", "Never"),
        dnsPolicy=one_of("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
        preemptionPolicy=one_of("PreemptLowerPriority", "Never"),
        terminationGracePeriodSeconds=_COUNT,
        activeDeadlineSeconds=at_least(1),
        hostname=optional(label_name),
        subdomain=optional(label_name),
        nodeName=optional(subdomain),
        serviceAccountName=optional(subdomain),
        priorityClassName=optional(subdomain),
        schedulerName=optional(subdomain),
        nodeSelector=labels,
    ),
    **{
        f"core.v1.{kind}.{name}": constraint
        for kind in ("Container", "EphemeralContainer")
        for name, constraint in (
            ("name", label_name),
            ("imagePullPolicy", _PULL),
            ("terminationMessagePolicy", _MESSAGE),
            ("restartPolicy", one_of("Always", "OnFailure", "Never")),
        )
    },
    **_fields("core.v1.ContainerPort", containerPort=port_number, hostPort=_HOST_PORT, protocol=_PROTOCOL),
    **_fields("core.v1.ContainerPort", name=optional(port_name), hostIP=optional(ip)),
    **_fields("core.v1.EnvVar", name=variable_name),
    **_fields("core.v1.EnvFromSource", prefix=optional(variable_name)),
    **_fields(
        "core.v1.Probe",
        initialDelaySeconds=_COUNT,
        timeoutSeconds=_COUNT,
        periodSeconds=_COUNT,
        successThreshold=_COUNT,
        failureThreshold=_COUNT,
        terminationGracePeriodSeconds=at_least(1),
    ),
    **_fields("core.v1.HTTPGetAction", port=port, scheme=one_of("HTTP", "HTTPS")),
    **_fields("core.v1.TCPSocketAction", port=port),
    **_fields("core.v1.GRPCAction", port=port_number),
    **_fields("core.v1.ResourceRequirements", requests=container_resources, limits=container_resources),
    **_fields("core.v1.VolumeMount", mountPath=mount_path, subPath=relative_path, name=filled),
    **_fields("core.v1.VolumeMount", mountPropagation=one_of("None", "HostToContainer", "Bidirectional")),
    **_fields("core.v1.Volume", name=label_name),
    **_fields("core.v1.KeyToPath", path=relative_path, mode=_MODE, key=filled),
    **{
        f"core.v1.{source}VolumeSource.defaultMode": _MODE
        for source in ("ConfigMap", "Secret", "DownwardAPI", "Projected")
    },
    **_fields(
        "core.v1.HostPathVolumeSource",
        path=filled,
        type=one_of(
            "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice", empty=True
        ),
    ),
    **_fields("core.v1.Toleration", operator=one_of("Exists", "Equal", "Lt", "Gt", empty=True)),
    **_fields("core.v1.Toleration", effect=optional(_EFFECT), key=optional(qualified_name)),
    **_fields("core.v1.Taint", effect=_EFFECT, key=qualified_name, value=label_value),
    **_fields(
        "core.v1.NodeSelectorRequirement",
        operator=one_of("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
        key=qualified_name,
    ),
    **_fields("core.v1.PreferredSchedulingTerm", weight=between(1, 100)),
    **_fields("core.v1.WeightedPodAffinityTerm", weight=between(1, 100)),
    **_fields("core.v1.PodAffinityTerm", topologyKey=qualified_name),
    **_fields("core.v1.TopologySpreadConstraint", maxSkew=at_least(1), topologyKey=qualified_name),
    **_fields("core.v1.TopologySpreadConstraint", whenUnsatisfiable=one_of("DoNotSchedule", "ScheduleAnyway")),
    **_fields("core.v1.SecurityContext", runAsUser=_COUNT, runAsGroup=_COUNT),
    **_fields("core.v1.PodSecurityContext", runAsUser=_COUNT, runAsGroup=_COUNT, fsGroup=_COUNT),
    **_fields("core.v1.HostAlias", ip=ip, hostnames=each(subdomain)),
    **_fields(
        "core.v1.ServiceSpec",
        type=one_of("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
        sessionAffinity=one_of("ClientIP", "None"),
        externalTrafficPolicy=one_of("Cluster", "Local"),
        internalTrafficPolicy=one_of("Cluster", "Local"),
        ipFamilyPolicy=one_of("SingleStack", "PreferDualStack", "RequireDualStack"),
        ipFamilies=each(one_of("IPv4", "IPv6")),
        selector=labels,
        clusterIP=lambda value: None if value in ("", "None") else ip(value),
        externalIPs=each(ip),
        externalName=optional(subdomain),
        loadBalancerSourceRanges=each(cidr),
    ),
    **_fields("core.v1.ServicePort", port=port_number, protocol=_PROTOCOL, targetPort=port, name=optional(label_name)),
    **_fields(
        "core.v1.ServicePort",
        nodePort=lambda value: None if value == 0 else between(30000, 32767, "a port")(value),
    ),
    **_fields("core.v1.ClientIPConfig", timeoutSeconds=between(1, 86400)),
    **_fields("core.v1.EndpointAddress", ip=ip),
    **_fields("core.v1.EndpointPort", port=port_number, protocol=_PROTOCOL),
    **_fields("networking.v1.NetworkPolicySpec", policyTypes=each(one_of("Ingress", "Egress"))),
    **_fields("networking.v1.NetworkPolicyPort", protocol=_PROTOCOL, port=port, endPort=port_number),
    **_fields("networking.v1.IPBlock", cidr=cidr, **{"except": each(cidr)}),
    **_fields("networking.v1.HTTPIngressPath", pathType=one_of("Exact", "Prefix", "ImplementationSpecific")),
    **_fields("networking.v1.ServiceBackendPort", number=port_number, name=port_name),
    **_fields("networking.v1.IngressServiceBackend", name=service_name),
    **{
        f"apps.v1.{kind}Spec.{name}": _COUNT
        for kind in ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet")
        for name in ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    },
    **_fields("apps.v1.DeploymentStrategy", type=one_of("RollingUpdate", "Recreate")),
    **_fields("apps.v1.RollingUpdateDeployment", maxSurge=number_or_percent, maxUnavailable=number_or_percent),
    **_fields("apps.v1.RollingUpdateDaemonSet", maxSurge=number_or_percent, maxUnavailable=number_or_percent),
    **_fields("apps.v1.DaemonSetUpdateStrategy", type=one_of("RollingUpdate", "OnDelete")),
    **_fields("apps.v1.StatefulSetUpdateStrategy", type=one_of("RollingUpdate", "OnDelete")),
    **_fields("apps.v1.RollingUpdateStatefulSetStrategy", partition=_COUNT, maxUnavailable=number_or_percent),
    **_fields("apps.v1.StatefulSetSpec", podManagementPolicy=one_of("OrderedReady", "Parallel")),
    **_fields("core.v1.ReplicationControllerSpec", replicas=_COUNT, minReadySeconds=_COUNT, selector=labels),
    **_fields(
        "batch.v1.JobSpec",
        parallelism=_COUNT,
        completions=_COUNT,
        backoffLimit=_COUNT,
        activeDeadlineSeconds=_COUNT,
        ttlSecondsAfterFinished=_COUNT,
        completionMode=one_of("NonIndexed", "Indexed"),
        podReplacementPolicy=one_of("TerminatingOrFailed", "Failed"),
    ),
    **_fields(
        "batch.v1.CronJobSpec",
        schedule=cron,
        concurrencyPolicy=one_of("Allow", "Forbid", "Replace"),
        startingDeadlineSeconds=_COUNT,
        successfulJobsHistoryLimit=_COUNT,
        failedJobsHistoryLimit=_COUNT,
    ),
    **_fields(
        "core.v1.PersistentVolumeSpec",
        accessModes=_ACCESS,
        persistentVolumeReclaimPolicy=one_of("Retain", "Recycle", "Delete"),
        volumeMode=_VOLUME_MODE,
    ),
    **_fields("core.v1.PersistentVolumeClaimSpec", accessModes=_ACCESS, volumeMode=_VOLUME_MODE),
    **_fields(
        "storage.v1.StorageClass",
        reclaimPolicy=one_of("Retain", "Recycle", "Delete"),
        volumeBindingMode=one_of("Immediate", "WaitForFirstConsumer"),
        provisioner=filled,
    ),
    **_fields("core.v1.ConfigMap", data=data_keys, binaryData=data_keys),
    **_fields("core.v1.Secret", data=data_keys, stringData=data_keys),
    **_fields("core.v1.LimitRangeItem", type=one_of("Container", "Pod", "PersistentVolumeClaim")),
    **_fields(
        "core.v1.ResourceQuotaSpec",
        scopes=each(
            one_of(
                "BestEffort",
                "NotBestEffort",
                "Terminating",
                "NotTerminating",
                "PriorityClass",
                "CrossNamespacePodAffinity",
            )
        ),
    ),
    **_fields("autoscaling.v2.HorizontalPodAutoscalerSpec", minReplicas=at_least(1), maxReplicas=at_least(1)),
    **_fields("autoscaling.v2.MetricSpec", type=one_of("Resource", "Pods", "Object", "External", "ContainerResource")),
    **_fields("autoscaling.v2.MetricTarget", type=one_of("Utilization", "Value", "AverageValue")),
    **_fields("policy.v1.PodDisruptionBudgetSpec", minAvailable=number_or_percent, maxUnavailable=number_or_percent),
    **_fields("rbac.v1.RoleRef", kind=one_of("Role", "ClusterRole"), name=path_segment),
    **_fields("rbac.v1.Subject", kind=_SUBJECT, name=filled),
    **_fields("scheduling.v1.PriorityClass", preemptionPolicy=one_of("PreemptLowerPriority", "Never")),
    **_fields("apiextensions.v1.CustomResourceDefinitionSpec", scope=one_of("Namespaced", "Cluster")),
    **_fields("apiextensions.v1.JSONSchemaProps", type=one_of(*_SCHEMA_TYPES), **{"$ref": _no_reference}),
    **_fields("core.v1.NodeSpec", podCIDR=optional(cidr), podCIDRs=each(cidr)),
}
"""Definition and field → what its value must be."""
