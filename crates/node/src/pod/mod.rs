//! The Pod machine: what is known of one Pod on this node, what to do next, and the status that says so.
//!
//! In: the Pod, what was observed, the time. Out: actions and a `PodStatus`, as values.
//! Never: I/O, a clock, randomness, logging. Same input, same output.

pub mod condition;
pub mod container_status;
pub mod join;
pub mod observed;
pub mod outcome;
pub mod patch;
pub mod spec;
pub mod status;
pub mod step;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod laws;
