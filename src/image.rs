//! `piecework image`: the verbs of the local image store, on a data directory (a running server sees the change at once).

use piecework_images::ImageStore;

use crate::{arguments::ImageOptions, data_directory};

pub async fn main(options: ImageOptions) -> anyhow::Result<()> {
    let directory = data_directory::prepare(options.data_dir)?;
    let store = ImageStore::open(&directory.join("images"))?;
    piecework_cli::image::run(&store, options.command).await
}
