//! URL paths (spec/api.md 2).
//!
//! In: the path of a request. Out: what it addresses. Never: a look at the store; an unknown path is `Target::Unknown`, not an error.

use percent_encoding::percent_decode_str;
use piecework_api::kinds::{self, Kind};

use crate::reviews::{self, VirtualResource};

/// What a path addresses.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Version,
    /// `healthz`, `livez` or `readyz`, and the single check asked for.
    Health {
        endpoint: &'static str,
        check: Option<String>,
    },
    Metrics,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/GROUP`
    Group(String),
    /// `/api/v1`, `/apis/GROUP/VERSION`
    Resources {
        group: String,
        version: String,
    },
    OpenApiV2,
    OpenApiV3Index,
    /// `/openapi/v3/PATH`
    OpenApiV3(String),
    Resource(ResourcePath),
    /// A create-only resource that isn't stored, with its namespace.
    Virtual {
        resource: &'static VirtualResource,
        namespace: Option<String>,
    },
    Unknown,
}

/// A collection, an object or a subresource of a registered kind.
#[derive(Debug, Clone)]
pub(crate) struct ResourcePath {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

/// Parses a path; one trailing slash counts as absent.
pub(crate) fn parse(path: &str) -> Target {
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let Some(relative) = trimmed.strip_prefix('/') else { return Target::Unknown };
    let mut segments = Vec::new();
    for raw in relative.split('/') {
        let Ok(decoded) = percent_decode_str(raw).decode_utf8() else { return Target::Unknown };
        // A slash or NUL inside a segment can be part of no name, and must not reach a store key.
        if decoded.is_empty() || decoded.contains('/') || decoded.contains('\0') {
            return Target::Unknown;
        }
        segments.push(decoded.into_owned());
    }
    let words: Vec<&str> = segments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["version"] => Target::Version,
        ["healthz", rest @ ..] => health("healthz", rest),
        ["livez", rest @ ..] => health("livez", rest),
        ["readyz", rest @ ..] => health("readyz", rest),
        ["metrics"] => Target::Metrics,
        ["openapi", "v2"] | ["swagger-2.0.0.pb-v1"] => Target::OpenApiV2,
        ["openapi", "v3"] => Target::OpenApiV3Index,
        ["openapi", "v3", rest @ ..] => Target::OpenApiV3(rest.join("/")),
        ["api"] => Target::CoreVersions,
        ["apis"] => Target::Groups,
        ["apis", group] => Target::Group((*group).to_owned()),
        ["api", version] => Target::Resources { group: String::new(), version: (*version).to_owned() },
        ["apis", group, version] => Target::Resources { group: (*group).to_owned(), version: (*version).to_owned() },
        ["api", version, rest @ ..] => resource("", version, rest),
        ["apis", group, version, rest @ ..] => resource(group, version, rest),
        _ => Target::Unknown,
    }
}

fn health(endpoint: &'static str, rest: &[&str]) -> Target {
    match rest {
        [] => Target::Health { endpoint, check: None },
        [check] => Target::Health { endpoint, check: Some((*check).to_owned()) },
        _ => Target::Unknown,
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Target {
    // `/namespaces/NAME/status` and `/finalize` address the namespace itself; any other third word is a resource inside it.
    let (namespace, rest) = match rest {
        ["namespaces", _, "status" | "finalize"] => (None, rest),
        ["namespaces", namespace, inner @ ..] if !inner.is_empty() => (Some((*namespace).to_owned()), inner),
        _ => (None, rest),
    };
    let [plural, rest @ ..] = rest else { return Target::Unknown };
    if let Some(resource) = reviews::find(group, version, plural) {
        let fits = rest.is_empty() && resource.namespaced == namespace.is_some();
        return if fits { Target::Virtual { resource, namespace } } else { Target::Unknown };
    }
    let Some(kind) = kinds::by_resource(group, version, plural) else { return Target::Unknown };
    let (name, subresource) = match rest {
        [] => (None, None),
        [name] => (Some((*name).to_owned()), None),
        [name, subresource] => (Some((*name).to_owned()), Some((*subresource).to_owned())),
        _ => return Target::Unknown,
    };
    let fits = if kind.namespaced() { namespace.is_some() || name.is_none() } else { namespace.is_none() };
    if !fits || subresource.as_deref().is_some_and(|sub| kind.subresource(sub).is_none()) {
        return Target::Unknown;
    }
    Target::Resource(ResourcePath { kind, namespace, name, subresource })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(path: &str) -> String {
        match parse(path) {
            Target::Resource(r) => {
                let part = |o: Option<String>| o.unwrap_or_else(|| "-".into());
                format!("{} {} {} {}", r.kind.plural, part(r.namespace), part(r.name), part(r.subresource))
            }
            Target::Virtual { resource, .. } => format!("virtual {}", resource.plural),
            Target::Resources { group, version } => format!("resources {group}/{version}"),
            Target::OpenApiV3(path) => format!("openapi {path}"),
            Target::Health { endpoint, check } => format!("{endpoint} {}", check.unwrap_or_default()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn table_of_paths() {
        let cases = [
            ("/version", "Version"),
            ("/version/", "Version"),
            ("/version//", "Unknown"),
            ("/", "Unknown"),
            ("/api", "CoreVersions"),
            ("/apis/", "Groups"),
            ("/api/v1/", "resources /v1"),
            ("/apis/batch/v1", "resources batch/v1"),
            ("/readyz/ping", "readyz ping"),
            ("/openapi/v3/apis/batch/v1", "openapi apis/batch/v1"),
            ("/api/v1/pods", "pods - - -"),
            ("/api/v1/pods/p", "Unknown"),
            ("/api/v1/namespaces", "namespaces - - -"),
            ("/api/v1/namespaces/n", "namespaces - n -"),
            ("/api/v1/namespaces/n/status", "namespaces - n status"),
            ("/api/v1/namespaces/n/finalize", "namespaces - n finalize"),
            ("/api/v1/namespaces/n/pods/p/log", "pods n p log"),
            ("/api/v1/namespaces/n/pods/p/status/x", "Unknown"),
            ("/api/v1/namespaces/n/pods/p/nonesuch", "Unknown"),
            ("/api/v1/namespaces/n/nodes/x", "Unknown"),
            ("/api/v1/nodes/x/status", "nodes - x status"),
            ("/apis/batch/v1/namespaces/n/jobs/p%69", "jobs n pi -"),
            ("/apis/batch/v1/namespaces/n/jobs/a%2Fb", "Unknown"),
            ("/apis/batch/v1/namespaces/n/jobs/%FF", "Unknown"),
            ("/apis/batch/v2/namespaces/n/jobs/pi", "Unknown"),
            ("/apis/apps/v1/deployments", "Unknown"),
            ("/apis/authentication.k8s.io/v1/selfsubjectreviews", "virtual selfsubjectreviews"),
            ("/api/v1/namespaces/n/bindings", "virtual bindings"),
            ("/api/v1/bindings", "Unknown"),
        ];
        for (path, expected) in cases {
            assert_eq!(show(path), expected, "{path}");
        }
    }
}
