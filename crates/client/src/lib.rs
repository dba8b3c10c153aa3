//! One API client for every component: `kube::Client` over a socket or over the router in this process; informer, workqueue, event recorder, clock.
//!
//! In: a `kube::Client`. Out: caches that follow the API server, queues of keys, writes through the front door.
//! Never: a decision about a Job; a private wire to the store; unordered iteration (std HashMap) or `select!` without `biased`.

pub mod backoff;
pub mod clock;
pub mod informer;
pub mod owner;
pub mod patch;
pub mod recorder;
pub mod workqueue;

#[cfg(test)]
mod fake_server;
