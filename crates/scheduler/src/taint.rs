//! Taints and tolerations.
//!
//! In: a taint, a Pod's tolerations. Out: whether it is tolerated. Never: eviction (that is the node lifecycle's).

use k8s_openapi::api::core::v1::{Node, Taint, Toleration};

pub const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// The node's taints, and the one that a node that says it is not ready counts as having until somebody writes it.
pub fn of(node: &Node) -> Vec<Taint> {
    let mut taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let not_ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status != "True");
    if not_ready && !taints.iter().any(|taint| taint.key == NOT_READY && taint.effect == "NoSchedule") {
        taints.push(Taint { key: NOT_READY.into(), effect: "NoSchedule".into(), ..Taint::default() });
    }
    taints
}

pub fn tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let given = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    let (key, effect) = (given(&toleration.key), given(&toleration.effect));
    if effect.is_some_and(|effect| effect != taint.effect) || key.as_ref().is_some_and(|key| *key != taint.key) {
        return false;
    }
    match toleration.operator.as_deref() {
        Some("Exists") => true,
        None | Some("" | "Equal") => key.is_some() && toleration.value.as_deref().unwrap_or("") == taint.value.as_deref().unwrap_or(""),
        // Other operators are not built; the taint then counts as not tolerated.
        Some(_) => false,
    }
}
