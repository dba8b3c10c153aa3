//! What kubectl reads in the documents (spec/api.md 3.4), for every registered kind.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

#[test]
fn the_index_names_every_group_version_and_its_hash() {
    let index = v3_index();
    let paths = index["paths"].as_object().unwrap();
    let expected: BTreeSet<String> = kinds::kinds().iter().map(group_version_path).collect();
    assert_eq!(paths.keys().cloned().collect::<BTreeSet<_>>(), expected);
    let (_, hash) = v3_document("apis/batch/v1").unwrap();
    assert_eq!(paths["apis/batch/v1"]["serverRelativeURL"], format!("/openapi/v3/apis/batch/v1?hash={hash}"));
    assert!(v3_document("apis/nothing/v1").is_none());
}

#[test]
fn every_kind_can_be_validated_by_the_server_and_explained() {
    for kind in kinds::kinds() {
        let (document, _) = v3_document(&group_version_path(kind)).unwrap();
        let gvk = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
        let patch = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .map(|path| &path["patch"])
            .find(|patch| patch["x-kubernetes-group-version-kind"] == gvk)
            .unwrap();
        let names: Vec<&str> = patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        for name in ["dryRun", "fieldManager", "fieldValidation", "force"] {
            assert!(names.contains(&name), "{}: {name}", kind.kind);
        }
        let schema = &document["components"]["schemas"][kind.definition];
        assert!(schema["x-kubernetes-group-version-kind"].as_array().unwrap().contains(&gvk), "{}", kind.kind);
        assert!(!schema["description"].as_str().unwrap().is_empty());
    }
}

fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                assert_eq!(map.len(), 1, "a reference has siblings: {value}");
                found.insert(reference);
            }
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(list) => list.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

#[test]
fn references_resolve_and_operation_ids_are_unique() {
    for path in documents().keys() {
        let (document, _) = v3_document(path).unwrap();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in found {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{path}: {reference}");
        }
        let mut ids = BTreeSet::new();
        for operation in document["paths"].as_object().unwrap().values().flat_map(|p| p.as_object().unwrap().values()) {
            if let Some(id) = operation["operationId"].as_str() {
                assert!(ids.insert(id.to_owned()), "{path}: {id} twice");
            }
        }
    }
}

#[test]
fn fields_carry_their_extensions() {
    let (document, _) = v3_document("apis/batch/v1").unwrap();
    let spec = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"];
    assert_eq!(spec["required"], json!(["containers"]));
    let containers = &spec["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(spec["properties"]["volumes"]["x-kubernetes-patch-strategy"], "merge,retainKeys");
    let template = &document["components"]["schemas"]["io.k8s.api.batch.v1.JobSpec"]["properties"]["template"];
    assert_eq!(template["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec");
    assert!(template["description"].is_string());
}

#[test]
fn the_v2_document_is_the_empty_message() {
    assert!(v2_protobuf().is_empty());
}
