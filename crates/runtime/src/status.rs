//! What runs and how it ended.
//!
//! In: records that the shim left on disk. Out: states for the node agent.
//! Never: guesses; a container whose end nobody recorded says so (`lost`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One sandbox and the containers that were started in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxStatus {
    pub id: String,
    /// None with the host's network.
    pub ip: Option<String>,
    pub created_at: Timestamp,
    /// By container id.
    pub containers: BTreeMap<String, ContainerStatus>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerStatus {
    pub id: String,
    pub name: String,
    pub attempt: u32,
    pub image: String,
    pub image_id: String,
    pub state: ContainerState,
}

/// Where a container is in its life; one that is being started is not visible yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ContainerState {
    Running { started_at: Timestamp },
    Exited(Exit),
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// 0-255; 128+n when killed by signal n.
    pub exit_code: i32,
    pub signal: Option<i32>,
    pub oom_killed: bool,
    /// The process never ran (`StartError`, 128): why.
    pub start_error: Option<String>,
    /// The shim vanished without recording an exit (`ContainerStatusUnknown`, 137).
    pub lost: bool,
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
    /// At most 4096 bytes.
    pub termination_message: String,
}

impl Exit {
    /// The process never ran.
    pub(crate) fn start_error(text: String, finished_at: Timestamp) -> Self {
        Exit {
            exit_code: START_ERROR_EXIT_CODE,
            signal: None,
            oom_killed: false,
            start_error: Some(text),
            lost: false,
            started_at: None,
            finished_at,
            termination_message: String::new(),
        }
    }

    /// Nobody recorded the end.
    pub(crate) fn lost(started_at: Option<Timestamp>, finished_at: Timestamp) -> Self {
        Exit {
            exit_code: LOST_EXIT_CODE,
            signal: None,
            oom_killed: false,
            start_error: None,
            lost: true,
            started_at,
            finished_at,
            termination_message: String::new(),
        }
    }
}

/// Exit code of a container whose process could not be started, as the kubelet reports it (`StartError`).
pub const START_ERROR_EXIT_CODE: i32 = 128;
/// Exit code of a container whose end nobody saw, as the kubelet reports it (`ContainerStatusUnknown`).
pub const LOST_EXIT_CODE: i32 = 137;
