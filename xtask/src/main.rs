//! Development commands of the project. In: a subcommand with its arguments. Out: files in the checkout.
//! Never part of the shipped binary, never run by a build.

mod prune;
mod sim;
mod wire_numbers;
mod zero_values;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

const USAGE: &str = "usage:
  cargo xtask sim --seeds N [--seed S] [--journal]
  cargo xtask schema DEFINITIONS_JSON K8S_PB_SOURCE_DIRECTORY
  DEFINITIONS_JSON          _definitions.json of the PyPI package kubernetes-validate 1.37.0 (v1.37.0-local)
  K8S_PB_SOURCE_DIRECTORY   `src` of crate k8s-pb 0.9.0, e.g. ~/.cargo/registry/src/*/k8s-pb-0.9.0/src
writes crates/api/schema/{kubernetes,descriptions}.json";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["schema", definitions, numbers] => schema(PathBuf::from(definitions), PathBuf::from(numbers)),
        ["sim", ref options @ ..] => sim::main(options),
        _ => bail!("{USAGE}"),
    }
}

fn schema(definitions: PathBuf, numbers: PathBuf) -> Result<()> {
    let text = std::fs::read_to_string(&definitions).with_context(|| format!("reading {}", definitions.display()))?;
    let document: serde_json::Value = serde_json::from_str(&text).context("parsing the definitions")?;
    let messages = wire_numbers::read(&numbers)?;
    let output = prune::run(&document["$defs"], &messages)?;
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/api/schema");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("kubernetes.json"), &output.structure)?;
    std::fs::write(directory.join("descriptions.json"), &output.descriptions)?;
    println!(
        "{} definitions, {} bytes of structure, {} bytes of descriptions",
        output.definitions,
        output.structure.len(),
        output.descriptions.len()
    );
    for field in &output.without_number {
        println!("no protobuf number: {field}");
    }
    Ok(())
}
