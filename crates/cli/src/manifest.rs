//! Manifests: YAML (several documents, YAML 1.1 booleans), JSON, lists -> objects.
//!
//! In: files, directories, standard input. Out: objects with apiVersion, kind and a name. Never: a request; the meaning of fields.

use crate::{failure::Failure, limits::MAX_MANIFEST_BYTES};
use serde_json::Value;
use std::{io::Read, path::Path};

/// The ends of file names that a directory is searched for.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// All objects of the named files, directories or `-`, in order.
pub fn read_all(names: &[String]) -> Result<Vec<Value>, Failure> {
    let mut objects = Vec::new();
    for name in names {
        for (shown, text) in texts(name)? {
            objects.extend(parse(&text).map_err(|message| Failure::usage(format!("{shown}: {message}")))?);
        }
    }
    if objects.is_empty() {
        return Err(Failure::usage("no objects in the manifest"));
    }
    Ok(objects)
}

fn texts(name: &str) -> Result<Vec<(String, String)>, Failure> {
    if name == "-" {
        return Ok(vec![("standard input".into(), read("standard input", std::io::stdin().lock())?)]);
    }
    if name.starts_with("http://") || name.starts_with("https://") {
        return Err(Failure::usage(format!("{name}: manifests from the web are not read; download it first and name the file")));
    }
    let path = Path::new(name);
    if !path.is_dir() {
        let file = std::fs::File::open(path).map_err(|e| Failure::usage(format!("the manifest {name} cannot be read: {e}")))?;
        return Ok(vec![(name.into(), read(name, file)?)]);
    }
    let entries = std::fs::read_dir(path).map_err(|e| Failure::usage(format!("the directory {name} cannot be read: {e}")))?;
    let mut files: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && path.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e == *known)))
        .collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        found.extend(texts(&file.to_string_lossy())?);
    }
    Ok(found)
}

fn read(name: &str, source: impl Read) -> Result<String, Failure> {
    let mut text = String::new();
    let count = source
        .take(MAX_MANIFEST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|e| Failure::usage(format!("the manifest {name} cannot be read: {e}")))?;
    if count as u64 > MAX_MANIFEST_BYTES {
        return Err(Failure::usage(format!("the manifest {name} has more than {MAX_MANIFEST_BYTES} bytes")));
    }
    Ok(text)
}

/// The objects of one text; lists are taken apart. The error is a message without the file's name.
pub fn parse(text: &str) -> Result<Vec<Value>, String> {
    let documents = if text.trim_start().starts_with(['{', '[']) { parse_json(text)? } else { parse_yaml(text)? };
    let mut objects = Vec::new();
    for document in documents {
        flatten(document, &mut objects)?;
    }
    Ok(objects)
}

fn parse_json(text: &str) -> Result<Vec<Value>, String> {
    let json: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter::<Value>().collect();
    // YAML's flow style starts with a brace too.
    json.or_else(|error| parse_yaml(text).map_err(|_| format!("not valid JSON: {error}")))
}

fn parse_yaml(text: &str) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    for document in split_documents(text) {
        let meaningful = document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        if !meaningful {
            continue;
        }
        let value: Value = serde_saphyr::from_str(&document).map_err(|e| {
            let text = e.to_string();
            let first = text.lines().next().unwrap_or_default();
            format!("not valid YAML: {}", first.strip_prefix("error: ").unwrap_or(first))
        })?;
        documents.push(value);
    }
    Ok(documents)
}

/// Splits at lines that are `---`; inside block scalars such a line would be indented. Each document keeps the number of
/// lines before it as empty lines, so that errors name the line of the file.
fn split_documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    let mut started = false;
    for (number, line) in text.lines().enumerate() {
        let separator = line == "---" || line.starts_with("--- ") || line.starts_with("---\t");
        let directive = !started && line.starts_with('%');
        let kept = match (separator, directive || line == "...") {
            (true, _) => {
                let rest = line[3..].trim_start();
                if rest.starts_with('#') { "" } else { rest }
            }
            (false, true) => "",
            (false, false) => line,
        };
        if separator || line == "..." {
            documents.push("\n".repeat(number));
            started = false;
        }
        started |= !kept.trim().is_empty();
        if let Some(document) = documents.last_mut() {
            document.push_str(kept);
            document.push('\n');
        }
    }
    documents
}

fn flatten(value: Value, objects: &mut Vec<Value>) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    if !value.is_object() {
        return Err("a manifest must be an object with apiVersion, kind and metadata".into());
    }
    let text = |field: &str| value[field].as_str().unwrap_or_default().to_string();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if kind.is_empty() {
        return Err("the object has no kind".into());
    }
    if api_version.is_empty() {
        return Err(format!("the {kind} has no apiVersion"));
    }
    if kind.ends_with("List") && value["items"].is_array() {
        let Value::Object(mut list) = value else { return Ok(()) };
        if let Some(Value::Array(items)) = list.remove("items") {
            for item in items {
                flatten(item, objects)?;
            }
        }
        return Ok(());
    }
    let named = |field: &str| value["metadata"][field].as_str().is_some_and(|name| !name.is_empty());
    if !named("name") && !named("generateName") {
        return Err(format!("the {kind} has no metadata.name"));
    }
    objects.push(value);
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let job = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: a\n";
        for (name, text, expected) in [
            ("one", job.to_string(), vec!["a"]),
            (
                "several",
                format!("---\n{job}---\n# nothing\n---\n{}--- # c\n{job}...\n", job.replace("name: a", "name: b")),
                vec!["a", "b", "a"],
            ),
            (
                "json",
                r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}} {"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}}"#
                    .into(),
                vec!["a", "b"],
            ),
            ("flow yaml", "{apiVersion: v1, kind: Pod, metadata: {name: a}}".into(), vec!["a"]),
            (
                "list",
                r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}]}"#.into(),
                vec!["x"],
            ),
            ("generateName", job.replace("name: a", "generateName: a-"), vec!["a-"]),
            ("separator in a block scalar", format!("{job}x: |\n  one\n  ---\n  two\n"), vec!["a"]),
            ("comments only", "# nothing\n---\n\n".into(), vec![]),
            ("windows lines", job.replace('\n', "\r\n"), vec!["a"]),
            ("directive", format!("%YAML 1.1\n---\n{job}"), vec!["a"]),
        ] {
            let names: Vec<String> = parse(&text)
                .unwrap_or_else(|e| panic!("{name}: {e}"))
                .iter()
                .map(|o| o["metadata"]["name"].as_str().or(o["metadata"]["generateName"].as_str()).unwrap().to_string())
                .collect();
            assert_eq!(names, expected, "{name}");
        }
    }

    #[test]
    fn scalars_follow_yaml_1_1_as_kubectl_reads_it() {
        let text = "apiVersion: v1\nkind: X\nmetadata: {name: a}\nd: {a: yes, b: \"yes\", c: 0x10, d: 1.5, e: ~, f: 'null', g: on, h: 2024-01-01, i: 1e3, j: null}\n";
        let object = &parse(text).unwrap()[0]["d"];
        assert_eq!(
            *object,
            serde_json::json!({"a": true, "b": "yes", "c": 16, "d": 1.5, "e": null, "f": "null", "g": true, "h": "2024-01-01", "i": 1000.0, "j": null})
        );
    }

    #[test]
    fn the_pi_job() {
        let text = include_str!("../../../examples/pi.yaml");
        let job = &parse(text).unwrap()[0];
        assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["command"][3], "print bpi(2000)");
        assert_eq!(job["spec"]["backoffLimit"], 4);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("kind: Job\n", "has no apiVersion"),
            ("apiVersion: batch/v1\n", "has no kind"),
            ("apiVersion: batch/v1\nkind: Job\n", "no metadata.name"),
            ("- a\n- b\n", "must be an object"),
            ("hello\n", "must be an object"),
            ("a: [\n", "not valid YAML"),
            ("a: 1\na: 2\n", "not valid YAML"),
            ("{\"a\": 1", "not valid JSON"),
            ("apiVersion: v1\nkind: X\nmetadata: {name: a}\n---\na: b: c\n", "line 5"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn files_directories_and_their_errors() {
        let directory = tempfile::tempdir().unwrap();
        let object = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
        for (file, name) in [("b.yaml", "b"), ("a.yml", "a"), ("ignored.txt", "x")] {
            std::fs::write(directory.path().join(file), object(name)).unwrap();
        }
        let names: Vec<_> =
            read_all(&[directory.path().display().to_string()]).unwrap().iter().map(|o| o["metadata"]["name"].clone()).collect();
        assert_eq!(names, ["a", "b"]);
        let missing = directory.path().join("none.yaml").display().to_string();
        assert!(read_all(&[missing]).unwrap_err().to_string().contains("none.yaml cannot be read"));
        assert!(read_all(&["https://x.example/a".into()]).unwrap_err().to_string().contains("download it first"));
    }
}
