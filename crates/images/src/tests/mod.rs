//! Tests of the store as a whole, on images made here: unpacking, import in every form, hostile archives, pull from a real registry.
#![allow(clippy::unwrap_used)]

mod builder;
mod import;
mod registry;
mod unpacking;
