//! `$(NAME)` in commands, arguments and environment values (API reference, Container).
//!
//! In: a text and the variables known so far. Out: the text with known references replaced.
//! Never: fails; an unknown reference stays as it is written, `$$` stands for one `$`.

use std::collections::BTreeMap;

/// Replaces references to known variables.
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            expanded.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|reference| reference.split_once(')')) {
            match variables.get(name) {
                Some(value) => expanded.push_str(value),
                None => {
                    expanded.push_str("$(");
                    expanded.push_str(name);
                    expanded.push(')');
                }
            }
            rest = tail;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_escapes_and_broken_references() {
        let variables: BTreeMap<String, String> =
            [("A", "1"), ("B", "$(A)"), ("EMPTY", "")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let cases = [
            ("plain", "plain"),
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(A)"),
            ("[$(EMPTY)]", "[]"),
            ("$(NOPE)", "$(NOPE)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$A", "$A"),
            ("$(A", "$(A"),
            ("a$", "a$"),
            ("$$", "$"),
            ("", ""),
            ("é$(A)ü", "é1ü"),
            ("$(A)$", "1$"),
            ("$()", "$()"),
        ];
        for (text, wanted) in cases {
            assert_eq!(expand(text, &variables), wanted, "{text}");
        }
    }
}
