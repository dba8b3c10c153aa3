//! Image references: parsing and the one spelling under which an image is stored.
//!
//! In: what people write (`perl`, `localhost:5000/a/b:1`, `x@sha256:…`). Out: registry, repository, tag or digest. Never: I/O.

use crate::Error;
use std::fmt;

/// The registry of names without one.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag of names without tag and digest.
pub const DEFAULT_TAG: &str = "latest";

/// A parsed and completed reference. With a digest the tag has no meaning and is dropped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Host and optional port, e.g. `docker.io` or `127.0.0.1:5000`.
    pub registry: String,
    /// Path in the registry, e.g. `library/perl`.
    pub repository: String,
    /// Which image of the repository.
    pub version: Version,
}

/// The last part of a reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// A movable name.
    Tag(String),
    /// `sha256:` and 64 hexadecimal digits of a manifest or an index.
    Digest(String),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Version::Tag(tag) => write!(f, "{}/{}:{tag}", self.registry, self.repository),
            Version::Digest(digest) => write!(f, "{}/{}@{digest}", self.registry, self.repository),
        }
    }
}

impl Reference {
    /// Parses and completes a reference by the rules docker made customary: a first component with `.` or `:` or `localhost` is a registry.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::InvalidReference(text.to_string(), why.to_string());
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        if text.len() > 512 {
            return Err(refuse("it is longer than 512 bytes"));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        // A colon after the last slash starts the tag; one before it belongs to a port.
        let tag_at = name.rfind(':').filter(|at| !name[*at..].contains('/'));
        let (path, tag) = match tag_at {
            // `localhost:5000` alone has no repository, so its colon can only be a tag: docker reads it so too.
            Some(at) => (&name[..at], Some(&name[at + 1..])),
            None => (name, None),
        };
        let (registry, repository) = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || first.starts_with('[') => {
                (first.to_string(), rest.to_string())
            }
            Some(_) => (DEFAULT_REGISTRY.to_string(), path.to_string()),
            None => (DEFAULT_REGISTRY.to_string(), format!("library/{path}")),
        };
        let registry =
            if registry == "index.docker.io" || registry == "registry-1.docker.io" { DEFAULT_REGISTRY.to_string() } else { registry };
        let repository =
            if registry == DEFAULT_REGISTRY && !repository.contains('/') { format!("library/{repository}") } else { repository };
        if !valid_registry(&registry) {
            return Err(refuse("the registry is not a host name with an optional port"));
        }
        for part in repository.split('/') {
            valid_component(part).map_err(refuse)?;
        }
        let version = match (digest, tag) {
            (Some(digest), _) => {
                Version::Digest(checked_digest(digest).ok_or_else(|| refuse("the digest is not sha256: and 64 hexadecimal digits"))?)
            }
            (None, Some(tag)) => {
                let mut letters = tag.chars();
                let first_ok = letters.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
                if !first_ok || tag.len() > 128 || !letters.all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
                    return Err(refuse("the tag has at most 128 letters, digits, '_', '.' and '-', and starts with none of the last two"));
                }
                Version::Tag(tag.to_string())
            }
            (None, None) => Version::Tag(DEFAULT_TAG.to_string()),
        };
        // A tag beside a digest must still be well formed, though it is dropped.
        if matches!(version, Version::Digest(_)) && tag.is_some_and(str::is_empty) {
            return Err(refuse("the tag is empty"));
        }
        Ok(Self { registry, repository, version })
    }

    /// Registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Whether docker would speak plain HTTP with the registry: loopback addresses and `localhost`.
    pub fn is_loopback(&self) -> bool {
        let host = match self.registry.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.registry.split(':').next().unwrap_or_default(),
        };
        host == "localhost" || host.ends_with(".localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// The digest in its canonical spelling, if it is a SHA-256 one.
pub fn checked_digest(digest: &str) -> Option<String> {
    let hex = digest.strip_prefix("sha256:")?;
    (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))).then(|| digest.to_string())
}

fn valid_registry(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((ip, "")) => return ip.parse::<std::net::Ipv6Addr>().is_ok(),
            Some((ip, port)) if ip.parse::<std::net::Ipv6Addr>().is_ok() => ("ipv6", port.strip_prefix(':').or(Some(""))),
            _ => return false,
        },
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    let port_ok = port.is_none_or(|p| p.parse::<u16>().is_ok_and(|n| n > 0));
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    port_ok && host.split('.').all(label_ok)
}

fn valid_component(part: &str) -> Result<(), &'static str> {
    if part.is_empty() {
        return Err("the name has an empty component");
    }
    if part.chars().any(|c| c.is_ascii_uppercase()) {
        return Err("the repository must be lower case");
    }
    let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !part.chars().all(|c| alnum(c) || "._-".contains(c)) {
        return Err("the repository has a character other than a-z, 0-9, '.', '_', '-' and '/'");
    }
    if !part.starts_with(alnum) || !part.ends_with(alnum) {
        return Err("a component of the name starts or ends with a separator");
    }
    if part.contains("..") || part.contains("___") {
        return Err("a component of the name has two separators in a row");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    #[allow(clippy::unwrap_used)]
    fn completes_what_people_write() {
        let digest = format!("@sha256:{HEX}");
        let cases = [
            ("perl", "docker.io/library/perl:latest".to_string()),
            ("perl:5.34.0", "docker.io/library/perl:5.34.0".to_string()),
            ("bitnami/kubectl", "docker.io/bitnami/kubectl:latest".to_string()),
            ("docker.io/perl", "docker.io/library/perl:latest".to_string()),
            ("index.docker.io/library/perl:x", "docker.io/library/perl:x".to_string()),
            ("localhost/a", "localhost/a:latest".to_string()),
            ("localhost:5000/a/b:1", "localhost:5000/a/b:1".to_string()),
            ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest".to_string()),
            ("[::1]:5000/a", "[::1]:5000/a:latest".to_string()),
            ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9".to_string()),
            ("a__b/c-d.e", "docker.io/a__b/c-d.e:latest".to_string()),
            (&format!("perl{digest}"), format!("docker.io/library/perl{digest}")),
            (&format!("perl:5{digest}"), format!("docker.io/library/perl{digest}")),
        ];
        for (given, expected) in cases {
            let parsed = Reference::parse(given).unwrap();
            assert_eq!(parsed.to_string(), expected, "{given}");
            assert_eq!(Reference::parse(&expected).unwrap(), parsed, "normalising twice changes {expected}");
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for given in [
            "",
            "Perl",
            "a b",
            "a//b",
            "/a",
            "a/",
            ":x",
            "a:",
            "a:-x",
            "a@sha256:12",
            "a@md5:x",
            "-a",
            "a-",
            "a..b",
            "../x",
            "host.:5000/a",
            "localhost:99999/a",
            "a/B:1",
            "x:y:z/a",
            "[::g]/a",
        ] {
            let refused = Reference::parse(given);
            assert!(matches!(refused, Err(Error::InvalidReference(ref text, _)) if text == given), "{given:?} gave {refused:?}");
        }
    }

    #[test]
    #[allow(clippy::unwrap_used)]
    fn plain_http_only_on_loopback() {
        for (given, expected) in
            [("localhost:5000/a", true), ("127.0.0.1/a", true), ("[::1]:5000/a", true), ("10.0.0.1:5000/a", false), ("perl", false)]
        {
            assert_eq!(Reference::parse(given).unwrap().is_loopback(), expected, "{given}");
        }
    }
}
