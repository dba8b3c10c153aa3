//! The environment of a container: image, then `envFrom`, then `env` in order (API reference, Container).
//!
//! In: the Pod, the container, the image's variables, ConfigMaps and Secrets. Out: names and values, each name once.
//! Never: a value of a missing reference that is not optional; KUBERNETES_* service variables (no Services are served).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};

use super::ConfigError;
use super::downward::{self, NodeFacts};
use super::expand::expand;
use super::sources::Sources;

type Data = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// Variables in a stable order: image variables first, later definitions of a name replace earlier ones in place.
pub fn environment(
    pod: &Pod,
    container: &Container,
    image: &[String],
    sources: &Sources,
    facts: &NodeFacts,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut list = Ordered::default();
    for entry in image {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        list.set(name, value.to_owned());
    }
    // `$(NAME)` sees what the Pod defines, not what the image brings.
    let mut known = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let found = if let Some(reference) = &source.config_map_ref {
            whole(&sources.config_maps, "configmap", &reference.name, reference.optional)?
        } else if let Some(reference) = &source.secret_ref {
            whole(&sources.secrets, "secret", &reference.name, reference.optional)?
        } else {
            None
        };
        for (key, value) in found.into_iter().flatten() {
            let name = format!("{prefix}{key}");
            if !is_environment_name(&name) {
                continue;
            }
            let value = String::from_utf8_lossy(value).into_owned();
            known.insert(name.clone(), value.clone());
            list.set(&name, value);
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) if !value.is_empty() => Some(expand(value, &known)),
            (_, Some(from)) => referenced(pod, container, from, sources, facts)?,
            _ => Some(String::new()),
        };
        if let Some(value) = value {
            known.insert(variable.name.clone(), value.clone());
            list.set(&variable.name, value);
        }
    }
    Ok(list.entries)
}

fn referenced(
    pod: &Pod,
    container: &Container,
    from: &EnvVarSource,
    sources: &Sources,
    facts: &NodeFacts,
) -> Result<Option<String>, ConfigError> {
    if let Some(selector) = &from.field_ref {
        return downward::field(pod, facts, &selector.field_path).map(Some);
    }
    if let Some(selector) = &from.resource_field_ref {
        return downward::resource(pod, container, facts, selector).map(Some);
    }
    if let Some(selector) = &from.config_map_key_ref {
        return key(&sources.config_maps, "configmap", &selector.name, &selector.key, selector.optional);
    }
    if let Some(selector) = &from.secret_key_ref {
        return key(&sources.secrets, "secret", &selector.name, &selector.key, selector.optional);
    }
    Err(ConfigError("env[].valueFrom names no source that is supported".into()))
}

fn whole<'a>(data: &'a Data, kind: &str, name: &str, optional: Option<bool>) -> Result<Option<&'a BTreeMap<String, Vec<u8>>>, ConfigError> {
    match data.get(name) {
        Some(found) => Ok(Some(found)),
        None if optional == Some(true) => Ok(None),
        None => Err(ConfigError(format!("{kind} {name:?} not found"))),
    }
}

fn key(data: &Data, kind: &str, name: &str, key: &str, optional: Option<bool>) -> Result<Option<String>, ConfigError> {
    let Some(found) = whole(data, kind, name, optional)? else { return Ok(None) };
    match found.get(key) {
        Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        None if optional == Some(true) => Ok(None),
        None => Err(ConfigError(format!("couldn't find key {key} in {kind} {name:?}"))),
    }
}

/// Keys of a ConfigMap that cannot be a variable are left out, as the API promises.
fn is_environment_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit()) && name.chars().all(|c| c.is_ascii_graphic() && c != '=')
}

#[derive(Default)]
struct Ordered {
    entries: Vec<(String, String)>,
    places: BTreeMap<String, usize>,
}

impl Ordered {
    fn set(&mut self, name: &str, value: String) {
        match self.places.get(name) {
            Some(place) => self.entries[*place].1 = value,
            None => {
                self.places.insert(name.to_owned(), self.entries.len());
                self.entries.push((name.to_owned(), value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn run(container: Value, image: &[&str]) -> Result<Vec<(String, String)>, ConfigError> {
        let mut container = container;
        container["name"] = json!("main");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "x"}, "annotations": {"a/b": "note"}},
            "spec": {"nodeName": "node-1", "serviceAccountName": "default", "containers": [container]}
        }))
        .unwrap();
        let data = |value: &str| [("k".to_owned(), value.as_bytes().to_vec()), ("1bad".to_owned(), b"x".to_vec())].into();
        let sources = Sources {
            config_maps: [("cm".to_owned(), data("from-map"))].into(),
            secrets: [("sec".to_owned(), data("from-secret"))].into(),
        };
        let facts = NodeFacts {
            node_name: "node-1".into(),
            pod_ip: Some("10.0.0.9".into()),
            cpu_millis: 2000,
            memory_bytes: 1 << 30,
            ephemeral_storage_bytes: 1 << 40,
        };
        let image: Vec<String> = image.iter().map(|entry| (*entry).to_owned()).collect();
        let spec = pod.spec.clone().unwrap();
        environment(&pod, &spec.containers[0], &image, &sources, &facts)
    }

    #[test]
    fn values() {
        let field = |path: &str| json!({"env": [{"name": "V", "valueFrom": {"fieldRef": {"fieldPath": path}}}]});
        let resource = |resource: &str, divisor: &str| {
            json!({"env": [{"name": "V", "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": divisor}}}],
                   "resources": {"limits": {"cpu": "500m"}, "requests": {"memory": "10Mi"}}})
        };
        let cases: Vec<(Value, &str)> = vec![
            (json!({"env": [{"name": "V", "value": "x"}]}), "V=x"),
            (json!({"env": [{"name": "V"}]}), "V="),
            (
                json!({"env": [{"name": "A", "value": "1"}, {"name": "V", "value": "$(A)$(B)"}, {"name": "B", "value": "2"}]}),
                "A=1 V=1$(B) B=2",
            ),
            (json!({"env": [{"name": "V", "value": "1"}, {"name": "V", "value": "$(V)2"}]}), "V=12"),
            (field("metadata.name"), "V=p"),
            (field("metadata.namespace"), "V=n"),
            (field("metadata.uid"), "V=u"),
            (field("metadata.labels['app']"), "V=x"),
            (field("metadata.annotations['a/b']"), "V=note"),
            (field("metadata.labels['none']"), "V="),
            (field("spec.nodeName"), "V=node-1"),
            (field("spec.serviceAccountName"), "V=default"),
            (field("status.podIP"), "V=10.0.0.9"),
            (field("status.hostIP"), "V=127.0.0.1"),
            (resource("limits.cpu", "1"), "V=1"),
            (resource("limits.cpu", "1m"), "V=500"),
            (resource("limits.memory", "1Mi"), "V=1024"),
            (resource("requests.memory", "0"), "V=10485760"),
            (resource("requests.cpu", "1m"), "V=500"),
            (json!({"env": [{"name": "V", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}]}), "V=from-map"),
            (json!({"env": [{"name": "V", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "k"}}}]}), "V=from-secret"),
            (json!({"env": [{"name": "V", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k", "optional": true}}}]}), ""),
            (json!({"env": [{"name": "V", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "no", "optional": true}}}]}), ""),
            (
                json!({"envFrom": [{"configMapRef": {"name": "cm"}}, {"prefix": "S_", "secretRef": {"name": "sec"}}]}),
                "k=from-map S_1bad=x S_k=from-secret",
            ),
            (json!({"envFrom": [{"configMapRef": {"name": "cm"}}], "env": [{"name": "k", "value": "own"}]}), "k=own"),
            (json!({"envFrom": [{"configMapRef": {"name": "no", "optional": true}}]}), ""),
        ];
        for (container, wanted) in cases {
            let got = run(container.clone(), &[]).unwrap();
            let got: Vec<String> = got.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(got.join(" "), wanted, "{container}");
        }
    }

    #[test]
    fn image_variables_come_first_and_are_not_referenced() {
        let got = run(json!({"env": [{"name": "PATH", "value": "/x"}, {"name": "V", "value": "$(HOME)"}]}), &["PATH=/bin", "HOME=/root"])
            .unwrap();
        assert_eq!(got, [("PATH", "/x"), ("HOME", "/root"), ("V", "$(HOME)")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn missing_references_are_named() {
        let cases = [
            (json!({"env": [{"name": "V", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "k"}}}]}), "configmap \"no\" not found"),
            (
                json!({"env": [{"name": "V", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "no"}}}]}),
                "couldn't find key no in secret \"sec\"",
            ),
            (json!({"envFrom": [{"secretRef": {"name": "no"}}]}), "secret \"no\" not found"),
            (
                json!({"env": [{"name": "V", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]}),
                "fieldRef.fieldPath \"spec.x\" is not supported",
            ),
        ];
        for (container, wanted) in cases {
            assert_eq!(run(container, &[]).unwrap_err().0, wanted);
        }
    }
}
