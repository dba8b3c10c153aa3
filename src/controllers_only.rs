//! `piecework controllers`: the same controllers, pointed at any Kubernetes API server.

use std::sync::Arc;

use anyhow::Context;
use piecework_client::clock::SystemClock;

use crate::{arguments::ControllersOptions, server::controller_options, signals};

pub async fn main(options: ControllersOptions) -> anyhow::Result<()> {
    let mut shutdown = signals::shutdown()?;
    let client = client_of(&options.kubeconfig).await?;
    let run = piecework_controllers::run(client, Arc::new(SystemClock), controller_options(&options.jobs));
    tokio::select! { biased; () = signals::raised(&mut shutdown) => {}, () = run => {} }
    Ok(())
}

/// A client for the current context of a kubeconfig file.
async fn client_of(path: &std::path::Path) -> anyhow::Result<kube::Client> {
    let kubeconfig = kube::config::Kubeconfig::read_from(path).with_context(|| format!("read kubeconfig {}", path.display()))?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.context("kubeconfig")?;
    Ok(kube::Client::try_from(config)?)
}
