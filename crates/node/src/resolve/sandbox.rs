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
    let own_network = spec.host_network != Some(true);
    // With the node's network a Pod has the node's name too, as upstream.
    let host = if own_network { spec.hostname.as_deref() } else { spec.node_name.as_deref() };
    SandboxSpec {
        id: pod.metadata.uid.clone().unwrap_or_default(),
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        hostname: hostname(host.filter(|host| !host.is_empty()).unwrap_or(&name)),
        name,
        own_network,
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
    use k8s_openapi::api::core::v1::{Pod, PodSpec};

    use super::{hostname, sandbox_spec};

    #[test]
    fn host_names_come_from_the_pod_or_from_the_node_whose_network_it_shares() {
        let rows = [
            (None, false, "pi"),
            (Some("web"), false, "web"),
            (Some(""), false, "pi"),
            (None, true, "node-1"),
            (Some("web"), true, "node-1"),
        ];
        for (hostname, host_network, expected) in rows {
            let mut pod = Pod::default();
            pod.metadata.name = Some("pi".into());
            pod.spec = Some(PodSpec {
                hostname: hostname.map(str::to_owned),
                host_network: Some(host_network),
                node_name: Some("node-1".into()),
                ..PodSpec::default()
            });
            let spec = sandbox_spec(&pod);
            assert_eq!((spec.hostname.as_str(), spec.own_network), (expected, !host_network), "{hostname:?}");
        }
    }

    #[test]
    fn host_names_are_cut_to_a_label() {
        assert_eq!(hostname("pi-abc"), "pi-abc");
        assert_eq!(hostname(&"a".repeat(70)), "a".repeat(63));
        assert_eq!(hostname(&format!("{}-.{}", "a".repeat(61), "b".repeat(9))), "a".repeat(61));
    }
}
