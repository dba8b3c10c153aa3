//! Cases of refusals, and the walk through the schema. In: nothing. Never: anything but assertions.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    kinds::by_kind,
    schema::{self, Definition, Type},
    validation,
};
use serde_json::json;

fn refused(api_version: &str, kind: &str, object: Value) -> Vec<String> {
    refusals(by_kind(api_version, kind).unwrap(), &object).iter().map(ToString::to_string).collect()
}

fn pod(spec: Value) -> Vec<String> {
    refused("v1", "Pod", json!({ "spec": spec }))
}

#[test]
fn the_error_names_the_field() {
    assert_eq!(
        refused(
            "batch/v1",
            "Job",
            json!({"spec": {"template": {"spec": {"initContainers": [{}], "containers": [{"tty": true}, {"stdin": true}]}}}})
        ),
        [
            "spec.template.spec.initContainers: Forbidden: piecework does not run init containers yet",
            "spec.template.spec.containers[1].stdin: Forbidden: piecework does not attach to containers yet",
            "spec.template.spec.containers[0].tty: Forbidden: piecework does not give containers a terminal yet",
        ]
    );
    assert_eq!(
        refused(
            "batch/v1",
            "CronJob",
            json!({"spec": {"suspend": true, "jobTemplate": {"spec": {"scheduling": {}, "template": {"spec": {"hostPID": true}}}}}})
        ),
        [
            "spec.jobTemplate.spec.scheduling: Forbidden: piecework does not schedule groups of Pods",
            "spec.jobTemplate.spec.template.spec.hostPID: Forbidden: piecework does not share the node's processes",
        ]
    );
    assert_eq!(refused("v1", "ConfigMap", json!({"spec": {"initContainers": [{}]}})), Vec::<String>::new());
}

#[test]
fn defaults_and_empty_values_pass() {
    for spec in [
        json!({}),
        json!({"initContainers": [], "hostPID": false, "subdomain": "", "dnsConfig": {}, "hostUsers": true, "priority": 0, "os": {"name": "linux"},
            "schedulerName": "default-scheduler", "dnsPolicy": "ClusterFirst", "preemptionPolicy": "PreemptLowerPriority", "securityContext": {}}),
        json!({"containers": [{"tty": false, "securityContext": {"privileged": false, "allowPrivilegeEscalation": false, "procMount": "Default",
            "seccompProfile": {"type": "Unconfined"}}, "resources": {"limits": {"cpu": "1", "memory": "1"}, "requests": {"ephemeral-storage": "1"}}}]}),
        json!({"volumes": [{"emptyDir": {}}, {"hostPath": {"type": ""}}, {"hostPath": {"type": "File"}}, {"configMap": {"optional": true}}]}),
        json!({"hostNetwork": true, "containers": [{"ports": [{"containerPort": 80, "hostPort": 0}]}]}),
        json!({"containers": [{"env": [{"valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}}, {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}]}),
    ] {
        assert_eq!(pod(spec.clone()), Vec::<String>::new(), "{spec}");
    }
}

#[test]
fn values_that_are_refused() {
    for (spec, path) in [
        (json!({"hostUsers": false}), "spec.hostUsers"),
        (json!({"priority": 5}), "spec.priority"),
        (json!({"dnsPolicy": "None"}), "spec.dnsPolicy"),
        (json!({"securityContext": {"fsGroup": 0}}), "spec.securityContext.fsGroup"),
        (json!({"affinity": {"podAffinity": {"x": []}}}), "spec.affinity.podAffinity"),
        (json!({"volumes": [{}, {"downwardAPI": {}}]}), "spec.volumes[1].downwardAPI"),
        (json!({"volumes": [{"emptyDir": {"medium": "Memory"}}]}), "spec.volumes[0].emptyDir.medium"),
        (json!({"volumes": [{"hostPath": {"type": "Socket"}}]}), "spec.volumes[0].hostPath.type"),
        (
            json!({"containers": [{"securityContext": {"allowPrivilegeEscalation": true}}]}),
            "spec.containers[0].securityContext.allowPrivilegeEscalation",
        ),
        (
            json!({"containers": [{"resources": {"limits": {"example.com/gpu": "1"}}}]}),
            "spec.containers[0].resources.limits[example.com/gpu]",
        ),
        (json!({"containers": [{"ports": [{"hostPort": 80}]}]}), "spec.containers[0].ports[0].hostPort"),
    ] {
        let found = pod(spec);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{path}: Forbidden: piecework ")), "{path}: {found:?}");
    }
}

#[test]
fn metadata_of_a_stored_object_can_always_change() {
    let kind = by_kind("v1", "Pod").unwrap();
    let mut old = validation::samples::pod();
    old["spec"]["hostPID"] = json!(true);
    let mut new = old.clone();
    new["metadata"]["finalizers"] = json!([]);
    assert_eq!(validation::update(kind, &new, &old), vec![]);
    assert!(!validation::create(kind, &new).is_empty());
}

/// Every field of the schema is honoured or refused; every row names a field of the schema.
#[test]
fn every_field_is_in_one_of_the_lists() {
    for (definition, honoured, refusals) in
        [("io.k8s.api.core.v1.PodSpec", HONOURED_POD, POD), ("io.k8s.api.batch.v1.JobSpec", HONOURED_JOB, JOB)]
    {
        let mut walk = Walk { honoured, refusals, used: Default::default(), missing: vec![] };
        walk.fields(schema::definition(definition).unwrap(), "");
        assert!(walk.missing.is_empty(), "{definition}: neither honoured nor refused: {:#?}", walk.missing);
        let rows = honoured.iter().copied().chain(refusals.iter().map(|r| r.pattern));
        let unknown: Vec<&str> = rows.filter(|row| !walk.used.contains(*row)).collect();
        assert!(unknown.is_empty(), "{definition}: rows that name no field: {unknown:#?}");
    }
}

struct Walk {
    honoured: &'static [&'static str],
    refusals: &'static [Refusal],
    used: std::collections::BTreeSet<&'static str>,
    missing: Vec<String>,
}

impl Walk {
    fn fields(&mut self, definition: &Definition, prefix: &str) {
        for field in &definition.fields {
            self.field(&format!("{prefix}{}", field.name), &field.field_type);
        }
    }

    fn field(&mut self, path: &str, field_type: &Type) {
        let whole = format!("{path}.**");
        if let Some(row) = self.honoured.iter().copied().find(|row| *row == path || *row == whole) {
            self.used.insert(row);
            return;
        }
        if let Some(row) = self.refusals.iter().find(|row| row.pattern == path) {
            self.used.insert(row.pattern);
            return;
        }
        match field_type {
            Type::Object(id) => self.fields(id.get(), &format!("{path}.")),
            Type::List(item) => match item.as_ref() {
                Type::Object(id) => self.fields(id.get(), &format!("{path}[].")),
                _ => self.missing.push(path.to_owned()),
            },
            _ => self.missing.push(path.to_owned()),
        }
    }
}
