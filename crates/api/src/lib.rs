//! The objects of the Kubernetes API as values: kinds, schema, decoding, defaults, validation, patches, selectors, tables.
//!
//! In: bytes or `serde_json::Value` objects, and the current time as an argument. Out: values, warnings, `Status` errors.
//! Never: I/O, a clock, randomness, logging, a network or file-system type. An object is a `serde_json::Value` whose shape was
//! checked against the schema when it was decoded; typed views (`k8s_openapi`) are deserialised from it where rules need them.

pub mod backoff_curve;
pub mod cron;
pub mod decode;
pub mod defaults;
pub mod duration;
pub mod kinds;
pub mod meta;
pub mod names;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod schema;
pub mod selector;
pub mod status;
pub mod strategy;
pub mod supported;
pub mod table;
pub mod validation;
