//! HTTP <-> store: routes, discovery, negotiation, admission, registry, watch, authentication.
//!
//! In: HTTP requests with an identity. Out: objects, lists, tables, watch streams, Statuses. Never: starts a Pod, decides for a controller.

mod authentication;
mod authorization;
mod binding;
mod body;
mod bootstrap;
mod clock;
mod continue_token;
mod create;
mod decoded;
mod delete;
mod delete_options;
mod deletion;
mod discovery;
mod event_expiry;
mod failure;
mod get;
mod health;
mod identifiers;
mod impersonation;
mod keys;
mod list;
mod list_options;
mod log;
mod metrics;
mod namespaces;
mod negotiation;
mod node_logs;
mod openapi;
mod options;
mod patch;
mod path;
pub mod pki;
mod query;
mod render;
mod request;
mod respond;
mod reviews;
mod revisions;
mod serve;
mod server;
mod service_accounts;
mod state;
mod update;
mod verb;
mod version;
mod watch;
mod watch_events;
mod write_options;

pub use authentication::Identity;
pub use clock::{Clock, system_clock};
pub use options::Options;
pub use server::ApiServer;
pub use version::GIT_VERSION;

#[cfg(test)]
mod tests;
