//! One verb per file.
//!
//! In: a context and the verb's options. Out: printed text or a failure. Never: process exit, signals.

pub mod apply;
pub mod delete;
pub mod get;
pub mod logs;
pub mod select;
pub mod wait;
