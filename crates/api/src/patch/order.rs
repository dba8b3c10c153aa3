//! The order of a merged list. In: the elements, the order that the patch asks for and the order on the server. Out: the elements, those of the
//! patch in the patch's order, the others in the server's, interleaved so that a server-only element stays before the elements that it preceded.
//! New elements come before server-only ones whose place relative to them is not known. Cost: n log n, because lists come from clients.

use std::collections::BTreeMap;

use serde_json::Value;

/// What makes two elements one: the text of the merge key (so `8080` from YAML and from JSON are one key), or the value itself.
/// None for an element without its key: it equals nothing.
pub(super) fn identity(element: &Value, merge_key: Option<&str>) -> Option<String> {
    match merge_key {
        Some(key) => match &element[key] {
            Value::Null => None,
            value => Some(key_text(value)),
        },
        None => Some(element.to_string()),
    }
}

/// The text by which merge keys compare.
pub(super) fn key_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The identities of a list in order (None: an element without its key).
pub(super) fn identities(list: &[Value], merge_key: Option<&str>) -> Vec<Option<String>> {
    list.iter().map(|element| identity(element, merge_key)).collect()
}

/// The place of each identity; the first counts.
pub(super) fn places(identities: &[Option<String>]) -> BTreeMap<&str, usize> {
    let mut places = BTreeMap::new();
    for (place, identity) in identities.iter().enumerate() {
        if let Some(identity) = identity {
            places.entry(identity.as_str()).or_insert(place);
        }
    }
    places
}

/// See the module's head. Elements never get lost or doubled.
pub(super) fn arrange(
    elements: Vec<Value>,
    patch_order: &[Option<String>],
    server_order: &[Option<String>],
    merge_key: Option<&str>,
) -> Vec<Value> {
    let (patch_places, server_places) = (places(patch_order), places(server_order));
    let mut wanted = Vec::new();
    let mut server_only = Vec::new();
    for element in elements {
        let identity = identity(&element, merge_key);
        let place = |places: &BTreeMap<&str, usize>| identity.as_deref().and_then(|identity| places.get(identity).copied());
        let on_server = place(&server_places);
        match place(&patch_places) {
            Some(rank) => wanted.push((rank, on_server, element)),
            None => server_only.push((on_server, element)),
        }
    }
    // Stable, so equal keys keep their order.
    wanted.sort_by_key(|(rank, ..)| *rank);
    server_only.sort_by_key(|(rank, _)| rank.unwrap_or(usize::MAX));
    let mut result = Vec::with_capacity(wanted.len() + server_only.len());
    let mut wanted = wanted.into_iter().peekable();
    let mut server_only = server_only.into_iter().peekable();
    loop {
        let server_first = match (server_only.peek(), wanted.peek()) {
            (None, None) => return result,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((Some(server), _)), Some((_, Some(patch), _))) => server < patch,
            _ => false,
        };
        if server_first {
            result.extend(server_only.next().map(|(_, element)| element));
        } else {
            result.extend(wanted.next().map(|(.., element)| element));
        }
    }
}
