//! The sandbox of a Pod.
//!
//! In: the Pod. Out: `SandboxSpec`. Never: an address or name of a host interface (the runtime's business).

use k8s_openapi::api::core::v1::Pod;
use piecework_runtime::SandboxSpec;

use super::resources;

/// Longest host name that the kernel takes as one label.
const HOSTNAME_BYTES: usize = 63;

/// What the runtime needs to make the Pod's namespaces, network and parent cgroup.
pub fn sandbox_spec(pod: &Pod) -> SandboxSpec {
    let spec = pod.spec.clone().unwrap_or_default();
    let name = pod.metadata.name.clone().unwrap_or_default();
    SandboxSpec {
        id: pod.metadata.uid.clone().unwrap_or_default(),
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        hostname: hostname(spec.hostname.as_deref().filter(|hostname| !hostname.is_empty()).unwrap_or(&name)),
        name,
        own_network: spec.host_network != Some(true),
        resources: resources::pod_resources(&spec),
    }
}

/// Pod names may be longer than host names; what is cut must still be a name.
fn hostname(name: &str) -> String {
    let cut = name.char_indices().take_while(|(at, c)| at + c.len_utf8() <= HOSTNAME_BYTES).map(|(_, c)| c).collect::<String>();
    cut.trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::hostname;

    #[test]
    fn host_names_are_cut_to_a_label() {
        assert_eq!(hostname("pi-abc"), "pi-abc");
        assert_eq!(hostname(&"a".repeat(70)), "a".repeat(63));
        assert_eq!(hostname(&format!("{}-.{}", "a".repeat(61), "b".repeat(9))), "a".repeat(61));
    }
}
