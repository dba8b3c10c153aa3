//! The everyday verbs, spelled as kubectl spells them, against `$KUBECONFIG` (or the default server's kubeconfig on this machine).

use std::process::ExitCode;

use anyhow::Context;

use crate::data_directory;

pub async fn main(verb: piecework_cli::Verb) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::from(piecework_cli::run_verb(client().await?, verb).await))
}

/// `$KUBECONFIG` or `~/.kube/config` as every client does; failing that the server of the default data directory.
async fn client() -> anyhow::Result<kube::Client> {
    let advice = "no server to talk to: start `piecework server` and set KUBECONFIG=DIR/kubeconfig";
    let default = data_directory::default_path()?.join("kubeconfig");
    let named = std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
    if !named && default.exists() {
        let kubeconfig = kube::config::Kubeconfig::read_from(&default).context(advice)?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.context(advice)?;
        return Ok(kube::Client::try_from(config)?);
    }
    // The cause chain of the default configuration repeats itself: its innermost cause says what is wrong.
    kube::Client::try_default().await.map_err(|error| {
        let error = anyhow::Error::from(error);
        anyhow::anyhow!("{advice}: {}", error.root_cause())
    })
}
