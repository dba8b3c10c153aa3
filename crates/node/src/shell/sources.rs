//! Fetches the ConfigMaps and Secrets that one container names.
//!
//! In: names. Out: their data; what does not exist is left out (whether that is an error, `resolve` decides).
//! Never: a cache (values are read once, at the start of a container); data in a log.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;

use super::context::Context;
use crate::resolve::sources::{Sources, Wanted};

/// The data of everything wanted, from one namespace.
pub async fn fetch(context: &Context, namespace: &str, wanted: &Wanted) -> Result<Sources, kube::Error> {
    let mut sources = Sources::default();
    let config_maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    for name in &wanted.config_maps {
        if let Some(found) = config_maps.get_opt(name).await? {
            let mut data: BTreeMap<String, Vec<u8>> =
                found.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
            data.extend(found.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)));
            sources.config_maps.insert(name.clone(), data);
        }
    }
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    for name in &wanted.secrets {
        if let Some(found) = secrets.get_opt(name).await? {
            let data = found.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
            sources.secrets.insert(name.clone(), data);
        }
    }
    Ok(sources)
}
