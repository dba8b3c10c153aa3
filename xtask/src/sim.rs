//! `cargo xtask sim`: many seeds of the simulation, and the story of those that fail.
//!
//! In: how many seeds, from which on. Out: seeds per second, faults by kind, and for a failure its seed, law, last events and a shrunk list of faults.
//! Never: a verdict that one seed run again would not give.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use piecework_sim::{Report, faults::Kind, fixture::Fixture, search};

/// Lines of a failing run that are printed.
const LAST_EVENTS: usize = 60;
/// Failures that are told in full; of the others, seed and law.
const TOLD: usize = 5;

struct Options {
    seeds: u64,
    first: Option<u64>,
    /// Print everything that happened.
    journal: bool,
}

#[derive(Default)]
struct Totals {
    simulations: usize,
    jobs: usize,
    pods: usize,
    revisions: u64,
    faults: BTreeMap<Kind, usize>,
    failed: Vec<Report>,
}

fn options(arguments: &[&str]) -> Result<Options> {
    let mut options = Options { seeds: 1, first: None, journal: false };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64> {
            let value = arguments.next().with_context(|| format!("{argument} needs a number"))?;
            value.parse().with_context(|| format!("{argument} {value}"))
        };
        match *argument {
            "--seeds" => options.seeds = number()?,
            "--seed" => options.first = Some(number()?),
            "--journal" => options.journal = true,
            other => bail!("unknown option {other}: --seeds N [--seed S] [--journal]"),
        }
    }
    Ok(options)
}

pub fn main(arguments: &[&str]) -> Result<()> {
    let options = options(arguments)?;
    if let Ok(filter) = std::env::var("RUST_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    }
    let fixture = Arc::new(Fixture::new().map_err(anyhow::Error::msg)?);
    let first = options.first.unwrap_or(1);
    // The kept seeds go first, unless one seed is asked for.
    let kept = if options.first.is_none() { search::kept_seeds() } else { Vec::new() };
    let seeds: Vec<u64> = kept.into_iter().chain(first..first + options.seeds).collect();
    #[allow(clippy::disallowed_methods)] // Seeds per second are real time.
    let began = Instant::now();
    let mut totals = Totals::default();
    search::simulate_all(&fixture, &seeds, |report| {
        if options.journal {
            println!("seed {}\n{}", report.seed, report.journal.join("\n"));
        }
        totals.add(report);
    });
    let seconds = began.elapsed().as_secs_f64();
    tell(&totals, seconds);
    if totals.failed.is_empty() {
        return Ok(());
    }
    let mut failed = totals.failed;
    failed.sort_by_key(|report| report.seed);
    let count = failed.len();
    for (number, report) in failed.into_iter().enumerate() {
        if let Some(violation) = &report.violation {
            println!("\nseed {}: {}: {}", report.seed, violation.law, violation.details);
        }
        if number < TOLD {
            story(&fixture, report);
        }
    }
    println!("\n{count} of {} seeds break a law", seeds.len());
    drop(fixture);
    std::process::exit(1)
}

impl Totals {
    fn add(&mut self, report: Report) {
        self.simulations += 1;
        self.jobs += report.jobs;
        self.pods += report.pods;
        self.revisions += report.revisions;
        for fault in &report.faults {
            *self.faults.entry(fault.kind).or_default() += 1;
        }
        if let Some(violation) = &report.violation {
            eprintln!("seed {}: {}", report.seed, violation.law);
            self.failed.push(report);
        }
    }
}

fn tell(totals: &Totals, seconds: f64) {
    println!(
        "{} seeds in {seconds:.1} s: {:.1} seeds/s; {} Jobs, {} Pods, {} revisions; {} failed",
        totals.simulations,
        totals.simulations as f64 / seconds,
        totals.jobs,
        totals.pods,
        totals.revisions,
        totals.failed.len()
    );
    for (kind, count) in &totals.faults {
        println!("{count:>8} {kind}");
    }
}

fn story(fixture: &Arc<Fixture>, report: Report) {
    let all = report.faults.len();
    let report = search::shrink(fixture, report);
    println!("needs {} of its {all} faults:", report.faults.len());
    for fault in &report.faults {
        println!("  {fault}");
    }
    println!("the last events with these faults:");
    for line in &report.journal[report.journal.len().saturating_sub(LAST_EVENTS)..] {
        println!("  {line}");
    }
}
