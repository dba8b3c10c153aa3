//! Decisions of the controllers as values: `(snapshot, what is only in memory, now) -> Plan`.
//!
//! In: objects as the caches show them, and the time as an argument. Out: plans that somebody else applies through the API.
//! Never: a clock, randomness, I/O, logging, a `Result`, unordered iteration.

pub mod cron;
pub mod gc;
pub mod job;
pub mod label_selector;
pub mod ownership;
pub mod podgc;
pub mod ttl;
