//! Bodies recorded from kubectl (tests/data), hand-made messages for the rest, and properties over arbitrary bytes.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decode::{FieldValidation, by_definition};

macro_rules! recorded {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../tests/data/", $name, ".pb")).as_slice())
    };
}

const RECORDED: &[(&str, &[u8])] = &[
    recorded!("create-job"),
    recorded!("create-namespace"),
    recorded!("create-configmap"),
    recorded!("create-secret"),
    recorded!("create-job-from-cronjob"),
    recorded!("create-cronjob"),
    recorded!("create-role"),
    recorded!("create-quota"),
    recorded!("can-i"),
    recorded!("create-token"),
];

fn body(name: &str) -> Value {
    decode(RECORDED.iter().find(|(n, _)| *n == name).unwrap().1).unwrap()
}

#[test]
fn recorded_bodies_pass_strict_decoding() {
    for (name, bytes) in RECORDED {
        let object = decode(bytes).unwrap();
        let definition = crate::schema::by_kind(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap()).unwrap();
        by_definition(&definition.name, object, FieldValidation::Strict).unwrap_or_else(|e| panic!("{name}: {}", e.message));
    }
}

/// What an older kubectl sends as JSON for the same command.
const AS_JSON: &[(&str, &str)] = &[
    ("create-job", include_str!("../../tests/data/create-job.json")),
    ("create-namespace", include_str!("../../tests/data/create-namespace.json")),
    ("create-configmap", include_str!("../../tests/data/create-configmap.json")),
    ("create-secret", include_str!("../../tests/data/create-secret.json")),
    ("create-job-from-cronjob", include_str!("../../tests/data/create-job-from-cronjob.json")),
    ("create-cronjob", include_str!("../../tests/data/create-cronjob.json")),
    ("create-role", include_str!("../../tests/data/create-role.json")),
    ("create-quota", include_str!("../../tests/data/create-quota.json")),
    ("can-i", include_str!("../../tests/data/can-i.json")),
];

#[test]
fn both_forms_of_a_body_are_one_object() {
    for (name, text) in AS_JSON {
        let from_protobuf = body(name);
        let definition =
            crate::schema::by_kind(from_protobuf["apiVersion"].as_str().unwrap(), from_protobuf["kind"].as_str().unwrap()).unwrap();
        let strict = |value: Value| by_definition(&definition.name, value, FieldValidation::Strict).unwrap();
        assert_eq!(strict(from_protobuf), strict(serde_json::from_str(text).unwrap()), "{name}");
    }
}

#[test]
fn a_job_from_a_cronjob_keeps_zeros_that_are_wishes_and_flattened_fields() {
    let job = body("create-job-from-cronjob");
    assert_eq!(job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"], "manual");
    assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "u-1");
    assert_eq!(job["spec"]["backoffLimit"], 0);
    assert_eq!(job["spec"]["suspend"], false);
    assert!(job["metadata"].get("generation").is_none() && job["metadata"].get("creationTimestamp").is_none());
    let spec = &job["spec"]["template"]["spec"];
    assert_eq!(
        spec["volumes"],
        json!([{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}, {"name": "w", "configMap": {"name": "cm", "optional": true}}])
    );
    let container = &spec["containers"][0];
    assert_eq!(container["ports"], json!([{"containerPort": 80}]));
    assert_eq!(container["resources"], json!({"limits": {"cpu": "100m", "memory": "1Gi"}}));
    assert_eq!(container["livenessProbe"], json!({"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 5}));
    assert_eq!(container["env"], json!([{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]));
    assert!(spec.get("hostNetwork").is_none() && spec.get("nodeName").is_none());
}

// ---- hand-made messages: field(number, bytes) and number(number, value) write the wire format ----

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    [varint(u64::from(number) << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn number(number: u32, value: i64) -> Vec<u8> {
    [varint(u64::from(number) << 3), varint(value.cast_unsigned())].concat()
}

fn envelope_of(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &type_meta), field(2, raw)].concat()
}

#[test]
fn delete_options_and_negative_numbers() {
    let raw = [number(1, -5), field(2, &field(1, b"uid-1")), field(4, b"Background"), field(5, b"All")].concat();
    assert_eq!(
        decode(&envelope_of("v1", "DeleteOptions", &raw)).unwrap(),
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": -5, "preconditions": {"uid": "uid-1"}, "propagationPolicy": "Background", "dryRun": ["All"]})
    );
}

#[test]
fn times_and_embedded_json() {
    // metadata {8: creationTimestamp, 9: deletionTimestamp, 17: managedFields {7: fieldsV1}}
    let managed = field(17, &[field(1, b"kubectl"), field(7, &field(1, br#"{"f:spec":{}}"#))].concat());
    let metadata = [field(8, b""), field(9, &[number(1, 1_714_557_600), number(2, 5)].concat()), managed].concat();
    assert_eq!(
        decode(&envelope_of("v1", "ConfigMap", &field(1, &metadata))).unwrap()["metadata"],
        json!({"deletionTimestamp": "2024-05-01T10:00:00Z", "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]})
    );
    // Lease spec {3: acquireTime, 4: renewTime}
    let lease = field(2, &field(4, &[number(1, 1_714_557_600), number(2, 123_456_789)].concat()));
    assert_eq!(
        decode(&envelope_of("coordination.k8s.io/v1", "Lease", &lease)).unwrap()["spec"]["renewTime"],
        "2024-05-01T10:00:00.123456Z"
    );
}

#[test]
fn packed_and_wrapped_lists() {
    // PodSecurityContext.supplementalGroups (spec 2, securityContext 14, field 4), once packed and once not.
    let groups = [field(4, &[varint(1), varint(2)].concat()), number(4, 3)].concat();
    let pod = field(2, &field(14, &groups));
    assert_eq!(decode(&envelope_of("v1", "Pod", &pod)).unwrap()["spec"]["securityContext"]["supplementalGroups"], json!([1, 2, 3]));
    // TokenReview status 3, user 2, extra 4: a map to a message around a list.
    let extra = [field(1, b"k"), field(2, &[field(1, b"a"), field(1, b"b")].concat())].concat();
    let review = field(3, &field(2, &field(4, &extra)));
    assert_eq!(
        decode(&envelope_of("authentication.k8s.io/v1", "TokenReview", &review)).unwrap()["status"]["user"]["extra"],
        json!({"k": ["a", "b"]})
    );
}

#[test]
fn malformed_bodies_are_refused() {
    let job = RECORDED[0].1;
    let rows: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "prefix"),
        (b"{}".to_vec(), "prefix"),
        (MAGIC.to_vec(), "no kind"),
        (job[..job.len() - 20].to_vec(), "too early"),
        (envelope_of("v1", "Nothing", b""), "no kind \"Nothing\" is registered for version \"v1\""),
        (envelope_of("v1", "ConfigMap", &field(1, &number(1, 5))), "field 1 has wire type 0"),
        (envelope_of("v1", "ConfigMap", &field(1, &field(1, &[0xff, 0xfe]))), "UTF-8"),
        (envelope_of("v1", "ConfigMap", &field(1, &field(8, &number(1, i64::MAX)))), "time out of range"),
        (envelope_of("v1", "ConfigMap", &[0x0b]), "wire type 3"),
        (envelope_of("v1", "ConfigMap", &[0xff; 12]), "64 bits"),
        ([envelope_of("v1", "ConfigMap", b""), field(3, b"gzip")].concat(), "content encoding"),
        ([envelope_of("v1", "ConfigMap", b""), field(4, b"text/plain")].concat(), "content type"),
    ];
    for (bytes, text) in rows {
        let status = decode(&bytes).unwrap_err();
        assert_eq!(status.code, 400);
        assert!(status.message.contains(text), "{text}: {}", status.message);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in prop::sample::select(vec![("v1", "Pod"), ("batch/v1", "Job"), ("v1", "Secret"), ("v1", "ConfigMap"), ("coordination.k8s.io/v1", "Lease")])) {
        let _ = decode(&bytes);
        let _ = decode(&envelope_of(kind.0, kind.1, &bytes));
    }

    #[test]
    fn damaged_bodies_never_panic(which in 0..RECORDED.len(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = RECORDED[which].1.to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(object) = decode(&bytes) {
            prop_assert!(object.is_object());
        }
    }
}
