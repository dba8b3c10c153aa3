//! Termination signals as a shutdown flag that every part of the process can watch.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// The flag becomes true at the first SIGINT or SIGTERM.
pub fn shutdown() -> std::io::Result<watch::Receiver<bool>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! { biased; _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        let _ = sender.send(true);
        // The sender lives on, so that receivers see `true` rather than a closed channel.
        std::future::pending::<()>().await;
        drop(sender);
    });
    Ok(receiver)
}

/// Resolves when the flag is true.
pub async fn raised(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|raised| *raised).await.is_err() {
        std::future::pending::<()>().await;
    }
}
