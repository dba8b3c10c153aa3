//! Directories of the agent below its data directory.
//!
//! In: names and uids from the API server. Out: paths. Never: a path outside the data directory.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

/// `<data>/logs/<ns>_<pod>_<uid>/<container>/<attempt>.log` and `<data>/volumes/<uid>/<volume>`.
#[derive(Debug, Clone)]
pub struct Paths {
    data: PathBuf,
}

impl Paths {
    pub fn new(data: PathBuf) -> Self {
        Paths { data }
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    pub fn all_volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    /// Logs of one Pod.
    pub fn pod_logs(&self, pod: &Pod) -> PathBuf {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        self.logs().join(safe(&format!("{namespace}_{name}_{uid}")))
    }

    pub fn container_logs(&self, pod: &Pod, container: &str) -> PathBuf {
        self.pod_logs(pod).join(safe(container))
    }

    pub fn log(&self, pod: &Pod, container: &str, attempt: u32) -> PathBuf {
        self.container_logs(pod, container).join(format!("{attempt}.log"))
    }

    /// Volumes of one Pod.
    pub fn volumes(&self, uid: &str) -> PathBuf {
        self.all_volumes().join(safe(uid))
    }
}

/// The API's names hold neither slashes nor a leading dot; a foreign server might send anything.
fn safe(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c == '/' || c == '\0' { '_' } else { c }).collect();
    if plain.starts_with('.') || plain.is_empty() { format!("_{plain}") } else { plain }
}

/// The uid in the name of a Pod's log directory.
pub fn uid_of_log_directory(name: &str) -> Option<&str> {
    name.rsplit('_').next().filter(|uid| !uid.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_data_directory() {
        let paths = Paths::new(PathBuf::from("/d"));
        assert_eq!(paths.volumes("../../etc"), PathBuf::from("/d/volumes/_.._.._etc"));
        assert_eq!(paths.volumes(""), PathBuf::from("/d/volumes/_"));
        assert_eq!(uid_of_log_directory("ns_pod_u-1"), Some("u-1"));
    }
}
