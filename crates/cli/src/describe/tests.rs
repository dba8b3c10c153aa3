//! What `describe` prints of whole objects, compared with the Jobs page.

use super::{events, job, pod, text::Text};
use crate::output::align::align;
use serde_json::{Value, json};

fn pi() -> Value {
    let uid = "c9948307-e56d-4b5d-8302-ae2d7b7da67c";
    json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "pi", "namespace": "default", "labels": {"job-name": "pi", "controller-uid": uid},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration":
                "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"annotations\":{},\"name\":\"pi\",\"namespace\":\"default\"},\"spec\":{\"backoffLimit\":4,\"template\":{\"spec\":{\"containers\":[]}}}}\n"}},
        "spec": {"parallelism": 1, "completions": 1, "completionMode": "NonIndexed", "suspend": false, "backoffLimit": 4,
            "selector": {"matchLabels": {"controller-uid": uid}},
            "template": {"metadata": {"labels": {"job-name": "pi", "controller-uid": uid}}, "spec": {"containers": [
                {"name": "pi", "image": "perl", "command": ["perl", "-Mbignum=bpi", "-wle", "print bpi(2000)"], "resources": {}}]}}},
        "status": {"startTime": "2019-12-02T15:20:11Z", "completionTime": "2019-12-02T15:21:16Z", "succeeded": 1, "ready": 0}})
}

#[test]
fn the_job_of_the_jobs_page() {
    let mut out = Text::default();
    job::job(&pi(), &mut out);
    let event = json!({"type": "Normal", "reason": "SuccessfulCreate", "message": "Created pod: pi-5rwd7", "source": {"component": "job-controller"},
        "firstTimestamp": "2019-12-02T15:20:11Z", "lastTimestamp": "2019-12-02T15:20:11Z", "count": 1});
    let now: jiff::Timestamp = "2019-12-02T15:34:30Z".parse().expect("a time");
    events::print(&[event], now, &mut out);
    let expected = r#"Name:             pi
Namespace:        default
Selector:         controller-uid=c9948307-e56d-4b5d-8302-ae2d7b7da67c
Labels:           controller-uid=c9948307-e56d-4b5d-8302-ae2d7b7da67c
                  job-name=pi
Annotations:      kubectl.kubernetes.io/last-applied-configuration:
                    {"apiVersion":"batch/v1","kind":"Job","metadata":{"annotations":{},"name":"pi","namespace":"default"},"spec":{"backoffLimit":4,"template":...
Parallelism:      1
Completions:      1
Completion Mode:  NonIndexed
Suspend:          false
Backoff Limit:    4
Start Time:       Mon, 02 Dec 2019 15:20:11 +0000
Completed At:     Mon, 02 Dec 2019 15:21:16 +0000
Duration:         65s
Pods Statuses:    0 Active (0 Ready) / 1 Succeeded / 0 Failed
Pod Template:
  Labels:  controller-uid=c9948307-e56d-4b5d-8302-ae2d7b7da67c
           job-name=pi
  Containers:
   pi:
    Image:      perl
    Port:       <none>
    Host Port:  <none>
    Command:
      perl
      -Mbignum=bpi
      -wle
      print bpi(2000)
    Environment:   <none>
    Mounts:        <none>
  Volumes:         <none>
  Node-Selectors:  <none>
  Tolerations:     <none>
Events:
  Type    Reason            Age  From            Message
  ----    ------            ---- ----            -------
  Normal  SuccessfulCreate  14m  job-controller  Created pod: pi-5rwd7
"#;
    let printed = align(&out.finish());
    // The width of the Age column follows its widest cell; everything else is to the letter.
    let squeeze = |text: &str| {
        text.lines()
            .map(|l| {
                if l.contains("----") || l.contains("Message") || l.contains("14m") {
                    l.split_whitespace().collect::<Vec<_>>().join(" ")
                } else {
                    l.to_string()
                }
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(squeeze(&printed), squeeze(expected), "{printed}");
}

#[test]
fn lines_of_a_job_come_and_go_with_its_fields() {
    for (change, present, absent) in [
        (json!({"spec": {"completionMode": "Indexed"}, "status": {"completedIndexes": "0-3"}}), "Completed Indexes:  0-3", "TTL"),
        (
            json!({"spec": {"ttlSecondsAfterFinished": 5, "activeDeadlineSeconds": 60}}),
            "Active Deadline Seconds:     60s",
            "Completed Indexes",
        ),
        (json!({"spec": {"completions": null}}), "Completions:      <unset>", "Active Deadline"),
        (json!({"status": {"ready": null, "active": 2, "completionTime": null}}), "2 Active / 1 Succeeded / 0 Failed", "Duration"),
        (
            json!({"metadata": {"ownerReferences": [{"kind": "CronJob", "name": "c", "controller": true}]}}),
            "Controlled By:    CronJob/c",
            "Active Deadline",
        ),
    ] {
        let mut object = pi();
        merge(&mut object, &change);
        let mut out = Text::default();
        job::job(&object, &mut out);
        let text = align(&out.finish());
        assert!(text.contains(present) && !text.contains(absent), "{present}\n{text}");
    }
}

fn merge(target: &mut Value, change: &Value) {
    match change {
        Value::Object(map) => map.iter().for_each(|(key, value)| merge(&mut target[key], value)),
        other => *target = other.clone(),
    }
}

#[test]
fn cron_jobs_and_pods() {
    let cron = json!({"metadata": {"name": "c", "namespace": "n"}, "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Allow", "suspend": false,
        "jobTemplate": {"spec": {"template": {"spec": {"containers": []}}}}}, "status": {"active": [{"name": "c-1"}]}});
    let mut out = Text::default();
    job::cron_job(&cron, &mut out);
    let text = align(&out.finish());
    for line in [
        "Schedule:                      * * * * *",
        "Time Zone:                     <unset>",
        "Starting Deadline Seconds:     <unset>",
        "Active Jobs:         c-1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let failed = json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"nodeName": "here", "containers": [{"name": "c", "image": "i",
            "env": [{"name": "A", "value": "b"}], "resources": {"limits": {"cpu": "1"}}, "volumeMounts": [{"name": "v", "mountPath": "/m", "readOnly": true}]}],
            "volumes": [{"name": "v", "emptyDir": {}}]},
        "status": {"phase": "Failed", "hostIP": "127.0.0.1", "containerStatuses": [{"name": "c", "restartCount": 2, "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]}});
    let mut out = Text::default();
    pod::pod(&failed, &mut out);
    let text = align(&out.finish());
    for part in [
        "Node:             here/127.0.0.1",
        "Reason:     Error",
        "Exit Code:  3",
        "Restart Count:  2",
        "/m from v (ro)",
        "A:  b",
        "cpu:  1",
        "Type:  emptyDir",
    ] {
        let squeezed = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed(&text).contains(&squeezed(part)), "{part}\n{text}");
    }
}
