//! Tables of decisions, and the law that no node is ever over-committed.

#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn node(name: &str, cpu: &str, memory: &str, pods: u32, more: Value) -> Arc<Node> {
    let mut value = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {},
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods.to_string()}}});
    merge(&mut value, more);
    Arc::new(serde_json::from_value(value).unwrap())
}

fn pod(name: &str, cpu: &str, memory: &str, more: Value) -> Arc<Pod> {
    let mut value = json!({"metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}});
    merge(&mut value, more);
    Arc::new(serde_json::from_value(value).unwrap())
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, more) => *into = more,
    }
}

fn told(decisions: &[Decision]) -> Vec<String> {
    decisions
        .iter()
        .map(|decision| match decision {
            Decision::Bind { pod, node } => format!("{} on {node}", pod.metadata.name.clone().unwrap()),
            Decision::Unschedulable { message, .. } => message.clone(),
        })
        .collect()
}

#[test]
fn one_pod_on_one_node() {
    let none = Value::Null;
    let affinity = |operator: &str, values: Value| {
        json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "size", "operator": operator, "values": values}]}]}}}}})
    };
    let tainted = json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}});
    let tolerating = |toleration: Value| json!({"spec": {"tolerations": [toleration]}});
    let labelled = json!({"metadata": {"labels": {"size": "7"}}});
    let not_ready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    const AFFINITY: &str = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
    const TAINT: &str = "0/1 nodes are available: 1 node(s) had untolerated taint {k: v}.";
    let rows: Vec<(&str, &str, Value, Value, &str)> = vec![
        ("1", "1Gi", none.clone(), none.clone(), "p on n"),
        ("2", "1Gi", none.clone(), none.clone(), "p on n"),
        ("2001m", "1Gi", none.clone(), none.clone(), "0/1 nodes are available: 1 Insufficient cpu."),
        ("3", "5Gi", none.clone(), none.clone(), "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."),
        ("1", "1", none.clone(), json!({"status": {"allocatable": {"pods": "0"}}}), "0/1 nodes are available: 1 Too many pods."),
        ("1", "1", none.clone(), json!({"spec": {"unschedulable": true}}), "0/1 nodes are available: 1 node(s) were unschedulable."),
        ("1", "1", json!({"spec": {"nodeSelector": {"size": "7"}}}), none.clone(), AFFINITY),
        ("1", "1", json!({"spec": {"nodeSelector": {"size": "7"}}}), labelled.clone(), "p on n"),
        ("1", "1", affinity("In", json!(["6", "7"])), labelled.clone(), "p on n"),
        ("1", "1", affinity("NotIn", json!(["7"])), labelled.clone(), AFFINITY),
        ("1", "1", affinity("Gt", json!(["6"])), labelled.clone(), "p on n"),
        ("1", "1", affinity("Lt", json!(["6"])), labelled.clone(), AFFINITY),
        ("1", "1", affinity("DoesNotExist", json!([])), none.clone(), "p on n"),
        ("1", "1", none.clone(), tainted.clone(), TAINT),
        ("1", "1", tolerating(json!({"key": "k", "value": "v"})), tainted.clone(), "p on n"),
        ("1", "1", tolerating(json!({"key": "k", "value": "w"})), tainted.clone(), TAINT),
        ("1", "1", tolerating(json!({"key": "k", "operator": "Exists", "effect": "NoExecute"})), tainted.clone(), TAINT),
        ("1", "1", tolerating(json!({"operator": "Exists"})), tainted.clone(), "p on n"),
        ("1", "1", none.clone(), not_ready, "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."),
        (
            "1",
            "1",
            json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule"}]}}),
            none.clone(),
            "0/1 nodes are available: spec.topologySpreadConstraints is not supported by this scheduler.",
        ),
        (
            "1",
            "1",
            json!({"spec": {"initContainers": [{"name": "i", "resources": {"requests": {"cpu": "3"}}}]}}),
            none.clone(),
            "0/1 nodes are available: 1 Insufficient cpu.",
        ),
        (
            "1",
            "1",
            json!({"spec": {"initContainers": [{"name": "i", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1100m"}}}]}}),
            none.clone(),
            "0/1 nodes are available: 1 Insufficient cpu.",
        ),
    ];
    for (cpu, memory, pod_more, node_more, expected) in rows {
        let decisions = schedule(&[node("n", "2", "4Gi", 10, node_more.clone())], &[], &[pod("p", cpu, memory, pod_more.clone())]);
        assert_eq!(told(&decisions), [expected], "{pod_more} {node_more}");
    }
}

#[test]
fn no_nodes() {
    assert_eq!(told(&schedule(&[], &[], &[pod("p", "1", "1", Value::Null)])), ["no nodes available to schedule pods"]);
}

#[test]
fn pods_that_do_not_wait_get_no_decision() {
    let nodes = [node("n", "2", "4Gi", 10, Value::Null)];
    for more in [
        json!({"spec": {"nodeName": "n"}}),
        json!({"spec": {"schedulingGates": [{"name": "g"}]}}),
        json!({"spec": {"schedulerName": "mine"}}),
        json!({"status": {"phase": "Failed"}}),
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
    ] {
        assert!(schedule(&nodes, &[], &[pod("p", "1", "1", more.clone())]).is_empty(), "{more}");
    }
}

#[test]
fn spreads_to_the_least_allocated_and_breaks_ties_by_name() {
    let nodes = [node("b", "4", "8Gi", 10, Value::Null), node("a", "4", "8Gi", 10, Value::Null)];
    let pending = [pod("1", "1", "1Gi", Value::Null), pod("2", "1", "1Gi", Value::Null), pod("3", "1", "1Gi", Value::Null)];
    assert_eq!(told(&schedule(&nodes, &[], &pending)), ["1 on a", "2 on b", "3 on a"]);
}

#[test]
fn priority_goes_first_and_ended_pods_take_no_room() {
    let nodes = [node("n", "2", "8Gi", 10, Value::Null)];
    let ended = pod("ended", "2", "1Gi", json!({"spec": {"nodeName": "n"}, "status": {"phase": "Succeeded"}}));
    let pending = [pod("low", "2", "1", Value::Null), pod("high", "2", "1", json!({"spec": {"priority": 5}}))];
    assert_eq!(told(&schedule(&nodes, &[ended], &pending)), ["high on n", "0/1 nodes are available: 1 Insufficient cpu."]);
}

proptest! {
    /// Whatever asks, no node is given more than it has, and the order of the input does not matter.
    #[test]
    fn never_over_commits(cpus in prop::collection::vec(1u32..8, 1..5), asks in prop::collection::vec(1u32..5, 0..20)) {
        let nodes: Vec<_> = cpus.iter().enumerate().map(|(i, cpu)| node(&format!("n{i}"), &cpu.to_string(), "64Gi", 4, Value::Null)).collect();
        let mut pending: Vec<_> = asks.iter().enumerate().map(|(i, cpu)| pod(&format!("p{i:02}"), &cpu.to_string(), "1", Value::Null)).collect();
        let decisions = schedule(&nodes, &[], &pending);
        prop_assert_eq!(decisions.len(), asks.len());
        for (i, cpu) in cpus.iter().enumerate() {
            let name = format!("n{i}");
            let mine: Vec<&Arc<Pod>> = decisions.iter().filter_map(|d| match d { Decision::Bind { pod, node } if *node == name => Some(pod), _ => None }).collect();
            let taken: u32 = mine.iter().map(|pod| asks[pod.metadata.name.as_ref().unwrap()[1..].parse::<usize>().unwrap()]).sum();
            prop_assert!(taken <= *cpu && mine.len() <= 4);
        }
        pending.reverse();
        prop_assert_eq!(told(&decisions), told(&schedule(&nodes, &[], &pending)));
    }
}
