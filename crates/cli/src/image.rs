//! `piecework image`: the verbs of the local image store.
//!
//! In: an open store and a command. Out: a table or the names of what was done. Never: a choice of the store's directory.

use crate::output::align::align;
use clap::Subcommand;
use piecework_images::{Image, ImageStore};
use std::{io::Write, path::PathBuf};

#[derive(Debug, Clone, Subcommand)]
pub enum ImageCommand {
    /// Import an OCI layout (directory or tar) or a `docker save` archive.
    Import {
        /// Directory or archive (plain, gzip or zstd).
        path: PathBuf,
        /// Name of the image, in place of the names inside.
        #[arg(long, alias = "tag", short = 't')]
        name: Option<String>,
    },
    /// Get images from their registries.
    Pull {
        #[arg(required = true, value_name = "REFERENCE")]
        references: Vec<String>,
    },
    /// List the images.
    #[command(alias = "list")]
    Ls {
        /// Only references.
        #[arg(short, long)]
        quiet: bool,
    },
    /// Remove images, by reference or id.
    #[command(alias = "remove")]
    Rm {
        #[arg(required = true, value_name = "REFERENCE|ID")]
        references: Vec<String>,
    },
}

/// Runs one command; errors are for the user.
pub async fn run(store: &ImageStore, command: ImageCommand) -> anyhow::Result<()> {
    run_to(store, command, &mut std::io::stdout()).await
}

async fn run_to(store: &ImageStore, command: ImageCommand, out: &mut dyn Write) -> anyhow::Result<()> {
    match command {
        ImageCommand::Import { path, name } => {
            for image in store.import(&path, name.as_deref()).await? {
                for reference in &image.references {
                    writeln!(out, "{reference} imported")?;
                }
            }
        }
        ImageCommand::Pull { references } => {
            for reference in references {
                let image = store.pull(&reference).await?;
                writeln!(out, "{reference} pulled ({})", short_id(&image))?;
            }
        }
        ImageCommand::Ls { quiet } => {
            let images = store.list().await?;
            let rows = images.iter().flat_map(|image| image.references.iter().map(move |reference| (reference, image)));
            if quiet {
                for (reference, _) in rows {
                    writeln!(out, "{reference}")?;
                }
                return Ok(());
            }
            let mut text = String::from("REFERENCE\tIMAGE ID\tSIZE\n");
            for (reference, image) in rows {
                text.push_str(&format!("{reference}\t{}\t{}\n", short_id(image), size(image.size_bytes)));
            }
            out.write_all(align(&text).as_bytes())?;
        }
        ImageCommand::Rm { references } => {
            for reference in references {
                store.remove(&reference).await?;
                writeln!(out, "{reference} removed")?;
            }
        }
    }
    Ok(())
}

fn short_id(image: &Image) -> String {
    image.id.trim_start_matches("sha256:").chars().take(12).collect()
}

/// Decimal units, as docker and ls -h --si print them.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{bytes}B") } else { format!("{value:.1}{unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1}TB")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, expected) in [(0, "0B"), (999, "999B"), (1000, "1.0kB"), (22_500_000, "22.5MB"), (5_000_000_000_000, "5.0TB")] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[tokio::test]
    async fn an_empty_store_and_what_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = ImageStore::open(directory.path()).unwrap();
        let mut out = Vec::new();
        run_to(&store, ImageCommand::Ls { quiet: false }, &mut out).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "REFERENCE  IMAGE ID  SIZE\n");
        let error = run_to(&store, ImageCommand::Rm { references: vec!["perl".into()] }, &mut Vec::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "no image perl in the local store");
    }
}
