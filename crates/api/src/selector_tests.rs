//! Cases of label and field selectors. In: nothing. Never: anything but assertions.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::kinds::by_kind;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn label_selectors_match() {
    let labels = json!({"job-name": "pi", "tier": "", "n": "7", "app.io/x": "y"});
    for (text, expected) in [
        ("", true),
        ("job-name", true),
        ("!job-name", false),
        ("!other", true),
        ("job-name=pi", true),
        ("job-name==pi", true),
        ("job-name = pi", true),
        ("job-name!=pi", false),
        ("other!=pi", true),
        ("other=pi", false),
        ("tier=", true),
        ("tier", true),
        ("other=", false),
        ("job-name in (pi,z)", true),
        ("job-name in ( z , pi )", true),
        ("job-name in(z)", false),
        ("job-name notin (z)", true),
        ("other notin (z)", true),
        ("tier in (,a)", true),
        ("n>5", true),
        ("n<5", false),
        ("n>7", false),
        ("job-name>5", false),
        ("job-name=pi,n=7,!q", true),
        ("job-name=pi,n=8", false),
        ("app.io/x=y", true),
        ("in in (a)", false),
    ] {
        let selector = LabelSelector::parse(text).unwrap();
        assert_eq!(selector.matches(labels.as_object()), expected, "{text}");
        assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector, "{text} printed");
    }
    assert!(LabelSelector::parse("!x").unwrap().matches(None));
}

#[test]
fn bad_label_selectors_are_400() {
    for text in [
        ",",
        "a=b,",
        "=b",
        "a b",
        "a in",
        "a in (",
        "a in ()",
        "a in (b",
        "a in (b c)",
        "!",
        "!a=b",
        "a=b=c",
        "-a=b",
        "a=-",
        "a>x",
        "a=b c",
        "(a)",
        "a!b",
    ] {
        assert_eq!(LabelSelector::parse(text).map_err(|s| s.code), Err(400), "{text}");
    }
}

#[test]
fn the_message_says_what_was_found() {
    for (text, message) in [
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "unable to parse requirement: found 'c', expected: ',' or the end"),
        ("a in (b", "unable to parse requirement: expected: ')'"),
    ] {
        assert_eq!(LabelSelector::parse(text).unwrap_err().message, message);
    }
}

#[test]
fn object_form() {
    let labels = json!({"a": "1", "b": "2"});
    for (selector, expected) in [
        (json!(null), false),
        (json!({}), true),
        (json!({"matchLabels": {"a": "1"}}), true),
        (json!({"matchLabels": {"a": "2"}}), false),
        (json!({"matchExpressions": [{"key": "b", "operator": "In", "values": ["2", "3"]}]}), true),
        (json!({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["2"]}]}), false),
        (
            json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "c", "operator": "DoesNotExist"}, {"key": "a", "operator": "Exists"}]}),
            true,
        ),
    ] {
        assert_eq!(LabelSelector::from_object(&selector).unwrap().matches(labels.as_object()), expected, "{selector}");
    }
    for selector in [
        json!({"matchExpressions": [{"key": "b", "operator": "In"}]}),
        json!({"matchExpressions": [{"key": "b", "operator": "Exists", "values": ["x"]}]}),
        json!({"matchExpressions": [{"key": "b", "operator": "Near"}]}),
        json!({"matchExpressions": [{"key": "-b", "operator": "Exists"}]}),
        json!({"matchLabels": {"a": "-"}}),
    ] {
        assert!(LabelSelector::from_object(&selector).is_err(), "{selector}");
    }
    let both = json!({"matchLabels": {"z": "1", "a": "2"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["x", "y"]}]});
    assert_eq!(LabelSelector::from_object(&both).unwrap().to_string(), "a=2,z=1,c in (x,y)");
}

#[test]
fn field_selectors_match() {
    let pod = json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"nodeName": "node-1"},
                     "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd::1"}]}});
    let event =
        json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Job", "name": "a,b=c\\d"}, "reportingComponent": "job-controller"});
    let job = json!({"metadata": {"name": "j"}});
    let rows: &[(&str, &str, &Value, &str, bool)] = &[
        ("v1", "Pod", &pod, "", true),
        ("v1", "Pod", &pod, "metadata.name=p", true),
        ("v1", "Pod", &pod, "metadata.name=p,metadata.namespace==n", true),
        ("v1", "Pod", &pod, "metadata.name!=p", false),
        ("v1", "Pod", &pod, "spec.nodeName=node-1,status.phase!=Succeeded,status.phase!=Failed", true),
        ("v1", "Pod", &pod, "spec.host=node-1", true),
        ("v1", "Pod", &pod, "spec.hostNetwork=false", true),
        ("v1", "Pod", &pod, "status.podIPs=fd::1", true),
        ("v1", "Pod", &pod, "status.nominatedNodeName=", true),
        ("v1", "Event", &event, "involvedObject.kind=Job,source=job-controller", true),
        ("v1", "Event", &event, r"involvedObject.name=a\,b\=c\\d", true),
        ("v1", "Event", &event, "reason=", true),
        ("batch/v1", "Job", &job, "status.successful=0", true),
        ("batch/v1", "Job", &job, "status.successful=1", false),
        ("v1", "Node", &job, "spec.unschedulable=false", true),
    ];
    for (api_version, kind, object, text, expected) in rows {
        let kind = by_kind(api_version, kind).unwrap();
        assert_eq!(FieldSelector::parse(kind, text).unwrap().matches(kind, object), *expected, "{text}");
    }
    let pod_kind = by_kind("v1", "Pod").unwrap();
    assert_eq!(FieldSelector::parse(pod_kind, "status.phase=x,metadata.name=q").unwrap().name(), Some("q"));
    assert_eq!(FieldSelector::parse(pod_kind, "metadata.name!=q").unwrap().name(), None);
}

#[test]
fn bad_field_selectors_are_400() {
    let job = by_kind("batch/v1", "Job").unwrap();
    let pod = by_kind("v1", "Pod").unwrap();
    for (kind, text, message) in [
        (job, "spec.x=1", "field label \"spec.x\" not supported for Job"),
        (pod, "spec.x=1", "field label not supported: spec.x"),
        (pod, "nonsense", "invalid selector: 'nonsense'; can't understand 'nonsense'"),
        (pod, "metadata.name=a=b", "invalid selector: 'metadata.name=a=b'; can't understand 'metadata.name=a=b'"),
        (pod, r"metadata.name=a\b", r"invalid selector: 'metadata.name=a\b'; can't understand 'metadata.name=a\b'"),
    ] {
        let status = FieldSelector::parse(kind, text).unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (400, message));
    }
}

proptest! {
    #[test]
    fn never_panics(text in "[a-z!=<>(), \\\\.ä]{0,24}") {
        let _ = LabelSelector::parse(&text).map(|s| s.matches(None));
        let _ = FieldSelector::parse(by_kind("v1", "Pod").unwrap(), &text);
    }
}
