//! Typed label selectors against labels.
//!
//! In: a `LabelSelector` as Jobs hold it and a label map. Out: whether it matches. Never: an error; a term that cannot be understood matches nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;

/// Whether `selector` matches `labels`. No selector matches nothing; an empty one matches everything (API reference, LabelSelector).
pub fn matches(selector: Option<&LabelSelector>, labels: Option<&BTreeMap<String, String>>) -> bool {
    let Some(selector) = selector else { return false };
    let value = |key: &str| labels.and_then(|labels| labels.get(key));
    let by_label = selector.match_labels.iter().flatten().all(|(key, wanted)| value(key) == Some(wanted));
    by_label
        && selector.match_expressions.iter().flatten().all(|term| {
            let found = value(&term.key);
            let listed = found.is_some_and(|found| term.values.iter().flatten().any(|wanted| wanted == found));
            match term.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

    #[test]
    fn operators() {
        let labels: BTreeMap<String, String> = [("a".to_owned(), "1".to_owned())].into();
        let rows = [
            ("a", "In", vec!["1", "2"], true),
            ("a", "In", vec!["2"], false),
            ("b", "In", vec!["1"], false),
            ("a", "NotIn", vec!["1"], false),
            ("b", "NotIn", vec!["1"], true),
            ("a", "Exists", vec![], true),
            ("b", "Exists", vec![], false),
            ("b", "DoesNotExist", vec![], true),
            ("a", "DoesNotExist", vec![], false),
            ("a", "Near", vec!["1"], false),
        ];
        for (key, operator, values, expected) in rows {
            let selector = LabelSelector {
                match_labels: None,
                match_expressions: Some(vec![LabelSelectorRequirement {
                    key: key.into(),
                    operator: operator.into(),
                    values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
                }]),
            };
            assert_eq!(matches(Some(&selector), Some(&labels)), expected, "{key} {operator} {values:?}");
        }
        assert!(!matches(None, Some(&labels)));
        assert!(matches(Some(&LabelSelector::default()), None));
    }
}
