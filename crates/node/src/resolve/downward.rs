//! Fields of the Pod and resources of its containers as environment values (API reference, ObjectFieldSelector, ResourceFieldSelector).
//!
//! In: the Pod, its address, the node's capacity. Out: a text. Never: a path that the API does not allow.

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use piecework_api::quantity::Quantity;

use super::{ConfigError, resources};
use crate::pod::spec::find_container;
use crate::pod::status::HOST_IP;

/// Facts that the Pod object may not have yet or never has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    pub node_name: String,
    pub pod_ip: Option<String>,
    pub cpu_millis: i64,
    pub memory_bytes: i64,
    pub ephemeral_storage_bytes: i64,
}

/// A field of the Pod.
pub fn field(pod: &Pod, facts: &NodeFacts, path: &str) -> Result<String, ConfigError> {
    let spec = pod.spec.as_ref();
    let value = match path {
        "metadata.name" => pod.metadata.name.clone(),
        "metadata.namespace" => pod.metadata.namespace.clone(),
        "metadata.uid" => pod.metadata.uid.clone(),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()),
        "status.hostIP" | "status.hostIPs" => Some(HOST_IP.to_owned()),
        "status.podIP" | "status.podIPs" => facts.pod_ip.clone(),
        _ => {
            let (list, key) = if let Some(key) = subscript(path, "metadata.labels") {
                (pod.metadata.labels.as_ref(), key)
            } else if let Some(key) = subscript(path, "metadata.annotations") {
                (pod.metadata.annotations.as_ref(), key)
            } else {
                return Err(ConfigError(format!("fieldRef.fieldPath {path:?} is not supported")));
            };
            list.and_then(|list| list.get(key)).cloned()
        }
    };
    Ok(value.unwrap_or_default())
}

/// `prefix['key']` -> key.
fn subscript<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']")
}

/// A resource of a container, in units of the divisor, rounded up. An unset limit reads as the node's whole capacity.
pub fn resource(pod: &Pod, own: &Container, facts: &NodeFacts, selector: &ResourceFieldSelector) -> Result<String, ConfigError> {
    let container = match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => find_container(pod, name).ok_or_else(|| ConfigError(format!("resourceFieldRef: container {name:?} not found")))?,
        None => own,
    };
    let unknown = || ConfigError(format!("resourceFieldRef.resource {:?} is not supported", selector.resource));
    let (list, name) = selector.resource.split_once('.').ok_or_else(unknown)?;
    let whole = match name {
        "cpu" => Quantity::from_milli(facts.cpu_millis),
        "memory" => Quantity::from_value(facts.memory_bytes),
        "ephemeral-storage" => Quantity::from_value(facts.ephemeral_storage_bytes),
        _ if name.starts_with("hugepages-") => Quantity::from_value(0),
        _ => return Err(unknown()),
    };
    let declared = container.resources.as_ref();
    let limits = declared.and_then(|resources| resources.limits.as_ref());
    let amount = match list {
        "limits" => resources::amount(limits, name).unwrap_or(whole),
        "requests" => resources::amount(declared.and_then(|resources| resources.requests.as_ref()), name)
            .or_else(|| resources::amount(limits, name))
            .unwrap_or_else(|| Quantity::from_value(0)),
        _ => return Err(unknown()),
    };
    let divisor = selector.divisor.as_ref().and_then(|divisor| Quantity::parse(&divisor.0).ok()).map_or(0, |divisor| divisor.nano);
    let divisor = if divisor > 0 { divisor } else { Quantity::from_value(1).nano };
    // Rounded up: half a CPU with divisor 1 reads as 1.
    Ok(((amount.nano + divisor - 1) / divisor).to_string())
}
