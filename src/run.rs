//! `piecework run`: a Job to its end without a server.
//!
//! In: a manifest. Out: its logs on stdout, progress on stderr, the Job's outcome as exit code (0 complete, 1 failed, 2 refused, 130 interrupted).
//! Never: leaves the ephemeral house's containers or directory behind.

use std::{net::Ipv4Addr, process::ExitCode};

use anyhow::Context;
use piecework_cli::run::{Request, run};

use crate::{
    arguments::RunOptions,
    data_directory,
    ephemeral::{self, Ephemeral},
    house::{House, Plan, node_name},
    server::controller_options,
    signals,
};

pub async fn main(options: RunOptions) -> anyhow::Result<ExitCode> {
    let mut shutdown = signals::shutdown()?;
    let interrupted = async move { signals::raised(&mut shutdown).await };
    let request = Request { file: options.file, namespace: options.namespace };
    if options.attach {
        let client = kube::Client::try_default().await.context("--attach uses the server of $KUBECONFIG")?;
        return Ok(ExitCode::from(run(client, request, interrupted).await));
    }
    let base = data_directory::prepare(options.data_dir)?;
    ephemeral::collect_abandoned(&base).await;
    let ephemeral = Ephemeral::new(&base)?;
    let plan = Plan {
        state: ephemeral.path().to_path_buf(),
        images: base.join("images"),
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        agent: true,
        controllers: Some(controller_options(&options.jobs)),
        node_name: node_name(),
    };
    let house = House::start(plan).await?;
    let code = run(house.admin(), request, interrupted).await;
    house.stop(true).await?;
    ephemeral.remove()?;
    Ok(ExitCode::from(code))
}
