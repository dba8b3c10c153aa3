//! Rules of Events, Leases, Nodes and Namespaces.
//!
//! In: the object (and the stored Node). Out: field errors. Never: rules of metadata (`metadata`).

use super::{
    metadata,
    read::{entries, int, list, one_of, text},
    resources,
};
use crate::{meta, names, status::FieldError};
use serde_json::Value;
use std::collections::BTreeSet;

/// An Event lives in the namespace of what it is about; one about a cluster-wide object lives in `default`.
pub fn event(event: &Value, errors: &mut Vec<FieldError>) {
    let (namespace, about) = (meta::namespace(event), text(&event["involvedObject"], "namespace"));
    let fits = if about.is_empty() { matches!(namespace, "default" | "kube-system") } else { about == namespace };
    if !fits {
        errors.push(FieldError::invalid("involvedObject.namespace", about, "does not match event.namespace"));
    }
}

/// A Lease.
pub fn lease(lease: &Value, errors: &mut Vec<FieldError>) {
    let spec = &lease["spec"];
    if let Some(seconds) = int(spec, "leaseDurationSeconds").filter(|s| *s <= 0) {
        errors.push(FieldError::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
    }
    if let Some(count) = int(spec, "leaseTransitions").filter(|c| *c < 0) {
        errors.push(FieldError::invalid("spec.leaseTransitions", count, super::read::NON_NEGATIVE));
    }
    if spec["holderIdentity"] == "" {
        errors.push(FieldError::invalid("spec.holderIdentity", "", "must not be empty"));
    }
}

/// A Node: taints, amounts, and the identity given by its provider.
pub fn node(node: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, taint) in list(&node["spec"], "taints").iter().enumerate() {
        let path = format!("spec.taints[{index}]");
        let (key, value, effect) = (text(taint, "key"), text(taint, "value"), text(taint, "effect"));
        errors.extend(names::qualified_name(key).into_iter().map(|why| FieldError::invalid(format!("{path}.key"), key, why)));
        errors.extend(names::label_value(value).into_iter().map(|why| FieldError::invalid(format!("{path}.value"), value, why)));
        if effect.is_empty() {
            errors.push(FieldError::required(format!("{path}.effect"), ""));
        }
        one_of(taint, &path, "effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"], errors);
        if !seen.insert((key, effect)) {
            errors.push(FieldError::duplicate(path, taint.clone()));
        }
    }
    for field in ["capacity", "allocatable"] {
        for (name, amount) in entries(&node["status"][field]) {
            let path = format!("status.{field}[{name}]");
            match resources::parse(amount) {
                Err(why) => errors.push(FieldError::invalid(path, amount.clone(), why)),
                Ok(quantity) if quantity.negative() => errors.push(FieldError::invalid(path, amount.clone(), super::read::NON_NEGATIVE)),
                Ok(_) => {}
            }
        }
    }
    if let Some(before) = old.map(|old| text(&old["spec"], "providerID"))
        && !before.is_empty()
        && text(&node["spec"], "providerID") != before
    {
        errors.push(FieldError::forbidden("spec.providerID", "node updates may not change providerID except from \"\" to valid"));
    }
}

/// A Namespace: finalizers of its content.
pub fn namespace(namespace: &Value, errors: &mut Vec<FieldError>) {
    for (index, finalizer) in list(&namespace["spec"], "finalizers").iter().enumerate() {
        errors.extend(metadata::finalizer_name(finalizer.as_str().unwrap_or_default(), &format!("spec.finalizers[{index}]")));
    }
}
