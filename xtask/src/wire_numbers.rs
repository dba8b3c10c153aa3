//! Protobuf field numbers from the source of crate k8s-pb. In: its `src` directory. Out: messages by their lower-cased API definition name, each with
//! its fields (name, number, what the value is). Reads only the `#[prost(…)]` attributes and the field lines below them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// One field of a message.
#[derive(Debug, Clone)]
pub struct WireField {
    /// Lower-cased letters and digits of the name: the form in which JSON names are compared.
    pub plain_name: String,
    pub number: u32,
    /// The message that the field (or its elements, or its map values) consists of.
    pub message: Option<String>,
}

pub type Messages = BTreeMap<String, Vec<WireField>>;

/// Only lower-cased letters and digits: `pod_i_p` and `podIP` compare equal.
pub fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

pub fn read(source: &Path) -> Result<Messages> {
    let mut messages = Messages::new();
    walk(source, &mut Vec::new(), &mut messages)?;
    if messages.is_empty() {
        bail!("no messages below {}", source.display());
    }
    Ok(messages)
}

fn walk(directory: &Path, module: &mut Vec<String>, messages: &mut Messages) -> Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))?;
    let mut paths = entries.map(|entry| entry.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() {
            module.push(name);
            walk(&path, module, messages)?;
            module.pop();
        } else if name == "mod.rs" {
            let text = std::fs::read_to_string(&path)?;
            parse(&text, module, messages).with_context(|| format!("in {}", path.display()))?;
        }
    }
    Ok(())
}

fn parse(text: &str, module: &[String], messages: &mut Messages) -> Result<()> {
    let mut current: Option<String> = None;
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("pub struct ") {
            let name = definition_name(module, rest.trim_end_matches([' ', '{', '}']));
            messages.entry(name.clone()).or_default();
            current = Some(name);
        } else if let Some(start) = line.strip_prefix("#[prost(") {
            let mut attribute = start.to_owned();
            while !attribute.ends_with(")]") {
                attribute.push_str(lines.next().context("an attribute that does not end")?);
            }
            let mut field = lines.next().context("an attribute without a field")?.to_owned();
            while !field.ends_with(',') || field.matches('<').count() != field.matches('>').count() {
                field.push_str(lines.next().context("a field that does not end")?);
            }
            let message = current.as_ref().context("a field outside of a struct")?;
            let parsed = wire_field(&attribute, &field, module)?;
            messages.entry(message.clone()).or_default().push(parsed);
        }
    }
    Ok(())
}

fn wire_field(attribute: &str, field: &str, module: &[String]) -> Result<WireField> {
    let number = attribute.split("tag = \"").nth(1).and_then(|t| t.split('"').next()).context("no tag")?;
    let (name, value_type) = field.trim_start_matches("pub ").split_once(':').context("no type")?;
    let message = attribute.contains("message").then(|| {
        let innermost = value_type.split(['<', '>', ',', ' ']).rfind(|part| !part.is_empty()).unwrap_or_default();
        resolve(module, innermost)
    });
    Ok(WireField { plain_name: plain(name.trim_start_matches("r#")), number: number.parse()?, message })
}

/// A Rust path relative to `module` as a definition name.
fn resolve(module: &[String], path: &str) -> String {
    let mut base = module.to_vec();
    let mut segments = path.split("::").peekable();
    while segments.next_if_eq(&"super").is_some() {
        base.pop();
    }
    let rest: Vec<&str> = segments.collect();
    let (name, modules) = rest.split_last().unwrap_or((&"", &[]));
    base.extend(modules.iter().map(|s| (*s).to_owned()));
    definition_name(&base, name)
}

/// Lower-cased, because the Rust source spells `HTTPGetAction` as `HttpGetAction`.
fn definition_name(module: &[String], name: &str) -> String {
    format!("io.k8s.{}.{name}", module.join(".")).to_ascii_lowercase()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
/// A comment with #[prost] in it.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct HttpProbe {
    #[prost(string, optional, tag = "3")]
    pub pod_i_p: ::core::option::Option<::prost::alloc::string::String>,
    #[prost(message, optional, tag = "2")]
    pub metadata:
        ::core::option::Option<super::super::super::apimachinery::pkg::apis::meta::v1::ObjectMeta>,
    #[prost(btree_map = "string, message", tag = "11")]
    pub limits: ::prost::alloc::collections::BTreeMap<
        ::prost::alloc::string::String,
        Inner,
    >,
    #[prost(string, optional, tag = "4")]
    pub r#type: ::core::option::Option<::prost::alloc::string::String>,
}
"#;

    #[test]
    fn attributes_and_paths_are_read() {
        let mut messages = Messages::new();
        parse(SOURCE, &["api".into(), "core".into(), "v1".into()], &mut messages).unwrap();
        let fields: Vec<(String, u32, Option<String>)> =
            messages["io.k8s.api.core.v1.httpprobe"].iter().map(|f| (f.plain_name.clone(), f.number, f.message.clone())).collect();
        assert_eq!(
            fields,
            [
                ("podip".into(), 3, None),
                ("metadata".into(), 2, Some("io.k8s.apimachinery.pkg.apis.meta.v1.objectmeta".into())),
                ("limits".into(), 11, Some("io.k8s.api.core.v1.inner".into())),
                ("type".into(), 4, None),
            ]
        );
        assert!(parse("#[prost(string, tag = \"1\")]\npub a: X,", &[], &mut Messages::new()).is_err());
    }
}
