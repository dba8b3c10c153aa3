//! All shells against a real API server over a real store in this process; a scripted node agent stands in for containers. No sockets.

#![allow(clippy::unwrap_used)]

mod accounts;
mod cluster;
mod collection;
mod cronjobs;
mod jobs;
mod metrics;
mod scheduling;
