//! Valid objects that the cases of validation and of refusals change one field of. In: nothing. Out: prepared objects. Never: anything refused.
#![allow(clippy::unwrap_used)]

use crate::{defaults, kinds::by_kind, strategy};
use serde_json::{Value, json};

/// As the API server would store it, the seed's Job.
pub(crate) fn job() -> Value {
    prepared(
        "batch/v1",
        "Job",
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pi", "namespace": "default", "uid": "U"},
            "spec": {"backoffLimit": 4, "template": {"spec": {"restartPolicy": "Never",
                "containers": [{"name": "pi", "image": "perl", "command": ["perl", "-Mbignum=bpi", "-wle", "print bpi(2000)"]}]}}}}),
    )
}

/// As the API server would store it, a greeting every minute.
pub(crate) fn cron_job() -> Value {
    prepared(
        "batch/v1",
        "CronJob",
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "hello", "namespace": "default", "uid": "U"},
            "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "OnFailure",
                "containers": [{"name": "hello", "image": "busybox:1.28", "command": ["date"]}]}}}}}}),
    )
}

/// A small bare Pod.
pub(crate) fn pod() -> Value {
    prepared(
        "v1",
        "Pod",
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "uid": "U"},
            "spec": {"containers": [{"name": "c", "image": "busybox:1"}]}}),
    )
}

/// Defaulted and prepared like a created object.
pub(crate) fn prepared(api_version: &str, kind: &str, mut object: Value) -> Value {
    let kind = by_kind(api_version, kind).unwrap();
    defaults::apply(kind, &mut object);
    strategy::prepare_create(kind, &mut object, "2026-11-23T17:00:00Z".parse().unwrap());
    object
}

/// The object with the value at a JSON pointer replaced (null removes the field).
pub(crate) fn with(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = parent.split('/').skip(1).fold(&mut object, |at, name| match name.parse::<usize>() {
            Ok(index) if at.is_array() => &mut at[index],
            _ => &mut at[name],
        });
        if value.is_null() {
            parent.as_object_mut().map(|map| map.shift_remove(field));
        } else {
            parent[field] = value.clone();
        }
    }
    object
}

/// The rendered errors.
pub(crate) fn texts(errors: Vec<crate::status::FieldError>) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}
