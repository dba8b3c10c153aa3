//! The auditors: laws that hold after every revision, and at rest.
//!
//! In: every change of the store, in order, and its state after a crash. Out: the first law that was broken. Never: a question to a component
//! (what a controller believes is no evidence); a write.

mod job;
mod object;
mod pod;
mod rest;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use piecework_store::{Change, Entry, Revision};
use serde_json::Value;

use crate::{clock::SimulatedClock, journal::Journal, random::fnv};
use job::JobRecord;
use object::{flag, owner, text};
use pod::PodRecord;

/// A law that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub law: &'static str,
    pub details: String,
}

pub(crate) fn broken<T>(law: &'static str, details: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { law, details: details.into() })
}

pub const JOBS: &str = "/batch/jobs/";
pub const PODS: &str = "/core/pods/";
/// Kinds that may lose acknowledged writes in a crash (relaxed), and that may be written at rest.
const RELAXED: [&str; 2] = ["/core/events/", "/coordination.k8s.io/leases/"];

fn relaxed(key: &str) -> bool {
    RELAXED.iter().any(|prefix| key.starts_with(prefix)) || key.contains("/events/")
}

/// Everything that the auditors know.
#[derive(Default)]
pub struct Audit {
    pub revision: Revision,
    /// The store as its changes tell it: revision and value by key.
    objects: BTreeMap<String, (Revision, Value)>,
    /// By uid; never forgotten.
    pub(crate) pods: BTreeMap<String, PodRecord>,
    pub(crate) jobs: BTreeMap<String, JobRecord>,
    /// Pods beyond parallelism that lost answers may have made.
    pub surplus: i64,
    /// Changes of Jobs and of Pods with an owner since the last look.
    pub busy: u64,
}

impl Audit {
    pub fn take(&mut self, changes: &[Change], journal: &Journal, clock: &SimulatedClock) -> Result<(), Violation> {
        for change in changes {
            if change.revision < self.revision {
                return broken("revisions rise", format!("{} after {} at {}", change.revision, self.revision, change.key));
            }
            self.revision = change.revision;
            let value = change.entry.as_ref().map(|entry| value(&entry.value));
            let before = self.objects.get(&*change.key).cloned();
            if before.as_ref().is_some_and(|(revision, _)| *revision >= change.revision) {
                return broken("resourceVersions rise", format!("{} at {}", change.key, change.revision));
            }
            journal.note(clock, || line(&change.key, change.revision, value.as_ref()));
            self.change(&change.key, before.as_ref().map(|(_, value)| value), value.as_ref())?;
            match value {
                Some(value) => self.objects.insert(change.key.to_string(), (change.revision, value)),
                None => self.objects.remove(&*change.key),
            };
        }
        Ok(())
    }

    fn change(&mut self, key: &str, before: Option<&Value>, after: Option<&Value>) -> Result<(), Violation> {
        if let (Some(before), None) = (before, after)
            && before["metadata"]["finalizers"].as_array().is_some_and(|finalizers| finalizers.len() > 1)
        {
            // The write that takes the last one deletes the object.
            return broken("finalizers hold an object", format!("{key} went with {}", before["metadata"]["finalizers"]));
        }
        if key.starts_with(PODS) {
            self.busy += u64::from(after.or(before).is_some_and(|pod| owner(pod).is_some()));
            self.pod(before, after)
        } else if key.starts_with(JOBS) {
            self.busy += 1;
            self.job(before, after)
        } else {
            Ok(())
        }
    }

    /// After a crash: what was acknowledged as durable is there, as it was, and nothing else.
    pub fn compare(&mut self, entries: &[Entry], revision: Revision) -> Result<(), Violation> {
        if revision < self.revision {
            return broken("no revision is given out twice", format!("the store came back at {revision}, {} had been seen", self.revision));
        }
        let mut found = BTreeMap::new();
        for entry in entries {
            let value = value(&entry.value);
            let same = self.objects.get(&*entry.key).is_some_and(|(known, before)| *known == entry.mod_revision && *before == value);
            if !same && !relaxed(&entry.key) {
                return broken("acknowledged writes survive a crash", format!("{} is another at {}", entry.key, entry.mod_revision));
            }
            found.insert(entry.key.to_string(), (entry.mod_revision, value));
        }
        if let Some(lost) = self.objects.keys().find(|key| !found.contains_key(*key) && !relaxed(key)) {
            return broken("acknowledged writes survive a crash", format!("{lost} is lost"));
        }
        self.objects = found;
        self.revision = revision;
        Ok(())
    }

    /// Present objects below a prefix.
    pub(crate) fn present(&self, prefix: &str) -> impl Iterator<Item = &Value> {
        let prefix = prefix.to_owned();
        self.objects.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix)).map(|(_, (_, value))| value)
    }

    pub(crate) fn present_job(&self, uid: &str) -> Option<&Value> {
        self.present(JOBS).find(|job| text(&job["metadata"]["uid"]) == uid)
    }

    pub fn counts(&self) -> (usize, usize) {
        (self.jobs.len(), self.pods.len())
    }
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or(Value::Null)
}

/// One change in the journal: what a reader wants to see, and a hash of all of it.
fn line(key: &str, revision: Revision, value: Option<&Value>) -> String {
    let Some(value) = value else { return format!("{revision} {key} deleted") };
    let mut normal = value.clone();
    if key.starts_with("/core/nodes/") {
        // The port of the logs server is the kernel's choice, the rest is this machine's.
        normal["status"] = normal["status"]["conditions"].take();
    }
    let hash = fnv(normal.to_string().as_bytes());
    let status = &value["status"];
    let short = if key.starts_with(PODS) {
        let gone = if value["metadata"]["deletionTimestamp"].is_string() { " deleting" } else { "" };
        format!("{}{gone} {}", text(&status["phase"]), value["metadata"]["finalizers"])
    } else if key.starts_with(JOBS) {
        let conditions: Vec<&str> =
            status["conditions"].as_array().into_iter().flatten().filter(|c| flag(c)).map(|c| text(&c["type"])).collect();
        format!(
            "active {} succeeded {} failed {} uncounted {} {conditions:?}",
            status["active"], status["succeeded"], status["failed"], status["uncountedTerminatedPods"]
        )
    } else if key.contains("/events/") {
        format!("{} {}", text(&value["reason"]), text(&value["message"]))
    } else {
        String::new()
    };
    format!("{revision} {key} {short} #{hash:016x}")
}
