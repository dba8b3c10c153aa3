//! Cases of tables. In: nothing. Never: anything but assertions.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::kinds::{by_kind, kinds};

fn now() -> Timestamp {
    "2026-11-23T17:00:00Z".parse().unwrap()
}

fn cells(api_version: &str, kind: &str, object: Value) -> Vec<Value> {
    row(by_kind(api_version, kind).unwrap(), &object, now()).0
}

#[test]
fn as_many_cells_as_columns_even_for_empty_objects() {
    for kind in kinds() {
        let columns = columns(kind);
        for object in [json!({}), json!({"metadata": {"name": "x", "creationTimestamp": "2026-11-23T16:58:00Z"}})] {
            assert_eq!(columns.as_array().unwrap().len(), row(kind, &object, now()).0.len(), "{}", kind.kind);
        }
        let named = columns.as_array().unwrap().iter().any(|c| c["name"] == "Name");
        assert!(named, "{}", kind.kind);
    }
}

#[test]
fn column_names() {
    for (api_version, kind, expected) in [
        ("batch/v1", "Job", "Name,Status,Completions,Duration,Age,w:Containers,w:Images,w:Selector"),
        ("batch/v1", "CronJob", "Name,Schedule,Timezone,Suspend,Active,Last Schedule,Age,w:Containers,w:Images,w:Selector"),
        ("v1", "Pod", "Name,Ready,Status,Restarts,Age,w:IP,w:Node,w:Nominated Node,w:Readiness Gates"),
        ("v1", "Node", "Name,Status,Roles,Age,Version,w:Internal-IP,w:External-IP,w:OS-Image,w:Kernel-Version,w:Container-Runtime"),
        ("v1", "Event", "Last Seen,Type,Reason,Object,w:Subobject,w:Source,Message,w:First Seen,w:Count,w:Name"),
        ("v1", "Namespace", "Name,Status,Age"),
        ("v1", "ConfigMap", "Name,Data,Age"),
        ("v1", "Secret", "Name,Type,Data,Age"),
        ("v1", "ServiceAccount", "Name,Secrets,Age"),
        ("coordination.k8s.io/v1", "Lease", "Name,Holder,Age"),
    ] {
        let columns = columns(by_kind(api_version, kind).unwrap());
        let names: Vec<String> = columns
            .as_array()
            .unwrap()
            .iter()
            .map(|c| format!("{}{}", if c["priority"] == 1 { "w:" } else { "" }, c["name"].as_str().unwrap()))
            .collect();
        assert_eq!(names.join(","), expected);
    }
    assert_eq!(columns(by_kind("v1", "Pod").unwrap())[0]["format"], "name");
}

#[test]
fn jobs() {
    let condition = |kind: &str| json!([{"type": kind, "status": "True"}]);
    for (spec, status, expected) in [
        (json!({"completions": 1, "parallelism": 1}), json!({}), ["Running", "0/1", ""]),
        (json!({"completions": 5}), json!({"succeeded": 3, "startTime": "2026-11-23T16:58:55Z"}), ["Running", "3/5", "65s"]),
        (json!({"parallelism": 4}), json!({"succeeded": 1}), ["Running", "1/1 of 4", ""]),
        (json!({"parallelism": 1}), json!({}), ["Running", "0/1", ""]),
        (
            json!({"completions": 1}),
            json!({"succeeded": 1, "startTime": "2026-11-23T16:00:00Z", "completionTime": "2026-11-23T16:04:20Z", "conditions": condition("Complete")}),
            ["Complete", "1/1", "4m20s"],
        ),
        (json!({"completions": 1}), json!({"conditions": condition("Failed")}), ["Failed", "0/1", ""]),
        (json!({"completions": 1}), json!({"conditions": condition("Suspended")}), ["Suspended", "0/1", ""]),
        (json!({"completions": 1}), json!({"conditions": condition("FailureTarget")}), ["FailureTarget", "0/1", ""]),
        (json!({"completions": 1}), json!({"conditions": condition("SuccessCriteriaMet")}), ["SuccessCriteriaMet", "0/1", ""]),
        (json!({"completions": 1}), json!({"conditions": [{"type": "Complete", "status": "False"}]}), ["Running", "0/1", ""]),
    ] {
        let found = cells("batch/v1", "Job", json!({"metadata": {"name": "j"}, "spec": spec, "status": status}));
        assert_eq!(found[1..4], expected.map(Value::from), "{status}");
    }
    let whole = cells(
        "batch/v1",
        "Job",
        json!({"metadata": {"name": "pi", "creationTimestamp": "2026-11-21T17:00:00Z", "deletionTimestamp": "2026-11-23T17:00:00Z"},
            "spec": {"completions": 1, "selector": {"matchLabels": {"b": "2", "a": "1"}}, "template": {"spec": {"containers": [{"name": "x", "image": "i"}, {"name": "y", "image": "j"}]}}}}),
    );
    assert_eq!(whole, ["pi", "Terminating", "0/1", "", "2d", "x,y", "i,j", "a=1,b=2"].map(Value::from));
}

#[test]
fn pods() {
    let ended = |reason: &str, code: i64| json!({"terminated": {"exitCode": code, "reason": reason}});
    let one = |state: Value| json!([{"name": "c", "state": state}]);
    let rows: Vec<(Value, &str, &str, &str)> = vec![
        (json!({"phase": "Pending"}), "0/1", "Pending", "0"),
        (
            json!({"phase": "Pending", "containerStatuses": one(json!({"waiting": {"reason": "ContainerCreating"}}))}),
            "0/1",
            "ContainerCreating",
            "0",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [{"name": "c", "ready": true, "restartCount": 2, "state": {"running": {}},
                "lastState": {"terminated": {"finishedAt": "2026-11-23T16:58:00Z"}}}]}),
            "1/1",
            "Running",
            "2 (2m ago)",
        ),
        (json!({"phase": "Succeeded", "containerStatuses": one(ended("Completed", 0))}), "0/1", "Completed", "0"),
        (json!({"phase": "Failed", "containerStatuses": one(ended("Error", 1))}), "0/1", "Error", "0"),
        (json!({"phase": "Failed", "containerStatuses": one(ended("OOMKilled", 137))}), "0/1", "OOMKilled", "0"),
        (json!({"phase": "Failed", "containerStatuses": one(ended("", 3))}), "0/1", "ExitCode:3", "0"),
        (
            json!({"phase": "Failed", "containerStatuses": one(json!({"terminated": {"exitCode": 137, "signal": 9}}))}),
            "0/1",
            "Signal:9",
            "0",
        ),
        (json!({"phase": "Failed", "reason": "DeadlineExceeded"}), "0/1", "DeadlineExceeded", "0"),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}),
            "0/1",
            "SchedulingGated",
            "0",
        ),
        (
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [{"name": "a", "state": ended("Completed", 0)}, {"name": "b", "ready": false, "state": {"running": {}}}]}),
            "0/1",
            "NotReady",
            "0",
        ),
        (json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": ended("Error", 1)}]}), "0/1", "Init:Error", "0"),
        (json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}), "0/1", "Init:0/1", "0"),
    ];
    for (status, ready, reason, restarts) in rows {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}, "status": status});
        assert_eq!(cells("v1", "Pod", pod)[1..4], [ready, reason, restarts].map(Value::from), "{status}");
    }
    let deleting = |phase: &str, reason: &str| {
        let pod = json!({"metadata": {"deletionTimestamp": "2026-11-23T17:00:00Z"}, "status": {"phase": phase, "reason": reason}});
        cells("v1", "Pod", pod)[2].clone()
    };
    assert_eq!(deleting("Running", ""), "Terminating");
    assert_eq!(deleting("Running", "NodeLost"), "Unknown");
    assert_eq!(deleting("Failed", ""), "Failed");
    let wide = cells("v1", "Pod", json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"podIP": "10.0.0.1"}}));
    assert_eq!(wide[5..], ["10.0.0.1", "n", "<none>", "<none>"].map(Value::from));
}

#[test]
fn finished_pods_have_a_row_condition() {
    let pod = by_kind("v1", "Pod").unwrap();
    for (phase, reason) in [("Succeeded", Some("Succeeded")), ("Failed", Some("Failed")), ("Running", None)] {
        let conditions = row(pod, &json!({"status": {"phase": phase}}), now()).1;
        assert_eq!(
            conditions.as_ref().map(|c| (c[0]["type"].as_str(), c[0]["reason"].as_str())),
            reason.map(|r| (Some("Completed"), Some(r)))
        );
    }
}

#[test]
fn other_kinds() {
    assert_eq!(
        cells(
            "v1",
            "Event",
            json!({"metadata": {"name": "e"}, "type": "Normal", "reason": "SuccessfulCreate", "message": "Created pod: pi-x\n", "count": 3,
                "involvedObject": {"kind": "Job", "name": "pi"}, "source": {"component": "job-controller"},
                "firstTimestamp": "2026-11-23T16:50:00Z", "lastTimestamp": "2026-11-23T16:59:30Z"})
        ),
        ["30s (x3 over 10m)", "Normal", "SuccessfulCreate", "job/pi", "", "job-controller", "Created pod: pi-x", "10m", "3", "e"]
            .map(Value::from)
    );
    assert_eq!(
        cells(
            "v1",
            "Node",
            json!({"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "a"}}, "spec": {"unschedulable": true},
                "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                    "nodeInfo": {"kubeletVersion": "v1", "osImage": "Debian"}}})
        )[1..8],
        ["Ready,SchedulingDisabled", "a,worker", "<unknown>", "v1", "127.0.0.1", "<none>", "Debian"].map(Value::from)
    );
    let time = json!("2026-11-23T16:59:00Z");
    for (api_version, kind, object, expected) in [
        ("v1", "Namespace", json!({"status": {"phase": "Active"}}), vec!["x", "Active", "60s"]),
        ("v1", "ConfigMap", json!({"data": {"a": "1"}, "binaryData": {"b": ""}}), vec!["x", "2", "60s"]),
        ("v1", "Secret", json!({"data": {"a": ""}, "type": "Opaque"}), vec!["x", "Opaque", "1", "60s"]),
        ("v1", "ServiceAccount", json!({}), vec!["x", "0", "60s"]),
        ("coordination.k8s.io/v1", "Lease", json!({"spec": {"holderIdentity": "h"}}), vec!["x", "h", "60s"]),
    ] {
        let mut object = object;
        object["metadata"] = json!({"name": "x", "creationTimestamp": time});
        assert_eq!(cells(api_version, kind, object), expected, "{kind}");
    }
}

#[test]
fn cron_job_cells() {
    let containers = json!([{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]);
    let template = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    for (spec, status, expected) in [
        (json!({"schedule": "@daily"}), json!({}), json!(["c", "@daily", "<none>", "False", 0, "<none>", "<unknown>", "", "", "<none>"])),
        (
            json!({"schedule": "* * * * *", "timeZone": "Europe/Paris", "suspend": true, "jobTemplate": template}),
            json!({"active": [{"name": "c-1"}, {"name": "c-2"}], "lastScheduleTime": "2026-11-23T16:59:00Z"}),
            json!(["c", "* * * * *", "Europe/Paris", "True", 2, "60s", "<unknown>", "a,b", "x,y", "<none>"]),
        ),
    ] {
        let found = cells("batch/v1", "CronJob", json!({"metadata": {"name": "c"}, "spec": spec, "status": status}));
        assert_eq!(json!(found), expected);
    }
}
