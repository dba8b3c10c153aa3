//! Facts of this machine and the objects that tell the API about it: Node and Lease.
//!
//! In: files of the kernel, the port of the logs server. Out: a Node with status, a Lease renewed in time. Never: a Pod.

pub mod facts;
pub mod heartbeat;
pub mod lease;
pub mod node;
