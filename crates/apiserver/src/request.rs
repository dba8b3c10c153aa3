//! One request from head to answer.
//!
//! In: an HTTP request whose caller was set by this crate. Out: always a response. Never: a dropped connection: a panic becomes 500, a request
//! that takes too long 504.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::body::Body;
use futures::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use piecework_api::status::Status;
use tokio::time::Instant;

use crate::{
    authentication::Caller,
    authorization, binding, create, delete, discovery,
    failure::{Failure, Outcome},
    get, health, impersonation, list, log, openapi, patch,
    path::{self, ResourcePath, Target},
    query::Query,
    respond, reviews,
    state::{Exchange, State, Stop},
    update::{self, Part},
    verb::{self, Verb},
    version, watch,
};

/// Longest time until the response of a request that isn't a watch or a followed log (spec/api.md 1).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest `Audit-ID` of a client that is echoed, in bytes.
const MAX_AUDIT_ID_BYTES: usize = 64;

pub(crate) async fn handle(state: Arc<State>, request: Request<Body>) -> Response<Body> {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let target = path::parse(parts.uri.path());
    let query = Query::parse(parts.uri.query());
    let verb = verb::of(&parts.method, &target, &query);
    let audit_id = audit_id(&state, &parts.headers);
    let mut exchange = Exchange {
        state: state.clone(),
        caller: parts.extensions.get::<Caller>().map(|caller| caller.0.clone()),
        headers: parts.headers,
        query,
        stop: parts.extensions.get::<Stop>().cloned(),
    };
    let work = AssertUnwindSafe(dispatch(&mut exchange, &target, verb, parts.uri.path(), body)).catch_unwind();
    let finished = match verb {
        // A watch sends its head at once; a log's head waits for the node agent, which has its own limit.
        Verb::Watch => Ok(work.await),
        _ => tokio::time::timeout(REQUEST_TIMEOUT, work).await,
    };
    let outcome = match finished {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            tracing::error!(path = parts.uri.path(), "a request handler panicked");
            Err(Status::internal("this request caused a panic in the server; see its log").into())
        }
        Err(_) => {
            let message = format!("request did not complete within {} s", REQUEST_TIMEOUT.as_secs());
            Err(Status::timeout(message, None).into())
        }
    };
    let mut response = outcome.unwrap_or_else(|failure| respond::failure(&failure));
    respond::decorate(response.headers_mut(), audit_id);
    if parts.method == Method::HEAD {
        respond::head_only(&mut response);
    }
    state.metrics.observe(&target, verb, response.status().as_u16(), began.elapsed());
    response
}

/// The client's `Audit-ID`, or a new one.
fn audit_id(state: &State, headers: &http::HeaderMap) -> HeaderValue {
    match headers.get("audit-id") {
        Some(sent) if !sent.is_empty() && sent.len() <= MAX_AUDIT_ID_BYTES => sent.clone(),
        _ => HeaderValue::from_str(&state.identifiers.uid()).unwrap_or(HeaderValue::from_static("-")),
    }
}

async fn dispatch(exchange: &mut Exchange, target: &Target, verb: Verb, path: &str, body: Body) -> Outcome<Response<Body>> {
    exchange.caller = impersonation::apply(exchange.caller.take(), &exchange.headers)?;
    let exchange = &*exchange;
    authorization::authorize(exchange.caller.as_ref(), target, verb, path)?;
    match target {
        Target::Resource(resource) => return resource_request(exchange, resource, verb, body).await,
        Target::Virtual { resource, namespace } => {
            if verb != Verb::Create {
                return Err(method_not_allowed(verb, resource.plural));
            }
            return Ok(reviews::create(exchange, resource, namespace.as_deref(), body).await?.into_response());
        }
        Target::Unknown => return Err(Failure::PageNotFound),
        _ if verb != Verb::Get => return Err(method_not_allowed(verb, path)),
        _ => {}
    }
    let headers = &exchange.headers;
    match target {
        Target::Version => Ok(respond::json(StatusCode::OK, &version::document())),
        Target::Health { endpoint, check } => {
            health::answer(endpoint, check.as_deref(), &exchange.query, exchange.state.store.as_ref()).await
        }
        Target::Metrics => {
            let revision = exchange.state.store.revision().await.ok();
            let mut text = exchange.state.metrics.text(revision);
            if let Some(more) = exchange.state.more_metrics.get() {
                text.push_str(&more());
            }
            Ok(respond::with_type(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text.into()))
        }
        Target::CoreVersions => exchange.state.documents.core(headers),
        Target::Groups => exchange.state.documents.groups(headers),
        Target::Group(group) => discovery::group(group),
        Target::Resources { group, version } => discovery::resources(group, version),
        Target::OpenApiV2 => Ok(openapi::v2(headers)),
        Target::OpenApiV3Index => Ok(openapi::v3_index(headers)),
        Target::OpenApiV3(document) => openapi::v3(document, headers, &exchange.query),
        Target::Resource(_) | Target::Virtual { .. } | Target::Unknown => Err(Failure::PageNotFound),
    }
}

fn method_not_allowed(verb: Verb, what: &str) -> Failure {
    Status::failure(405, "MethodNotAllowed", format!("{} is not supported on {what:?}", verb.name())).into()
}

async fn resource_request(exchange: &Exchange, path: &ResourcePath, verb: Verb, body: Body) -> Outcome<Response<Body>> {
    let kind = path.kind;
    let not_allowed = || Err(Status::method_not_allowed(verb.name(), kind).into());
    let Some(name) = path.name.as_deref() else {
        let answer = match verb {
            Verb::Watch => return watch::watch(exchange, path).await,
            Verb::List => list::list(exchange, path).await?,
            Verb::Create => create::create(exchange, kind, path.namespace.as_deref(), body).await?,
            Verb::DeleteCollection => delete::delete_collection(exchange, path, body).await?,
            _ => return not_allowed(),
        };
        return Ok(answer.into_response());
    };
    let answer = match path.subresource.as_deref() {
        Some("log") if verb == Verb::Get => {
            return log::log(exchange, kind, path.namespace.as_deref().unwrap_or_default(), name).await;
        }
        Some("binding") if verb == Verb::Create => {
            binding::bind(exchange, path.namespace.as_deref().unwrap_or_default(), Some(name), body).await?
        }
        subresource => {
            let Some(part) = Part::of(subresource) else { return not_allowed() };
            match verb {
                Verb::Get if part != Part::Finalize => get::get(exchange, path, name).await?,
                Verb::Update => update::put(exchange, path, name, part, body).await?,
                Verb::Patch if part != Part::Finalize => patch::patch(exchange, path, name, part, body).await?,
                Verb::Delete if part == Part::Main => delete::delete(exchange, path, name, body).await?,
                _ => return not_allowed(),
            }
        }
    };
    Ok(answer.into_response())
}
