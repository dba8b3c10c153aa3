//! Templates as data rows: what they print, what is refused, and that no text makes the parser panic.

use super::Template;
use proptest::prelude::*;
use serde_json::{Value, json};

fn list() -> Value {
    json!({"kind": "List", "items": [
        {"metadata": {"name": "pi-1", "labels": {"app.kubernetes.io/name": "x", "job-name": "pi"}}, "status": {"phase": "Failed", "n": 3,
            "conditions": [{"type": "Ready", "status": "False"}]}},
        {"metadata": {"name": "pi-2"}, "status": {"phase": "Succeeded", "n": 5, "conditions": [{"type": "Ready", "status": "True"}]}},
        {"metadata": {"name": "pi-3"}, "status": {"phase": "Running", "n": 7, "ok": true}},
    ]})
}

#[test]
fn templates() {
    for (template, expected) in [
        ("{.items[*].metadata.name}", "pi-1 pi-2 pi-3"),
        ("{.items[0].metadata.name}", "pi-1"),
        ("{.items[-1].metadata.name}", "pi-3"),
        ("{.items[0:2].metadata.name}", "pi-1 pi-2"),
        ("{.items[::2].metadata.name}", "pi-1 pi-3"),
        ("{.items[1:].metadata.name}", "pi-2 pi-3"),
        ("{.items[0,2].metadata.name}", "pi-1 pi-3"),
        ("{$.kind}", "List"),
        ("{@.kind}", "List"),
        ("{.kind}{\"\\n\"}", "List\n"),
        ("{.kind}{'\\t'}x", "List\tx"),
        ("kind={.kind}.", "kind=List."),
        ("{range .items[*]}{.metadata.name}{\"\\t\"}{.status.phase}{\"\\n\"}{end}", "pi-1\tFailed\npi-2\tSucceeded\npi-3\tRunning\n"),
        ("{range .items}{.metadata.name},{end}", "pi-1,pi-2,pi-3,"),
        (
            "{range .items[*]}{.metadata.name}:{range .status.conditions[*]}{.type}={.status};{end} {end}",
            "pi-1:Ready=False; pi-2:Ready=True; pi-3: ",
        ),
        ("{.items[?(@.status.phase==\"Failed\")].metadata.name}", "pi-1"),
        ("{.items[?(@.status.phase!='Failed')].metadata.name}", "pi-2 pi-3"),
        ("{.items[?(@.status.n>3)].metadata.name}", "pi-2 pi-3"),
        ("{.items[?(@.status.n <= 3)].metadata.name}", "pi-1"),
        ("{.items[?(@.status.ok)].metadata.name}", "pi-3"),
        ("{.items[?(@.status.ok==true)].metadata.name}", "pi-3"),
        ("{.items[*].status.conditions[?(@.type==\"Ready\")].status}", "False True"),
        ("{.items[0].metadata.labels.app\\.kubernetes\\.io/name}", "x"),
        ("{.items[0].metadata.labels['app.kubernetes.io/name']}", "x"),
        ("{.items[0].metadata.labels.job-name}", "pi"),
        ("{.items[0]['metadata'].name}", "pi-1"),
        ("{.items[0].metadata['name','labels']}", "pi-1 {\"app.kubernetes.io/name\":\"x\",\"job-name\":\"pi\"}"),
        ("{..name}", "pi-1 pi-2 pi-3"),
        ("{.items[2].status.*}", "Running 7 true"),
        ("{.items[0].status.conditions}", "[{\"type\":\"Ready\",\"status\":\"False\"}]"),
        ("{.missing}", ""),
        ("{.missing[*].x}", ""),
        ("{.items[*].missing.deep}", ""),
        ("{ .kind }", "List"),
        ("no braces", "no braces"),
        ("", ""),
    ] {
        let printed = Template::parse(template).and_then(|t| t.print(&list()));
        assert_eq!(printed.as_deref(), Ok(expected), "{template}");
    }
    assert_eq!(Template::parse("{.}").and_then(|t| t.print(&json!({"a": 1}))).as_deref(), Ok("{\"a\":1}"));
}

#[test]
fn refused() {
    for (template, expected) in [
        ("{.a", "not closed"),
        ("{.a[}", "expected an index"),
        ("{.a[0}", "expected"),
        ("{.a[?(@.x==]}", "expected @.field"),
        ("{range .items[*]}{.a}", "without {end}"),
        ("{.a}{end}", "without {range}"),
        ("{'x}", "not closed"),
        ("{a}", "expected a path"),
        ("{.a b}", "expected a path"),
        ("{.a[99999999999999999999]}", "not a number"),
    ] {
        let refused = Template::parse(template);
        assert!(refused.as_ref().is_err_and(|message| message.contains(expected)), "{template}: {refused:?}");
    }
    let printed = Template::parse("{.items[9].x}").and_then(|t| t.print(&list()));
    assert!(printed.is_err_and(|message| message.contains("out of bounds")));
}

#[test]
fn relaxed_spellings_of_wait() {
    for text in ["{.status.n}", ".status.n", "status.n", "{status.n}"] {
        let values = Template::parse_relaxed(text).and_then(|t| t.values(&json!({"status": {"n": 3}})));
        assert_eq!(values, Ok(vec![json!(3)]), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "[{}.\\[\\]*?@$()='\"a-c0-9:, \\\\end range-]{0,40}") {
        if let Ok(template) = Template::parse(&text) {
            let _ = template.print(&list());
        }
    }
}
