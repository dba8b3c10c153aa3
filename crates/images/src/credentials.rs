//! Registry credentials as `docker login` leaves them: `auths` in `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.
//!
//! In: a registry's name. Out: a user and password, or none. Never: runs a credential helper, logs a secret.

use base64::Engine;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

#[derive(Deserialize, Default)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize, Default)]
struct Auth {
    #[serde(default)]
    auth: String,
}

/// User and password for `registry`; None means anonymous.
pub fn for_registry(registry: &str) -> Option<(String, String)> {
    let directory = std::env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")))?;
    find(&std::fs::read(directory.join("config.json")).ok()?, registry)
}

fn find(bytes: &[u8], registry: &str) -> Option<(String, String)> {
    let config: DockerConfig = serde_json::from_slice(bytes).ok()?;
    let host = |key: &str| {
        let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        let host = key.split('/').next().unwrap_or(key).to_string();
        // Docker Hub keeps its credentials under its old address.
        if host == "index.docker.io" || host == "registry-1.docker.io" { "docker.io".to_string() } else { host }
    };
    let auth = config.auths.iter().find(|(key, auth)| host(key) == registry && !auth.auth.is_empty())?.1;
    let decoded = base64::engine::general_purpose::STANDARD.decode(auth.auth.trim()).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_string(), password.trim_end_matches('\0').to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_registry() {
        let config =
            br#"{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"},"r.example:5000":{"auth":"YzpkOmU="},"empty.example":{}}}"#;
        let pair = |user: &str, password: &str| Some((user.to_string(), password.to_string()));
        for (registry, expected) in
            [("docker.io", pair("a", "b")), ("r.example:5000", pair("c", "d:e")), ("r.example", None), ("empty.example", None)]
        {
            assert_eq!(find(config, registry), expected, "{registry}");
        }
        assert_eq!(find(b"not json", "docker.io"), None);
    }
}
