//! The imperative half of the agent: follows Pods, carries out what `pod::step` asks for, feeds back what happened.
//!
//! In: watch events, ends of containers, timers. Out: calls of the runtime, patches, Events, files.
//! Never: a decision about a Pod; a write that `step` did not ask for.

pub mod agent;
pub mod context;
pub mod deletion;
pub mod desired;
pub mod disk;
pub mod events;
pub mod follow;
pub mod image;
pub mod paths;
pub mod sandbox;
pub mod sources;
pub mod start;
#[cfg(test)]
mod tests;
pub mod volume;
pub mod worker;
