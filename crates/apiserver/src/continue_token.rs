//! Continue tokens of paged lists (spec/api.md 6.3).
//!
//! In: the snapshot revision and the next key inside the collection. Out: opaque text, and back. Never: a key outside the collection the token is used on.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use piecework_api::status::Status;
use piecework_store::Revision;
use serde::{Deserialize, Serialize};

use crate::failure::Outcome;

const VERSION: &str = "meta.k8s.io/v1";

/// Where the next page starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContinueToken {
    v: String,
    /// Snapshot revision; 0 continues at the latest state.
    pub(crate) rv: Revision,
    /// Next key, relative to the collection's prefix.
    pub(crate) start: String,
}

impl ContinueToken {
    pub(crate) fn new(revision: Revision, start: &str) -> Self {
        ContinueToken { v: VERSION.to_owned(), rv: revision, start: start.to_owned() }
    }

    pub(crate) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub(crate) fn decode(text: &str) -> Outcome<Self> {
        let refused = |why: &str| Status::bad_request(format!("continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| refused("not base64"))?;
        let token: ContinueToken = serde_json::from_slice(&bytes).map_err(|_| refused("not a token of this server"))?;
        if token.v != VERSION || token.start.is_empty() || token.start.split('/').any(|part| part == "..") {
            return Err(refused("not a token of this server").into());
        }
        Ok(token)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusals() {
        let token = ContinueToken::new(7, "default/pi");
        assert_eq!(ContinueToken::decode(&token.encode()).unwrap(), token);
        for bad in ["", "!!", "e30", &URL_SAFE_NO_PAD.encode(r#"{"v":"x","rv":1,"start":"a"}"#)] {
            assert!(ContinueToken::decode(bad).is_err(), "{bad}");
        }
    }
}
