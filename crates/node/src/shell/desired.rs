//! The newest version of a Pod: from the watch, or from the answer to this agent's own write, whichever is newer.
//!
//! In: versions in any order. Out: the newest. Never: brings back a Pod that the watch said is gone.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

/// What the watch last said, and the last answer to a write.
#[derive(Debug, Default)]
pub struct Desired {
    watched: Option<Arc<Pod>>,
    answered: Option<Arc<Pod>>,
}

impl Desired {
    pub fn watched(&mut self, pod: Option<Arc<Pod>>) {
        self.watched = pod;
    }

    pub fn answered(&mut self, pod: Pod) {
        self.answered = Some(Arc::new(pod));
    }

    /// None: the Pod is gone.
    pub fn newest(&self) -> Option<Arc<Pod>> {
        let watched = self.watched.as_ref()?;
        match &self.answered {
            Some(answered) if version(answered) > version(watched) => Some(Arc::clone(answered)),
            _ => Some(Arc::clone(watched)),
        }
    }
}

/// Comparable since 1.35 (resource versions are decimal numbers); one that is not sorts first, so the watch wins.
fn version(pod: &Pod) -> u64 {
    pod.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pod(version: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.resource_version = Some(version.to_owned());
        pod
    }

    #[test]
    fn the_newest_version_counts_until_the_pod_is_gone() {
        // watched, answered, newest
        let cases = [("9", "10", "10"), ("10", "9", "10"), ("5", "5", "5"), ("x", "y", "x")];
        for (watched, answered, newest) in cases {
            let mut desired = Desired::default();
            desired.watched(Some(Arc::new(pod(watched))));
            desired.answered(pod(answered));
            assert_eq!(desired.newest().unwrap().metadata.resource_version.as_deref(), Some(newest));
            desired.watched(None);
            assert!(desired.newest().is_none());
        }
    }
}
