//! `TYPE[,TYPE] [NAME...]` and `TYPE/NAME...` -> what is meant.
//!
//! In: the words of the command line. Out: types with names. Never: a request.

use crate::failure::Failure;

/// A type and the names wanted of it; no names means all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub kind: String,
    pub names: Vec<String>,
}

/// Parses the positional words of `get`, `describe`, `delete` and `wait`.
pub fn parse(words: &[String]) -> Result<Vec<Target>, Failure> {
    let Some(first) = words.first() else { return Err(Failure::usage("name a resource type, e.g. jobs or pods")) };
    if words.iter().any(|word| word.contains('/')) {
        let mut targets: Vec<Target> = Vec::new();
        for word in words {
            let Some((kind, name)) = word.split_once('/') else {
                return Err(Failure::usage(format!("{word:?}: write TYPE/NAME everywhere, or one TYPE and then names")));
            };
            if kind.is_empty() || name.is_empty() || name.contains('/') {
                return Err(Failure::usage(format!("{word:?} is not TYPE/NAME")));
            }
            match targets.iter_mut().find(|target| target.kind == kind) {
                Some(target) => target.names.push(name.to_string()),
                None => targets.push(Target { kind: kind.to_string(), names: vec![name.to_string()] }),
            }
        }
        return Ok(targets);
    }
    let kinds: Vec<&str> = first.split(',').collect();
    if kinds.iter().any(|kind| kind.is_empty()) {
        return Err(Failure::usage(format!("{first:?} has an empty resource type")));
    }
    Ok(kinds.into_iter().map(|kind| Target { kind: kind.to_string(), names: words[1..].to_vec() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let cases: [(&[&str], Option<&str>); 10] = [
            (&["jobs"], Some("jobs:")),
            (&["jobs,pods"], Some("jobs: pods:")),
            (&["job", "a", "b"], Some("job:a,b")),
            (&["job/a"], Some("job:a")),
            (&["job/a", "pod/x", "job/b"], Some("job:a,b pod:x")),
            (&["job/a", "pods"], None),
            (&["job/"], None),
            (&["job/a/b"], None),
            (&["jobs,"], None),
            (&[], None),
        ];
        for (words, expected) in cases {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            let found = parse(&words)
                .ok()
                .map(|targets| targets.iter().map(|t| format!("{}:{}", t.kind, t.names.join(","))).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), expected, "{words:?}");
        }
    }
}
