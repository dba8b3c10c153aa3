//! A bare API server on loopback with a temporary data directory, for trying clients by hand:
//! `cargo run -p piecework-apiserver --example serve -- 127.0.0.1:0`. Prints the path of an administrator's kubeconfig, then serves until
//! its standard input ends.

use std::{error::Error, sync::Arc};

use piecework_apiserver::{ApiServer, Options, pki::Pki};
use piecework_store::{EmbeddedOptions, EmbeddedStore, Store};
use tokio::{io::AsyncReadExt, net::TcpListener, sync::watch};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let directory = std::env::temp_dir().join(format!("piecework-serve-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let pki = Pki::open(&directory)?;
    let listener = TcpListener::bind(&address).await?;
    let advertise = listener.local_addr()?.to_string();
    let store: Arc<dyn Store> = EmbeddedStore::open(&directory.join("store"), EmbeddedOptions::default())?;
    let kubelet_client = pki.client_config("system:piecework:apiserver", &["system:masters"])?;
    let server = ApiServer::new(Options { store, advertise: advertise.clone(), kubelet_client }).await?;
    server.publish_root_ca(&pki.ca_pem).await?;
    let kubeconfig = directory.join("kubeconfig");
    std::fs::write(&kubeconfig, pki.kubeconfig(&advertise, "system:admin", &["system:masters"])?)?;
    println!("{}", kubeconfig.display());
    let (stop, shutdown) = watch::channel(false);
    let serving =
        tokio::spawn(async move { server.serve(listener, pki.server_config(&[])?, shutdown).await.map_err(|error| error.to_string()) });
    let mut input = Vec::new();
    tokio::io::stdin().read_to_end(&mut input).await?;
    stop.send(true)?;
    serving.await??;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}
