//! Cases of decoding as rows, and properties over arbitrary input.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::kinds;

const JOB: &str = "io.k8s.api.batch.v1.Job";

fn job() -> &'static Kind {
    kinds::by_kind("batch/v1", "Job").unwrap()
}

fn decode(text: &str, mode: FieldValidation) -> Result<Decoded, Status> {
    let (value, duplicates) = parse_json(text.as_bytes())?;
    object(job(), value, duplicates, mode)
}

#[test]
fn unknown_and_duplicate_fields_by_mode() {
    // (body, reports in order)
    let rows: &[(&str, &[&str])] = &[
        (r#"{"spec":{"zzbogus":1}}"#, &["unknown field \"spec.zzbogus\""]),
        (r#"{"spec":{"suspend":true,"suspend":false}}"#, &["duplicate field \"spec.suspend\""]),
        (
            r#"{"spec":{"template":{"spec":{"containers":[{"foo":{"a":1,"a":2}}]}}},"x":null}"#,
            &["unknown field \"spec.template.spec.containers[0].foo\"", "unknown field \"x\""],
        ),
        (r#"{"metadata":{"labels":{"a":"1","a":"2"}}}"#, &["duplicate field \"metadata.labels.a\""]),
        (r#"{"Spec":{}}"#, &["unknown field \"Spec\""]),
    ];
    for (body, reports) in rows {
        let error = decode(body, FieldValidation::Strict).unwrap_err();
        assert_eq!(error.code, 400);
        assert_eq!(
            error.message,
            format!("Job in version \"v1\" cannot be handled as a Job: strict decoding error: {}", reports.join(", "))
        );
        let warned = decode(body, FieldValidation::Warn).unwrap();
        assert_eq!(warned.warnings, *reports);
        let ignored = decode(body, FieldValidation::Ignore).unwrap();
        assert!(ignored.warnings.is_empty());
        assert_eq!(ignored.object, warned.object);
        assert!(!ignored.object.to_string().contains("foo") && !ignored.object.to_string().contains("bogus"));
    }
    // The last of equal keys wins.
    assert_eq!(
        decode(r#"{"spec":{"suspend":true,"suspend":false}}"#, FieldValidation::Ignore).unwrap().object["spec"]["suspend"],
        json!(false)
    );
}

#[test]
fn wrong_types_name_their_path() {
    let rows = [
        (r#"{"spec":{"parallelism":"3"}}"#, "json: cannot unmarshal string into Go struct field JobSpec.spec.parallelism of type int32"),
        (
            r#"{"spec":{"parallelism":1.5}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field JobSpec.spec.parallelism of type int32",
        ),
        (
            r#"{"spec":{"parallelism":3000000000}}"#,
            "json: cannot unmarshal number 3000000000 into Go struct field JobSpec.spec.parallelism of type int32",
        ),
        (
            r#"{"spec":{"activeDeadlineSeconds":18446744073709551615}}"#,
            "number 18446744073709551615 into Go struct field JobSpec.spec.activeDeadlineSeconds",
        ),
        (
            r#"{"metadata":{"labels":{"a":true}}}"#,
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels.a of type string",
        ),
        (
            r#"{"metadata":{"labels":["a"]}}"#,
            "cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (r#"{"spec":[]}"#, "json: cannot unmarshal array into Go struct field Job.spec of type v1.JobSpec"),
        (
            r#"{"spec":{"template":{"spec":{"containers":{}}}}}"#,
            "cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (r#"{"spec":{"template":{"spec":{"containers":[1]}}}}"#, "PodSpec.spec.template.spec.containers[0] of type v1.Container"),
        (r#"{"metadata":{"creationTimestamp":"yesterday"}}"#, "metadata.creationTimestamp: parsing time \"yesterday\""),
        (r#"{"metadata":{"creationTimestamp":"2024-13-01T00:00:00Z"}}"#, "metadata.creationTimestamp: parsing time"),
        (r#"{"metadata":{"creationTimestamp":"2024-01-01 00:00:00Z"}}"#, "metadata.creationTimestamp: parsing time"),
        (
            r#"{"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"lots"}}}]}}}}"#,
            "containers[0].resources.limits.cpu: unable to parse quantity \"lots\"",
        ),
        (
            r#"{"spec":{"template":{"spec":{"containers":[{"livenessProbe":{"httpGet":{"port":true}}}]}}}}"#,
            "httpGet.port of type intstr.IntOrString",
        ),
    ];
    for (body, text) in rows {
        for mode in [FieldValidation::Ignore, FieldValidation::Warn, FieldValidation::Strict] {
            let error = decode(body, mode).unwrap_err();
            assert_eq!(error.code, 400, "{body}");
            assert!(error.message.starts_with("Job in version \"v1\" cannot be handled as a Job: "), "{}", error.message);
            assert!(error.message.contains(text), "{body}: {}", error.message);
        }
    }
}

#[test]
fn values_are_normalised() {
    let body = r#"{"metadata":{"name":"pi","creationTimestamp":null,"deletionTimestamp":"2024-05-01T12:00:00.75+02:00","labels":{"n":null}},
        "spec":{"template":{"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":2,"memory":"1024Mi"},"requests":{"cpu":0.5}},
        "livenessProbe":{"httpGet":{"port":"web"}},"readinessProbe":{"tcpSocket":{"port":80}},"command":null}]}}},"status":{}}"#;
    let object = decode(body, FieldValidation::Strict).unwrap().object;
    assert_eq!(
        object,
        json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "pi", "deletionTimestamp": "2024-05-01T10:00:00Z", "labels": {"n": ""}},
            "spec": {"template": {"spec": {"containers": [{"name": "a",
                "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
                "livenessProbe": {"httpGet": {"port": "web"}}, "readinessProbe": {"tcpSocket": {"port": 80}}}]}}},
            "status": {}})
    );
    let order: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(order, ["apiVersion", "kind", "metadata", "spec", "status"]);
}

#[test]
fn times_in_every_form() {
    // (definition field path, input, output)
    let rows = [
        ("acquireTime", "2024-05-01T12:00:00Z", Some("2024-05-01T12:00:00.000000Z")),
        ("renewTime", "2024-05-01T12:00:00.1234567-01:30", Some("2024-05-01T13:30:00.123456Z")),
        ("renewTime", "0001-01-01T00:00:00Z", None),
    ];
    for (field, input, output) in rows {
        let lease = by_definition("io.k8s.api.coordination.v1.Lease", json!({"spec": {field: input}}), FieldValidation::Strict).unwrap();
        assert_eq!(lease["spec"][field].as_str(), output, "{input}");
    }
    let secret = |data: &str| by_definition("io.k8s.api.core.v1.Secret", json!({"data": {"k": data}}), FieldValidation::Strict);
    assert_eq!(secret("aHVu\ndGVy").unwrap()["data"]["k"], "aHVudGVy");
    assert!(secret("a").unwrap_err().message.contains("data.k: illegal base64"));
}

#[test]
fn kind_and_version_must_match() {
    let rows = [
        (
            r#"{"apiVersion":"batch/v2","kind":"Job"}"#,
            "the API version in the data (batch/v2) does not match the expected API version (batch/v1)",
        ),
        (r#"{"apiVersion":"batch/v1","kind":"CronJob"}"#, "CronJob in version \"v1\" cannot be handled as a Job"),
        (r#"{"apiVersion":1}"#, "cannot unmarshal number into Go struct field .apiVersion of type string"),
        (r#"[]"#, "cannot unmarshal array into Go value of type v1.Job"),
        (r#"{"a":"#, "not valid JSON"),
        (r#"{} x"#, "not valid JSON"),
        ("", "not valid JSON"),
        ("\u{feff}{}", "not valid JSON"),
    ];
    for (body, text) in rows {
        let error = decode(body, FieldValidation::Warn).unwrap_err();
        assert_eq!(error.code, 400);
        assert!(error.message.contains(text), "{body}: {}", error.message);
    }
    let filled = decode(r#"{"kind":"","apiVersion":null}"#, FieldValidation::Strict).unwrap().object;
    assert_eq!(filled, json!({"apiVersion": "batch/v1", "kind": "Job"}));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse_json(nested(MAXIMUM_DEPTH - 1).as_bytes()).is_ok());
    assert_eq!(parse_json(nested(MAXIMUM_DEPTH + 1).as_bytes()).unwrap_err().code, 400);
    assert_eq!(parse_json(nested(2_000_000).as_bytes()).unwrap_err().code, 400);
}

#[test]
fn reports_are_bounded() {
    let fields: Vec<String> = (0..5000).map(|i| format!("\"u{i}\":1,\"u{i}\":2")).collect();
    let decoded = decode(&format!("{{{}}}", fields.join(",")), FieldValidation::Warn).unwrap();
    assert_eq!(decoded.warnings.len(), MAXIMUM_REPORTED_FIELDS);
}

/// Any JSON value, often with names that the schema knows.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})".prop_map(Value::from),
    ];
    let names = prop_oneof![
        prop::sample::select(vec![
            "metadata",
            "spec",
            "status",
            "template",
            "containers",
            "labels",
            "parallelism",
            "creationTimestamp",
            "resources",
            "limits",
            "volumes",
            "managedFields",
            "fieldsV1",
            "conditions",
            "apiVersion",
            "kind",
            "$patch",
            "name",
        ])
        .prop_map(str::to_owned),
        "[a-z$]{0,6}",
    ];
    leaf.prop_recursive(7, 96, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..8).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_json_never_panics_and_what_passes_passes_again(value in any_json()) {
        if let Ok(first) = by_definition(JOB, value.clone(), FieldValidation::Ignore) {
            let second = by_definition(JOB, first.clone(), FieldValidation::Strict).expect("decoded objects hold nothing unknown");
            prop_assert_eq!(first, second);
        }
        let _ = object(job(), value, Vec::new(), FieldValidation::Warn);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = parse_json(&bytes);
    }

    #[test]
    fn parsing_agrees_with_the_plain_parser(value in any_json()) {
        let text = value.to_string();
        let (parsed, duplicates) = parse_json(text.as_bytes()).expect("printed by the JSON library");
        prop_assert_eq!(parsed, serde_json::from_str::<Value>(&text).expect("printed by the JSON library"));
        prop_assert!(duplicates.is_empty());
    }
}
