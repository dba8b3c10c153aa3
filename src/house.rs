//! The whole house in this process: store, API server, controllers, scheduler and node agent, put together.
//!
//! In: where state lives and which parts are wanted. Out: a running house with its address and an administrator's client.
//! Never: a wire between parts other than the Kubernetes API. Every client here is a `kube::Client` over the router, with an identity of its own.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use piecework_apiserver::{ApiServer, Identity, pki::Pki};
use piecework_client::clock::{Clock, SystemClock};
use piecework_images::ImageStore;
use piecework_runtime::{
    Runtime,
    linux::{LinuxOptions, LinuxRuntime},
};
use piecework_store::{
    Store,
    embedded::{EmbeddedOptions, EmbeddedStore},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::data_directory;

/// What to put together.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Objects, certificates, Pod state. Exists and is private (see `data_directory`).
    pub state: PathBuf,
    /// The image store.
    pub images: PathBuf,
    pub listen: SocketAddr,
    pub agent: bool,
    pub controllers: Option<piecework_controllers::Options>,
    pub node_name: String,
}

/// A house that serves. Dropping it stops nothing: call `stop`.
pub struct House {
    pub address: SocketAddr,
    pub kubeconfig: PathBuf,
    apiserver: ApiServer,
    runtime: Option<Arc<LinuxRuntime>>,
    stop_agent: watch::Sender<bool>,
    stop_api: watch::Sender<bool>,
    agent: Option<JoinHandle<Result<(), String>>>,
    controllers: Option<JoinHandle<()>>,
    api: JoinHandle<std::io::Result<()>>,
}

impl House {
    pub async fn start(plan: Plan) -> anyhow::Result<Self> {
        if plan.agent {
            piecework_runtime::check_privileges().map_err(|error| anyhow::anyhow!("{error} (or start with --no-agent)"))?;
        }
        let store: Arc<dyn Store> = EmbeddedStore::open(&plan.state.join("store"), EmbeddedOptions::default())?;
        let listener = bind(plan.listen).await?;
        let address = listener.local_addr()?;
        let pki = Pki::open(&plan.state.join("pki")).map_err(anyhow::Error::msg).context("certificates")?;
        let kubelet_client = pki.client_config("system:piecework:apiserver", &["system:masters"]).map_err(anyhow::Error::msg)?;
        let apiserver = ApiServer::new(piecework_apiserver::Options { store, advertise: address.to_string(), kubelet_client })
            .await
            .map_err(anyhow::Error::msg)?;
        apiserver.publish_root_ca(&pki.ca_pem).await.map_err(anyhow::Error::msg)?;
        let tls = pki.server_config(&[address.ip().to_string(), plan.node_name.clone()]).map_err(anyhow::Error::msg)?;
        let kubeconfig = plan.state.join("kubeconfig");
        let admin = pki.kubeconfig(&address.to_string(), "kubernetes-admin", &["system:masters"]).map_err(anyhow::Error::msg)?;
        data_directory::write_private(&kubeconfig, &admin).with_context(|| format!("write {}", kubeconfig.display()))?;

        let (stop_api, api_stopped) = watch::channel(false);
        let (stop_agent, agent_stopped) = watch::channel(false);
        let api = {
            let apiserver = apiserver.clone();
            tokio::spawn(async move { apiserver.serve(listener, tls, api_stopped).await })
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let controllers = plan.controllers.map(|options| {
            let metrics = options.metrics.clone();
            apiserver.show_metrics(move || metrics.text());
            let client = client(&apiserver, "system:piecework:controllers");
            tokio::spawn(piecework_controllers::run(client, clock.clone(), options))
        });
        let mut house = Self { address, kubeconfig, apiserver, runtime: None, stop_agent, stop_api, agent: None, controllers, api };
        if plan.agent {
            // Not the path of this program: that may be replaced on disk while the server runs.
            let shim = PathBuf::from("/proc/self/exe");
            let runtime = LinuxRuntime::open(LinuxOptions { root: plan.state.join("runtime"), shim, shim_args: vec!["shim".into()] })
                .map_err(|error| anyhow::anyhow!("{error}"))?;
            let images = ImageStore::open(&plan.images)?;
            let tls = pki.server_config(&[address.ip().to_string(), plan.node_name.clone()]).map_err(anyhow::Error::msg)?;
            let options = piecework_node::Options { node_name: plan.node_name, data_dir: plan.state.join("node"), tls };
            let client = client(&house.apiserver, "system:piecework:node");
            let shared: Arc<dyn Runtime> = runtime.clone();
            house.agent = Some(tokio::spawn(piecework_node::run(options, client, shared, images, clock, agent_stopped)));
            house.runtime = Some(runtime);
        }
        Ok(house)
    }

    /// A client with every right, over the router in this process.
    pub fn admin(&self) -> kube::Client {
        client(&self.apiserver, "kubernetes-admin")
    }

    /// Resolves only when a part has ended by itself, with the reason: a house without one of its parts must not go on in silence.
    pub async fn broken(&mut self) -> anyhow::Error {
        let agent = async {
            match self.agent.as_mut() {
                Some(task) => format!("the node agent ended: {:?}", task.await),
                None => std::future::pending().await,
            }
        };
        let controllers = async {
            match self.controllers.as_mut() {
                Some(task) => format!("the controllers ended: {:?}", task.await),
                None => std::future::pending().await,
            }
        };
        let reason = tokio::select! {
            biased;
            reason = agent => reason,
            reason = controllers => reason,
            result = &mut self.api => format!("the API server ended: {result:?}"),
        };
        anyhow::anyhow!(reason)
    }

    /// Stops serving. Containers go on running, and the next start finds them again; with `drain` they are ended and everything of
    /// theirs is removed.
    pub async fn stop(mut self, drain: bool) -> anyhow::Result<()> {
        if let Some(controllers) = self.controllers.take() {
            controllers.abort();
        }
        let _ = self.stop_agent.send(true);
        if let Some(agent) = self.agent.take() {
            agent.await.context("node agent")?.map_err(anyhow::Error::msg)?;
        }
        if let Some(runtime) = self.runtime.take() {
            if drain {
                piecework_node::drain(runtime.as_ref()).await.map_err(|error| anyhow::anyhow!("{error}"))?;
            }
            runtime.close_empty().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        }
        let _ = self.stop_api.send(true);
        self.api.await.context("API server")??;
        Ok(())
    }
}

fn client(apiserver: &ApiServer, user: &str) -> kube::Client {
    let identity = Identity { user: user.into(), groups: vec!["system:masters".into(), "system:authenticated".into()] };
    kube::Client::new(apiserver.in_process(identity), "default")
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("{address} is in use: choose another with --listen (port 0 picks a free one)")
        }
        Err(error) => bail!("cannot listen on {address}: {error}: choose another address with --listen"),
    }
}

/// The machine's name as a Node name: lower case, and only what a DNS subdomain may hold.
pub fn node_name() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let name: String =
        host.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' }).collect();
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() { "localhost".into() } else { name.into() }
}
