//! The house rules that a compiler does not check (ARCHITECTURE.md): read from the source as text.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A file is one concept; past this many lines it has swallowed a second one.
const MAX_LINES: usize = 600;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];
/// Which of our crates a crate may depend on. The direction of the house: nothing points upwards.
const DIRECTION: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("reconcile", &["api"]),
    ("scheduler", &["api"]),
    ("store", &[]),
    ("apiserver", &["api", "store"]),
    ("client", &[]),
    ("controllers", &["client", "reconcile", "scheduler"]),
    ("images", &[]),
    ("runtime", &[]),
    ("node", &["api", "client", "images", "runtime"]),
    ("cli", &["api", "client", "images"]),
    // For tests only: it puts the whole house into one thread.
    ("sim", &["api", "apiserver", "client", "controllers", "images", "node", "reconcile", "runtime", "store"]),
];
/// Crates whose dependencies may not be able to do I/O.
const PURE: &[&str] = &["api", "reconcile", "scheduler"];
const EFFECTS: &[&str] = &["tokio", "hyper", "axum", "kube", "nix", "rusqlite", "rand", "uuid", "tracing", "reqwest", "tempfile", "libc"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Rust files that git tracks or would track, relative to the root.
fn sources() -> Vec<(PathBuf, String)> {
    let output = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success());
    let names = String::from_utf8(output.stdout).unwrap();
    let files: Vec<_> = names
        .lines()
        .map(PathBuf::from)
        .filter(|path| root().join(path).exists())
        .map(|path| (path.clone(), fs::read_to_string(root().join(&path)).unwrap()))
        .collect();
    assert!(files.len() > 50, "only {} files were found", files.len());
    files
}

fn is_generated(text: &str) -> bool {
    text.lines().take(3).any(|line| line.contains("@generated"))
}

fn check(rule: &str, broken: Vec<String>) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn files_are_one_concept() {
    let broken = sources()
        .iter()
        .filter(|(path, text)| {
            text.lines().count() > MAX_LINES && !is_generated(text) && !path.components().any(|part| part.as_os_str() == "tests")
        })
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    check(&format!("no source file has more than {MAX_LINES} lines"), broken);
}

#[test]
fn modules_open_with_what_flows_through_them() {
    let broken = sources()
        .iter()
        .filter(|(_, text)| {
            !text
                .lines()
                .find(|line| !line.trim().is_empty() && !line.starts_with("#!") && !line.starts_with("// "))
                .is_some_and(|line| line.starts_with("//!"))
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    check("every module opens with a //! header", broken);
}

#[test]
fn names_say_what_a_thing_is() {
    let broken = sources()
        .iter()
        .flat_map(|(path, _)| {
            path.components().map(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()).collect::<Vec<_>>()
        })
        .filter(|name| EMPTY_NAMES.contains(&name.as_str()))
        .collect();
    check("no file or folder has an empty name", broken);
}

#[test]
fn selects_are_biased() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split(['"', '/']).next().unwrap_or_default();
            if !code.contains("select! {") && !code.contains("select!{") {
                continue;
            }
            let here = code.split("select!").nth(1).unwrap_or_default();
            let next = lines.get(number + 1).map_or("", |line| line.trim());
            if !here.contains("biased;") && !next.starts_with("biased;") {
                broken.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    check("every select! is biased, so that a simulation replays", broken);
}

#[test]
fn tests_do_not_sleep() {
    let broken = sources()
        .iter()
        .filter(|(path, _)| {
            path.components().any(|part| part.as_os_str().to_string_lossy().contains("test")) && path != Path::new("tests/tidy.rs")
        })
        .filter(|(_, text)| text.contains("thread::sleep") || text.contains("time::sleep("))
        .map(|(path, _)| path.display().to_string())
        .collect();
    check("tests wait for events, not for time", broken);
}

/// Dependencies of a crate's Cargo.toml, without those for tests.
fn dependencies(directory: &Path) -> BTreeSet<String> {
    let manifest = fs::read_to_string(directory.join("Cargo.toml")).unwrap();
    let mut section = String::new();
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if section == "dependencies"
            && let Some((name, _)) = line.split_once(['.', '=', ' '])
        {
            found.insert(name.trim().to_owned());
        }
    }
    found
}

#[test]
fn crates_depend_in_one_direction() {
    let allowed: BTreeMap<&str, &[&str]> = DIRECTION.iter().copied().collect();
    let mut broken = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let directory = entry.unwrap().path();
        let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(allowed) = allowed.get(name.as_str()) else {
            broken.push(format!("{name} has no row in DIRECTION"));
            continue;
        };
        for dependency in dependencies(&directory) {
            if let Some(ours) = dependency.strip_prefix("piecework-")
                && !allowed.contains(&ours)
            {
                broken.push(format!("{name} -> {ours}"));
            }
            if PURE.contains(&name.as_str()) && EFFECTS.contains(&dependency.as_str()) {
                broken.push(format!("{name} is pure, but depends on {dependency}"));
            }
        }
    }
    check("crates depend only downwards, and pure crates on nothing that can do I/O", broken);
}

#[test]
fn pages_name_files_that_exist() {
    let mut broken = Vec::new();
    let mut named = 0;
    for page in ["README.md", "ARCHITECTURE.md", "docs/compat.md", "docs/limits.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let path = word.trim_end_matches('/');
            if ["crates/", "src/", "docs/", "scripts/", "examples/", "tests/", "benches/", "xtask/"]
                .iter()
                .any(|start| word.starts_with(start))
                && !path.contains(['*', '{', ' ', '<'])
            {
                named += 1;
                if !root().join(path).exists() {
                    broken.push(format!("{page} names {word}"));
                }
            }
        }
    }
    assert!(named > 10, "the pages name only {named} files: is this test looking at them?");
    check("pages name files that exist", broken);
}

#[test]
fn the_compatibility_page_is_the_table_of_refusals() {
    use piecework_api::supported::{HONOURED_JOB, HONOURED_POD, JOB, POD};
    let page = fs::read_to_string(root().join("docs/compat.md")).unwrap();
    let (jobs, pods) = page.split_once("## Fields of a Pod").unwrap();
    let mut broken = Vec::new();
    for (text, refused, honoured) in [(jobs, JOB, HONOURED_JOB), (pods, POD, HONOURED_POD)] {
        for row in refused {
            if !text
                .lines()
                .any(|line| line.starts_with(&format!("| `{}` |", row.pattern)) && line.ends_with(&format!("piecework {} |", row.say)))
            {
                broken.push(format!("no row for {}", row.pattern));
            }
        }
        broken.extend(
            honoured
                .iter()
                .filter(|field| !text.contains(&format!("`{field}`")))
                .map(|field| format!("{field} is honoured, but not named")),
        );
        let rows = text.lines().filter(|line| line.contains("| piecework ")).count();
        if rows != refused.len() {
            broken.push(format!("{rows} rows for {} refusals", refused.len()));
        }
    }
    check("docs/compat.md says what crates/api/src/supported refuses", broken);
}

/// `const NAME: type = value;` of bounds: whatever is typed as a number or a duration and has a doc comment.
fn bounds() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let Ok(rest) = path.strip_prefix("crates") else { continue };
        let name = rest.components().next().unwrap().as_os_str().to_str().unwrap().to_owned();
        if path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str().to_string_lossy().contains("test")) {
            continue;
        }
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(declaration) = line.split("const ").nth(1).filter(|_| line.starts_with("const ") || line.starts_with("pub")) else {
                continue;
            };
            let Some((constant, kind)) = declaration.split_once(": ") else { continue };
            let numeric = ["usize", "u64", "u32", "u16", "i64", "i32", "Duration", "RetryLimits"]
                .iter()
                .any(|start| kind.starts_with(&format!("{start} ")));
            if numeric && number > 0 && lines[number - 1].starts_with("///") {
                found.push((name.clone(), constant.to_owned()));
            }
        }
    }
    assert!(found.len() > 60, "only {} bounds were found", found.len());
    found
}

#[test]
fn the_limits_page_names_every_bound() {
    let page = fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let broken = bounds()
        .into_iter()
        .filter(|(krate, name)| !page.contains(&format!("| {krate} | `{name}` |")))
        .map(|(krate, name)| format!("{krate} {name}"))
        .collect();
    check("docs/limits.md names every bound (scripts/limits prints the page)", broken);
}
