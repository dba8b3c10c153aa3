//! Which optional scalars have "no value" and "zero" as one state in the API. In: a field name and its type. Out: yes or no.
//! Protobuf bodies carry every such scalar even when it is empty (spec/api.md 1.1), so a decoder must drop the zeros of exactly these
//! and keep the zeros of the others (`backoffLimit: 0` is a wish, `hostPort: 0` is not). Facts from the API reference and the Go types.

/// Optional integers whose zero means "not set". `ClientIPConfig.timeoutSeconds` shares a name but keeps its zero, as the two volume sources below do.
const INTEGERS: &[&str] = &[
    "active",
    "availableReplicas",
    "code",
    "count",
    "currentHealthy",
    "deprecatedCount",
    "desiredHealthy",
    "disruptionsAllowed",
    "expectedPods",
    "failed",
    "failureThreshold",
    "fullyLabeledReplicas",
    "generation",
    "healthCheckNodePort",
    "hostPort",
    "initialDelaySeconds",
    "minReadySeconds",
    "nodePort",
    "observedGeneration",
    "partition",
    "periodSeconds",
    "readyReplicas",
    "retryAfterSeconds",
    "signal",
    "sizeBytes",
    "succeeded",
    "successThreshold",
    "timeoutSeconds",
    "value",
];

/// Optional booleans whose `false` means "not set".
const BOOLEANS: &[&str] = &[
    "authenticated",
    "chapAuthDiscovery",
    "chapAuthSession",
    "denied",
    "globalDefault",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "publishNotReadyAddresses",
    "readOnly",
    "sslEnabled",
    "stdin",
    "stdinOnce",
    "tty",
    "unschedulable",
];

/// Optional strings whose empty text differs from "not set" (definition suffix, field).
const KEPT_STRINGS: &[(&str, &str)] = &[
    ("CronJobSpec", "timeZone"),
    ("DeleteOptions", "propagationPolicy"),
    ("JobSpec", "completionMode"),
    ("JobSpec", "managedBy"),
    ("JobSpec", "podReplacementPolicy"),
    ("JobStatus", "failedIndexes"),
    ("LeaseSpec", "holderIdentity"),
    ("PersistentVolumeClaimSpec", "storageClassName"),
    ("PersistentVolumeClaimSpec", "volumeAttributesClassName"),
    ("PodFailurePolicyOnExitCodesRequirement", "containerName"),
    ("Preconditions", "resourceVersion"),
    ("Preconditions", "uid"),
    ("SuccessPolicyRule", "succeededIndexes"),
    ("TypedLocalObjectReference", "apiGroup"),
    ("TypedObjectReference", "apiGroup"),
];

/// True when a zero of this optional field means that it is absent. `scalar` is `string`, `int32`, `int64` or `bool`.
pub fn zero_is_absent(definition: &str, field: &str, scalar: &str) -> bool {
    let short = definition.rsplit('.').next().unwrap_or(definition);
    match scalar {
        "string" => !KEPT_STRINGS.contains(&(short, field)),
        "int32" | "int64" => INTEGERS.contains(&field) && short != "ClientIPConfig",
        "bool" => BOOLEANS.contains(&field) && !matches!((short, field), ("AzureDiskVolumeSource" | "CSIVolumeSource", "readOnly")),
        _ => false,
    }
}
