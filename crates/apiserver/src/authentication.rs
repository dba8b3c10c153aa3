//! Who asks (spec/api.md 7).
//!
//! In: the verified client certificate of a connection, or an identity set by this process. Out: an `Identity`. Never: an identity taken from a
//! header, a path or a body; the request extensions read here are set only by `serve` and `in_process`.

use x509_parser::prelude::{FromDer, X509Certificate};

/// Who asks. In-process clients carry it as a request extension; over TLS it comes from the client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `system:admin`, `system:node:NAME`, ...
    pub user: String,
    /// Without `system:authenticated`, which everyone has who is known.
    pub groups: Vec<String>,
}

/// The extension under which a request carries its identity. Private, so that only this crate can make one.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Identity);

/// CN is the user, every O a group. None when the certificate has no CN.
pub(crate) fn from_certificate(der: &[u8]) -> Option<Identity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let user = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    if user.is_empty() {
        return None;
    }
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned).collect();
    Some(Identity { user, groups })
}
