//! Names: DNS subdomains and labels, qualified names, generated names (spec/api.md 6.1).
//!
//! In: texts. Out: nothing when they fit, else the sentence that tells the rule. Never: randomness (the indexes are an argument).

/// The alphabet of generated suffixes: no vowels, nothing easily mistaken.
pub const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Bytes of a generated name that come from the base; five random ones follow, 63 in all.
pub const GENERATED_BASE_BYTES: usize = 58;
/// Longest DNS label, qualified-name part and label value, in bytes.
pub const LABEL_BYTES: usize = 63;
/// Longest DNS subdomain, in bytes.
pub const SUBDOMAIN_BYTES: usize = 253;

/// `base` cut to 58 bytes plus five characters chosen by `random` (each index < 27). Never cuts inside a character.
pub fn generate(base: &str, random: [u8; 5]) -> String {
    let mut cut = base.len().min(GENERATED_BASE_BYTES);
    while !base.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut name = base[..cut].to_owned();
    name.extend(random.iter().map(|i| SUFFIX_ALPHABET[*i as usize % SUFFIX_ALPHABET.len()] as char));
    name
}

const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
     alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end \
     with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
     character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end \
     with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if edge(*first) && edge(*last))
        && bytes.iter().all(|b| edge(*b) || *b == b'-')
}

fn is_qualified_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// What is wrong with `text` as a DNS-1123 label (at most 63 bytes).
pub fn dns_label(text: &str) -> Vec<String> {
    let mut wrong = vec![];
    if text.len() > LABEL_BYTES {
        wrong.push(too_long(LABEL_BYTES));
    }
    if !is_label(text) {
        wrong.push(LABEL_RULE.into());
    }
    wrong
}

/// What is wrong with `text` as a DNS-1123 subdomain (at most 253 bytes).
pub fn dns_subdomain(text: &str) -> Vec<String> {
    let mut wrong = vec![];
    if text.len() > SUBDOMAIN_BYTES {
        wrong.push(too_long(SUBDOMAIN_BYTES));
    }
    if !text.split('.').all(is_label) {
        wrong.push(SUBDOMAIN_RULE.into());
    }
    wrong
}

/// What is wrong with `text` as a qualified name, `[prefix/]name` (label keys, finalizers, condition types).
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut wrong = vec![];
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".into());
            } else {
                wrong.extend(dns_subdomain(prefix).into_iter().map(|w| format!("prefix part {w}")));
            }
            *name
        }
        _ => {
            return vec![format!("a qualified {QUALIFIED_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".into());
    } else if name.len() > LABEL_BYTES {
        wrong.push(format!("name part {}", too_long(LABEL_BYTES)));
    }
    if !is_qualified_part(name) {
        wrong.push(QUALIFIED_RULE.into());
    }
    wrong
}

/// What is wrong with `text` as a label value (at most 63 bytes, may be empty).
pub fn label_value(text: &str) -> Vec<String> {
    let mut wrong = vec![];
    if text.len() > LABEL_BYTES {
        wrong.push(too_long(LABEL_BYTES));
    }
    if !text.is_empty() && !is_qualified_part(text) {
        wrong.push(LABEL_VALUE_RULE.into());
    }
    wrong
}

/// What is wrong with `text` as the name of an environment variable: any printable ASCII character except `=` (KEP-4369).
pub fn environment_name(text: &str) -> Vec<String> {
    if !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        return vec![];
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".into()]
}

/// What is wrong with `text` as a key of a ConfigMap or Secret: also a file name, so no path.
pub fn config_key(text: &str) -> Vec<String> {
    let mut wrong = vec![];
    if text.len() > SUBDOMAIN_BYTES {
        wrong.push(too_long(SUBDOMAIN_BYTES));
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        wrong.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', \
             regex used for validation is '[-._a-zA-Z0-9]+')"
                .into(),
        );
    }
    match text {
        "." => wrong.push("must not be '.'".into()),
        ".." => wrong.push("must not be '..'".into()),
        text if text.starts_with("..") => wrong.push("must not start with '..'".into()),
        _ => {}
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tables() {
        let long_label = "a".repeat(64);
        let long_domain = format!("{}.{}", "a".repeat(63), "b".repeat(190));
        type Rule = fn(&str) -> Vec<String>;
        let rows: &[(Rule, &str, &[&str], &[&str])] = &[
            (dns_label, "label", &["a", "a-b", "0", "9x"], &["", "-a", "a-", "A", "a.b", "a_b", "ä", &long_label]),
            (dns_subdomain, "subdomain", &["a", "a.b", "a-b.c0"], &["", ".", "a..b", "a.", ".a", "A.b", "a/b", &long_domain]),
            (
                qualified_name,
                "qualified",
                &["a", "A_b.c", "example.com/My.Name", "job-name", "batch.kubernetes.io/job-tracking"],
                &["", "/", "a/", "/a", "a/b/c", "-a", "E/x", &long_label],
            ),
            (label_value, "value", &["", "a", "A.b_c-1"], &["-", "a b", "a/b", &long_label]),
            (environment_name, "env", &["A", "a.b", "1x", "A B", "a-b"], &["", "A=B", "ä", "a\tb"]),
            (config_key, "key", &["a", "ca.crt", ".dockerconfigjson", "A_b"], &["", "a/b", ".", "..", "..a", "a b"]),
        ];
        for (rule, label, good, bad) in rows {
            for text in *good {
                assert_eq!(rule(text), Vec::<String>::new(), "{label} {text:?}");
            }
            for text in *bad {
                assert!(!rule(text).is_empty(), "{label} {text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_generated_name_fits_a_label(base in "[a-z]([-a-z0-9]{0,80}[a-z0-9])?", random in proptest::array::uniform5(any::<u8>())) {
            let name = generate(&base, random);
            prop_assert!(name.len() <= LABEL_BYTES);
            prop_assert!(dns_label(&name).is_empty());
        }
        #[test]
        fn never_panics(base in ".*", random in proptest::array::uniform5(any::<u8>())) {
            generate(&base, random);
            for rule in [dns_label, dns_subdomain, qualified_name, label_value, environment_name, config_key] { rule(&base); }
        }
    }
}
