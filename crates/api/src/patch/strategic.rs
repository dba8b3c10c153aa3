//! Strategic merge patch (spec/api.md 6.9). In: an object, a patch and the schema of both. Out: the merged object without any directive.
//!
//! Maps merge, null deletes, lists are replaced unless the schema says `merge`. Directives in a map: `$patch: replace|delete|merge`,
//! `$retainKeys`, and per list field `$setElementOrder/F`, `$deleteFromPrimitiveList/F`; as a list element: `{"$patch": "replace"}` and
//! `{"$patch": "delete", KEY: …}`. A field that the schema does not know merges as plain JSON, so that decoding can report it by its path.
//! Recursion is bounded by the depth of the patch, which the JSON parser bounds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::order;
use crate::schema::{Definition, PatchStrategy, Type};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList/";

/// Why a patch cannot be applied; each is a 400.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("map: {0} does not contain declared merge key: {1}")]
    NoMergeKey(String, String),
    #[error("unknown patch type: {0} in map: {1}")]
    UnknownDirective(String, String),
    #[error("invalid patch format of {0}: a list is expected")]
    NotAList(String),
    #[error("invalid patch format of retainKeys: {0:?} is in the patch, but not among the keys to retain")]
    NotRetained(String),
    #[error("invalid patch format of {SET_ELEMENT_ORDER}{0}: the order of the elements in the patch doesn't match it")]
    OrderMismatch(String),
    #[error("expected a {expected} as the element of a merge list, but got {found}")]
    MixedElements { expected: &'static str, found: String },
}

impl Fault {
    fn unknown_directive(directive: &Value, map: Map<String, Value>) -> Self {
        Fault::UnknownDirective(directive.to_string(), Value::Object(map).to_string())
    }
}

pub(super) fn apply(definition: &'static Definition, object: &Value, patch: Value) -> Result<Value, Fault> {
    let (Value::Object(original), Value::Object(patch)) = (object.clone(), patch) else {
        return Ok(object.clone());
    };
    merge_maps(Shape::Object(definition), original, patch).map(Value::Object)
}

/// What is known about the values of a map.
#[derive(Clone, Copy)]
enum Shape {
    Object(&'static Definition),
    /// Every value is of this type.
    Values(&'static Type),
    Unknown,
}

impl Shape {
    fn of(field_type: Option<&'static Type>) -> Shape {
        match field_type {
            Some(Type::Object(id)) => Shape::Object(id.get()),
            Some(Type::Map(element)) => Shape::Values(element),
            _ => Shape::Unknown,
        }
    }

    fn member(self, name: &str) -> (Option<&'static Type>, PatchStrategy) {
        match self {
            Shape::Object(definition) => match definition.field(name) {
                Some(field) => (Some(&field.field_type), field.patch.clone()),
                None => (None, PatchStrategy::default()),
            },
            Shape::Values(element) => (Some(element), PatchStrategy::default()),
            Shape::Unknown => (None, PatchStrategy::default()),
        }
    }
}

fn merge_maps(shape: Shape, mut original: Map<String, Value>, mut patch: Map<String, Value>) -> Result<Map<String, Value>, Fault> {
    match patch.shift_remove(PATCH) {
        None => {}
        Some(Value::String(directive)) if directive == "merge" => {}
        Some(Value::String(directive)) if directive == "replace" => original = Map::new(),
        Some(Value::String(directive)) if directive == "delete" => return Ok(Map::new()),
        Some(other) => return Err(Fault::unknown_directive(&other, patch)),
    }
    if let Some(keys) = patch.shift_remove(RETAIN_KEYS) {
        retain_keys(&mut original, &patch, &keys)?;
    }
    let mut orders: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    let mut deleted: BTreeSet<String> = BTreeSet::new();
    let mut members: Vec<(String, Value)> = Vec::new();
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(SET_ELEMENT_ORDER) {
            let Value::Array(elements) = value else { return Err(Fault::NotAList(key)) };
            let (_, strategy) = shape.member(field);
            orders.insert(field.to_owned(), order::identities(&elements, strategy.merge_key.as_deref()));
        } else if let Some(field) = key.strip_prefix(DELETE_FROM_PRIMITIVE_LIST) {
            let Value::Array(elements) = value else { return Err(Fault::NotAList(key)) };
            if let Some(Value::Array(list)) = original.get_mut(field) {
                let unwanted: BTreeSet<String> = elements.iter().map(Value::to_string).collect();
                list.retain(|item| !unwanted.contains(&item.to_string()));
            }
        } else if value.is_null() {
            deleted.insert(key);
        } else {
            members.push((key, value));
        }
    }
    original.retain(|key, _| !deleted.contains(key));
    for (key, value) in members {
        let (member_type, strategy) = shape.member(&key);
        let present = original.get_mut(&key).map(Value::take);
        let element_order = orders.get(&key).map(Vec::as_slice);
        let merged = merge_member(&key, member_type, &strategy, present, value, element_order)?;
        original.insert(key, merged);
    }
    // An order for a list that the patch itself leaves alone, or for what merging above left.
    for (field, elements) in &orders {
        let (_, strategy) = shape.member(field);
        if let Some(Value::Array(list)) = original.get_mut(field) {
            let merge_key = strategy.merge_key.as_deref();
            let server_order = order::identities(list, merge_key);
            *list = order::arrange(std::mem::take(list), elements, &server_order, merge_key);
        }
    }
    Ok(original)
}

/// `$retainKeys`: every other key of the original goes; the patch may only set retained keys.
fn retain_keys(original: &mut Map<String, Value>, patch: &Map<String, Value>, keys: &Value) -> Result<(), Fault> {
    let Value::Array(keys) = keys else { return Err(Fault::NotAList(RETAIN_KEYS.to_owned())) };
    let kept: BTreeSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    for (key, value) in patch {
        if !value.is_null() && !key.starts_with('$') && !kept.contains(key.as_str()) {
            return Err(Fault::NotRetained(key.clone()));
        }
    }
    original.retain(|key, _| kept.contains(key.as_str()));
    Ok(())
}

fn merge_member(
    field: &str,
    member_type: Option<&'static Type>,
    strategy: &PatchStrategy,
    present: Option<Value>,
    patch: Value,
    element_order: Option<&[Option<String>]>,
) -> Result<Value, Fault> {
    match patch {
        // The zone of free-form JSON: stored as it is.
        patch if member_type == Some(&Type::Any) => Ok(match (present, patch) {
            (Some(mut present @ Value::Object(_)), patch @ Value::Object(_)) => {
                json_patch::merge(&mut present, &patch);
                present
            }
            (_, patch) => patch,
        }),
        Value::Object(patch) => {
            let original = match present {
                Some(Value::Object(map)) if !strategy.replace => map,
                _ => Map::new(),
            };
            merge_maps(Shape::of(member_type), original, patch).map(Value::Object)
        }
        Value::Array(patch) => {
            let element_type = match member_type {
                Some(Type::List(element)) => Some(&**element),
                _ => None,
            };
            let original = match present {
                Some(Value::Array(list)) => list,
                _ => Vec::new(),
            };
            if strategy.merge {
                merge_lists(field, element_type, strategy.merge_key.as_deref(), original, patch, element_order).map(Value::Array)
            } else {
                replacement(element_type, patch).map(Value::Array)
            }
        }
        scalar => Ok(scalar),
    }
}

/// A list that takes the place of another one: without directives and nulls in its maps.
fn replacement(element_type: Option<&'static Type>, patch: Vec<Value>) -> Result<Vec<Value>, Fault> {
    let mut result = Vec::with_capacity(patch.len());
    for element in patch {
        result.push(match element {
            Value::Object(map) => {
                if map.len() == 1 && map.contains_key(PATCH) {
                    continue;
                }
                Value::Object(merge_maps(Shape::of(element_type), Map::new(), map)?)
            }
            Value::Array(list) => match element_type {
                Some(Type::List(inner)) => Value::Array(replacement(Some(inner), list)?),
                _ => Value::Array(list),
            },
            scalar => scalar,
        });
    }
    Ok(result)
}

fn merge_lists(
    field: &str,
    element_type: Option<&'static Type>,
    merge_key: Option<&str>,
    original: Vec<Value>,
    patch: Vec<Value>,
    element_order: Option<&[Option<String>]>,
) -> Result<Vec<Value>, Fault> {
    let server_order = order::identities(&original, merge_key);
    let Some(merge_key) = merge_key else {
        if let Some(found) = patch.iter().find(|item| item.is_object() || item.is_array()) {
            return Err(Fault::MixedElements { expected: "scalar", found: found.to_string() });
        }
        let patch_order = order::identities(&patch, None);
        check_order(field, &patch_order, element_order)?;
        let mut known: BTreeSet<String> = server_order.iter().flatten().cloned().collect();
        let mut merged = original;
        merged.extend(patch.into_iter().filter(|item| known.insert(item.to_string())));
        return Ok(order::arrange(merged, &patch_order, &server_order, None));
    };
    let plan = ListPlan::read(patch, merge_key)?;
    let mut merged = if plan.replace_list { Vec::new() } else { original };
    merged.retain(|item| order::identity(item, Some(merge_key)).is_none_or(|identity| !plan.removed.contains(&identity)));
    let identities = order::identities(&merged, Some(merge_key));
    let mut place_of: BTreeMap<String, usize> =
        order::places(&identities).into_iter().map(|(identity, place)| (identity.to_owned(), place)).collect();
    let mut patch_order = Vec::with_capacity(plan.elements.len());
    for (key, element) in plan.elements {
        let place = place_of.get(&key).copied();
        let present = match place.map(|place| merged[place].take()) {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let result = Value::Object(merge_maps(Shape::of(element_type), present, element)?);
        match place {
            Some(place) => merged[place] = result,
            None => {
                place_of.insert(key.clone(), merged.len());
                merged.push(result);
            }
        }
        patch_order.push(Some(key));
    }
    check_order(field, &patch_order, element_order)?;
    Ok(order::arrange(merged, &patch_order, &server_order, Some(merge_key)))
}

/// What the elements of a patch list ask for.
#[derive(Default)]
struct ListPlan {
    /// `{"$patch": "replace"}` on its own: nothing of the original stays.
    replace_list: bool,
    /// Keys of elements to delete, or to replace as a whole.
    removed: BTreeSet<String>,
    /// (key, element) to merge or to add.
    elements: Vec<(String, Map<String, Value>)>,
}

impl ListPlan {
    fn read(patch: Vec<Value>, merge_key: &str) -> Result<Self, Fault> {
        let mut plan = ListPlan::default();
        for element in patch {
            let Value::Object(mut map) = element else {
                return Err(Fault::MixedElements { expected: "map", found: element.to_string() });
            };
            match map.shift_remove(PATCH) {
                None => plan.elements.push((key_of(&map, merge_key)?, map)),
                Some(Value::String(directive)) => match directive.as_str() {
                    "merge" => plan.elements.push((key_of(&map, merge_key)?, map)),
                    "replace" if map.is_empty() => plan.replace_list = true,
                    "replace" => {
                        plan.removed.insert(key_of(&map, merge_key)?);
                        plan.elements.push((key_of(&map, merge_key)?, map));
                    }
                    "delete" => {
                        plan.removed.insert(key_of(&map, merge_key)?);
                    }
                    _ => return Err(Fault::unknown_directive(&Value::String(directive), map)),
                },
                Some(other) => return Err(Fault::unknown_directive(&other, map)),
            }
        }
        Ok(plan)
    }
}

fn key_of(map: &Map<String, Value>, merge_key: &str) -> Result<String, Fault> {
    match map.get(merge_key) {
        Some(key) if !key.is_null() => Ok(order::key_text(key)),
        _ => Err(Fault::NoMergeKey(Value::Object(map.clone()).to_string(), merge_key.to_owned())),
    }
}

/// The elements of the patch must be part of `$setElementOrder`, in the same relative order.
fn check_order(field: &str, patch: &[Option<String>], element_order: Option<&[Option<String>]>) -> Result<(), Fault> {
    let Some(element_order) = element_order else { return Ok(()) };
    let mut rest = element_order.iter();
    for element in patch {
        if !rest.any(|wanted| wanted == element) {
            return Err(Fault::OrderMismatch(field.to_owned()));
        }
    }
    Ok(())
}
