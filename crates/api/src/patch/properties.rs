//! Laws of patches over arbitrary objects.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const POD: &str = "io.k8s.api.core.v1.Pod";

/// Objects with the names and merge keys of a Pod, and directives in the wrong and in the right places.
fn pod_like() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "metadata",
        "spec",
        "labels",
        "finalizers",
        "ownerReferences",
        "containers",
        "volumes",
        "ports",
        "env",
        "name",
        "uid",
        "containerPort",
        "tolerations",
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "$setElementOrder/finalizers",
        "$deleteFromPrimitiveList/finalizers",
        "zz",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!("delete")),
        Just(json!("replace")),
        Just(json!("merge")),
        "[ab]".prop_map(Value::from),
        (0..3).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn has_directive(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| key.starts_with('$') || has_directive(value)),
        Value::Array(list) => list.iter().any(has_directive),
        _ => false,
    }
}

proptest! {
    #[test]
    fn an_empty_patch_is_identity(object in pod_like()) {
        let object = if object.is_object() { object } else { json!({"spec": object}) };
        for kind in [PatchType::StrategicMerge, PatchType::Merge] {
            prop_assert_eq!(apply(POD, &object, kind, Value::Object(Map::new())).unwrap(), object.clone());
        }
        prop_assert_eq!(apply(POD, &object, PatchType::Json, json!([])).unwrap(), object);
    }

    #[test]
    fn strategic_merge_never_panics_nor_stores_directives(patch in pod_like()) {
        if let Ok(result) = apply(POD, &json!({}), PatchType::StrategicMerge, patch) {
            prop_assert!(!has_directive(&result), "{}", result);
        }
    }

    #[test]
    fn arbitrary_patches_never_panic(object in pod_like(), patch in pod_like()) {
        for kind in [PatchType::StrategicMerge, PatchType::Merge, PatchType::Json] {
            let _ = apply(POD, &object, kind, patch.clone());
        }
    }
}

proptest! {
    #[test]
    fn arranging_keeps_every_element(
        elements in prop::collection::vec((0..8u8).prop_map(|n| json!({"name": n})), 0..12),
        patch in prop::collection::vec((0..10u8).prop_map(|n| json!({"name": n})), 0..6),
        server in prop::collection::vec((0..10u8).prop_map(|n| json!({"name": n})), 0..6),
    ) {
        let key = Some("name");
        let (patch, server) = (order::identities(&patch, key), order::identities(&server, key));
        let arranged = order::arrange(elements.clone(), &patch, &server, key);
        let sorted = |list: &[Value]| {
            let mut texts: Vec<String> = list.iter().map(Value::to_string).collect();
            texts.sort();
            texts
        };
        prop_assert_eq!(sorted(&arranged), sorted(&elements));
        // The elements of the patch follow its order.
        let places = order::places(&patch);
        let ranks: Vec<usize> = arranged.iter().filter_map(|e| places.get(order::identity(e, key)?.as_str()).copied()).collect();
        prop_assert!(ranks.is_sorted());
    }
}
