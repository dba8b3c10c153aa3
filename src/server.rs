//! `piecework server`: the house until a signal.
//!
//! In: options. Out: `DIR/kubeconfig`, then one `ready` line on stdout. Never: says `ready` before a client could work.

use std::io::Write;

use crate::{
    arguments::{JobOptions, ServerOptions, StoreChoice},
    data_directory,
    house::{House, Plan, node_name},
    signals,
};

pub async fn main(options: ServerOptions) -> anyhow::Result<()> {
    let mut shutdown = signals::shutdown()?;
    let state = data_directory::prepare(options.data_dir)?;
    let StoreChoice::Embedded = options.store;
    let plan = Plan {
        images: state.join("images"),
        state,
        listen: options.listen,
        agent: !options.no_agent,
        controllers: (!options.no_controllers).then(|| controller_options(&options.jobs)),
        node_name: options.node_name.unwrap_or_else(node_name),
    };
    let mut house = House::start(plan).await?;
    {
        let mut stdout = std::io::stdout().lock();
        // A closed stdout is no reason to stop serving.
        let _ = writeln!(stdout, "ready: https://{} (KUBECONFIG={})", house.address, house.kubeconfig.display());
        let _ = stdout.flush();
    }
    tokio::select! {
        biased;
        () = signals::raised(&mut shutdown) => house.stop(false).await,
        error = house.broken() => Err(error),
    }
}

pub fn controller_options(options: &JobOptions) -> piecework_controllers::Options {
    piecework_controllers::Options { job_backoff_cap: options.job_backoff_cap, ..Default::default() }
}
