//! `/healthz`, `/livez`, `/readyz` (spec/api.md 8).
//!
//! In: the store. Out: `ok` or what fails. Never: a secret: these paths are open to anyone who reaches the port.

use axum::body::Body;
use http::{Response, StatusCode};
use piecework_store::Store;

use crate::{
    failure::{Failure, Outcome},
    query::Query,
    respond,
};

/// Names of the checks, in the order they are printed.
const CHECKS: &[&str] = &["ping", "store"];

async fn passes(check: &str, store: &dyn Store) -> bool {
    match check {
        "store" => store.revision().await.is_ok(),
        _ => true,
    }
}

pub(crate) async fn answer(endpoint: &str, only: Option<&str>, query: &Query, store: &dyn Store) -> Outcome<Response<Body>> {
    let chosen: Vec<&str> = match only {
        Some(name) => vec![*CHECKS.iter().find(|check| **check == name).ok_or(Failure::PageNotFound)?],
        None => CHECKS.iter().copied().filter(|check| !query.all("exclude").any(|excluded| excluded == *check)).collect(),
    };
    let mut lines = String::new();
    let mut healthy = true;
    for check in chosen {
        if passes(check, store).await {
            lines.push_str(&format!("[+]{check} ok\n"));
        } else {
            healthy = false;
            lines.push_str(&format!("[-]{check} failed: reason withheld\n"));
        }
    }
    if !healthy {
        return Ok(respond::text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{lines}{endpoint} check failed\n")));
    }
    let verbose = query.get("verbose").is_some();
    let body = if verbose { format!("{lines}{endpoint} check passed\n") } else { "ok".to_owned() };
    Ok(respond::text(StatusCode::OK, &body))
}
