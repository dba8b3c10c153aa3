//! Pod fields that this agent does not honour: a Pod that uses one is failed with the field's name, never run without it.
//!
//! In: a Pod. Out: the path of the first such field. The API server refuses them earlier; a foreign one may not.
//! Never: a judgement on values that the API server validates.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};

/// Path of a field that would be ignored, if there is one.
pub fn unsupported_field(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    if let Some(field) = pod_field(spec) {
        return Some(format!("spec.{field}"));
    }
    for (list, containers) in [("initContainers", spec.init_containers.as_deref().unwrap_or_default()), ("containers", &spec.containers)] {
        for (index, container) in containers.iter().enumerate() {
            if let Some(field) = container_field(container) {
                return Some(format!("spec.{list}[{index}].{field}"));
            }
        }
    }
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        if let Some(field) = volume_field(volume) {
            return Some(format!("spec.volumes[{index}].{field}"));
        }
    }
    None
}

fn pod_field(spec: &PodSpec) -> Option<&'static str> {
    let context = spec.security_context.as_ref();
    let rows = [
        (spec.ephemeral_containers.as_ref().is_some_and(|list| !list.is_empty()), "ephemeralContainers"),
        (spec.host_pid == Some(true), "hostPID"),
        (spec.host_ipc == Some(true), "hostIPC"),
        (spec.host_users == Some(false), "hostUsers"),
        (spec.share_process_namespace == Some(true), "shareProcessNamespace"),
        (spec.host_aliases.as_ref().is_some_and(|list| !list.is_empty()), "hostAliases"),
        (spec.dns_config.is_some(), "dnsConfig"),
        (spec.runtime_class_name.is_some(), "runtimeClassName"),
        (spec.readiness_gates.as_ref().is_some_and(|list| !list.is_empty()), "readinessGates"),
        (spec.resource_claims.as_ref().is_some_and(|list| !list.is_empty()), "resourceClaims"),
        (spec.set_hostname_as_fqdn == Some(true), "setHostnameAsFQDN"),
        (spec.hostname_override.is_some(), "hostnameOverride"),
        (spec.subdomain.as_ref().is_some_and(|text| !text.is_empty()), "subdomain"),
        (spec.resources.is_some(), "resources"),
        (spec.os.as_ref().is_some_and(|os| os.name != "linux"), "os.name"),
        (spec.image_pull_secrets.as_ref().is_some_and(|list| !list.is_empty()), "imagePullSecrets"),
        (context.is_some_and(|context| context.sysctls.as_ref().is_some_and(|list| !list.is_empty())), "securityContext.sysctls"),
        (context.is_some_and(|context| context.se_linux_options.is_some()), "securityContext.seLinuxOptions"),
        (context.is_some_and(|context| context.app_armor_profile.is_some()), "securityContext.appArmorProfile"),
        (
            context.is_some_and(|context| context.seccomp_profile.as_ref().is_some_and(|profile| profile.type_ == "Localhost")),
            "securityContext.seccompProfile.localhostProfile",
        ),
        (
            context.is_some_and(|context| context.supplemental_groups_policy.as_deref() == Some("Strict")),
            "securityContext.supplementalGroupsPolicy",
        ),
    ];
    first(&rows)
}

fn container_field(container: &Container) -> Option<&'static str> {
    let context = container.security_context.as_ref();
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let rows = [
        (container.liveness_probe.is_some(), "livenessProbe"),
        (container.readiness_probe.is_some(), "readinessProbe"),
        (container.startup_probe.is_some(), "startupProbe"),
        (container.lifecycle.is_some(), "lifecycle"),
        (container.restart_policy.is_some(), "restartPolicy"),
        (container.restart_policy_rules.as_ref().is_some_and(|list| !list.is_empty()), "restartPolicyRules"),
        (container.stdin == Some(true), "stdin"),
        (container.tty == Some(true), "tty"),
        (container.volume_devices.as_ref().is_some_and(|list| !list.is_empty()), "volumeDevices"),
        (container.ports.iter().flatten().any(|port| port.host_port.is_some_and(|port| port != 0)), "ports[].hostPort"),
        (mounts.iter().any(|mount| mount.sub_path.as_ref().is_some_and(|path| !path.is_empty())), "volumeMounts[].subPath"),
        (mounts.iter().any(|mount| mount.sub_path_expr.as_ref().is_some_and(|path| !path.is_empty())), "volumeMounts[].subPathExpr"),
        (
            mounts.iter().any(|mount| mount.mount_propagation.as_deref().is_some_and(|mode| mode != "None")),
            "volumeMounts[].mountPropagation",
        ),
        (mounts.iter().any(|mount| mount.bind_mount_options.is_some()), "volumeMounts[].bindMountOptions"),
        (mounts.iter().any(|mount| mount.recursive_read_only.as_deref() == Some("Enabled")), "volumeMounts[].recursiveReadOnly"),
        (
            container.env.iter().flatten().any(|variable| variable.value_from.as_ref().is_some_and(|from| from.file_key_ref.is_some())),
            "env[].valueFrom.fileKeyRef",
        ),
        (
            container.resources.as_ref().is_some_and(|resources| resources.claims.as_ref().is_some_and(|list| !list.is_empty())),
            "resources.claims",
        ),
        (context.is_some_and(|context| context.privileged == Some(true)), "securityContext.privileged"),
        (context.is_some_and(|context| context.allow_privilege_escalation == Some(true)), "securityContext.allowPrivilegeEscalation"),
        (context.is_some_and(|context| context.proc_mount.as_deref().is_some_and(|mount| mount != "Default")), "securityContext.procMount"),
        (context.is_some_and(|context| context.se_linux_options.is_some()), "securityContext.seLinuxOptions"),
        (context.is_some_and(|context| context.app_armor_profile.is_some()), "securityContext.appArmorProfile"),
        (
            context.is_some_and(|context| context.seccomp_profile.as_ref().is_some_and(|profile| profile.type_ == "Localhost")),
            "securityContext.seccompProfile.localhostProfile",
        ),
    ];
    first(&rows)
}

fn volume_field(volume: &Volume) -> Option<&'static str> {
    if let Some(source) = &volume.empty_dir {
        let rows = [
            (source.medium.as_ref().is_some_and(|medium| !medium.is_empty()), "emptyDir.medium"),
            (source.size_limit.is_some(), "emptyDir.sizeLimit"),
            (source.mode.is_some(), "emptyDir.mode"),
        ];
        return first(&rows);
    }
    if let Some(source) = &volume.config_map {
        return source
            .default_user
            .map(|_| "configMap.defaultUser")
            .or_else(|| item_user(source.items.as_deref(), "configMap.items[].user"));
    }
    if let Some(source) = &volume.secret {
        return source.default_user.map(|_| "secret.defaultUser").or_else(|| item_user(source.items.as_deref(), "secret.items[].user"));
    }
    let built = volume.host_path.is_some();
    (!built).then_some("(a source other than emptyDir, hostPath, configMap, secret)")
}

fn item_user(items: Option<&[k8s_openapi::api::core::v1::KeyToPath]>, field: &'static str) -> Option<&'static str> {
    items?.iter().any(|item| item.user.is_some()).then_some(field)
}

fn first(rows: &[(bool, &'static str)]) -> Option<&'static str> {
    rows.iter().find(|(used, _)| *used).map(|(_, field)| *field)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named() {
        let cases = [
            (json!({"containers": [{"name": "a"}]}), None),
            (json!({"containers": [{"name": "a"}], "hostPID": true}), Some("spec.hostPID")),
            (json!({"containers": [{"name": "a"}, {"name": "b", "tty": true}]}), Some("spec.containers[1].tty")),
            (
                json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i", "restartPolicy": "Always"}]}),
                Some("spec.initContainers[0].restartPolicy"),
            ),
            (
                json!({"containers": [], "volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}),
                Some("spec.volumes[0].emptyDir.medium"),
            ),
            (json!({"containers": [], "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": {"path": "/"}}]}), None),
            (
                json!({"containers": [{"name": "a", "securityContext": {"privileged": true}}]}),
                Some("spec.containers[0].securityContext.privileged"),
            ),
        ];
        for (spec, wanted) in cases {
            let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
            assert_eq!(unsupported_field(&pod).as_deref(), wanted, "{spec}");
        }
    }
}
