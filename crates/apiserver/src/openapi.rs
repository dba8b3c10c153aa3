//! OpenAPI documents (spec/api.md 3.4).
//!
//! In: documents of the api crate. Out: responses with ETags. Never: JSON under the protobuf path: old kubectl stops on it.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use piecework_api::openapi;

use crate::{
    discovery::Document,
    failure::{Failure, Outcome},
    query::Query,
    respond,
};

/// Clients ask for this, or for a spelling with `@` in place of the dot before `v1.0`; but kubectl 1.27 and 1.28 cannot parse a Content-Type
/// with an `@` (seen: "mime: unexpected content after media subtype"), so the answer always has the dot.
const V2_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// `/openapi/v2`: protobuf whatever is asked for.
pub(crate) fn v2(headers: &HeaderMap) -> Response<Body> {
    Document::new(V2_TYPE, openapi::v2_protobuf()).response(headers)
}

/// `/openapi/v3`
pub(crate) fn v3_index(headers: &HeaderMap) -> Response<Body> {
    Document::new("application/json", openapi::v3_index().to_string().into_bytes()).response(headers)
}

/// `/openapi/v3/PATH`: cached for ever when the client names the hash it wants and that is the current one.
pub(crate) fn v3(path: &str, headers: &HeaderMap, query: &Query) -> Outcome<Response<Body>> {
    let Some((document, hash)) = openapi::v3_document(path) else { return Err(Failure::PageNotFound) };
    let etag = HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"0\""));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|sent| *sent == etag);
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        respond::json(StatusCode::OK, &document)
    };
    let current = query.get("hash") == Some(hash.as_str());
    let caching = if current { "public, immutable, max-age=31536000" } else { "no-cache, private" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response.headers_mut().insert(header::ETAG, etag);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}
