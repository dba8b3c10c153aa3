//! The informer against a fake server: deltas, indexes, and every way a watch can end.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::fake_server::{Asked, FakeServer, Fault};

fn pod(name: &str, uid: &str, node: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "ns", "uid": uid}, "spec": {"nodeName": node, "containers": []}})
}

fn node_of(pod: &Pod) -> Vec<String> {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    node.into_iter().collect()
}

fn describe(delta: &Delta<Pod>) -> String {
    let text = |pod: &Pod| format!("{}@{}", pod.metadata.name.as_deref().unwrap(), node_of(pod).join(""));
    match delta {
        Delta::Added(new) => format!("+{}", text(new)),
        Delta::Updated { old, new } => format!("{}>{}", text(old), text(new)),
        Delta::Deleted(old) => format!("-{}", text(old)),
    }
}

struct Followed {
    server: FakeServer,
    cache: Cache<Pod>,
    deltas: mpsc::UnboundedReceiver<String>,
    task: tokio::task::JoinHandle<Infallible>,
}

impl Followed {
    fn start(server: FakeServer) -> Self {
        let api: Api<Pod> = Api::all(server.client());
        let (mut informer, cache) = Informer::new(api, ListParams::default());
        let (sender, deltas) = mpsc::unbounded_channel();
        informer.add_index("node", node_of);
        informer.add_handler({
            let cache = cache.clone();
            move |delta| {
                // The cache shows a change before the handlers hear of it.
                let shown = cache.get(&object_key(&**delta.object()));
                match delta {
                    Delta::Added(new) | Delta::Updated { new, .. } => {
                        assert_eq!(shown.unwrap().metadata.uid, new.metadata.uid);
                    }
                    Delta::Deleted(old) => {
                        assert!(shown.is_none_or(|shown| shown.metadata.uid != old.metadata.uid));
                    }
                }
                sender.send(describe(delta)).unwrap();
            }
        });
        Followed { server, cache, deltas, task: tokio::spawn(informer.run()) }
    }

    /// A server with two Pods, and an informer that has seen them.
    async fn with_two_pods() -> Self {
        let server = FakeServer::default();
        server.put("pods", pod("b", "ub", "n1"));
        server.put("pods", pod("a", "ua", "n1"));
        let mut followed = Followed::start(server);
        followed.cache.synced().await;
        followed.expect(&["+a@n1", "+b@n1"]).await;
        followed
    }

    async fn expect(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.deltas.recv().await.unwrap(), *expected);
        }
        assert!(self.deltas.try_recv().is_err(), "more deltas than {expected:?}");
    }

    /// Waits until the server was asked so many times for a list or a watch.
    async fn asked(&self, verb: &str, times: usize) {
        self.server.until(|requests| count(requests, verb) >= times).await;
    }

    fn count(&self, verb: &str) -> usize {
        count(&self.server.requests(), verb)
    }

    fn keys(&self) -> Vec<String> {
        self.cache.list().iter().map(|pod| object_key(&**pod)).collect()
    }
}

fn count(requests: &[Asked], verb: &str) -> usize {
    let watches = verb == "watch";
    requests.iter().filter(|asked| asked.query.contains("watch=true") == watches).count()
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn lists_then_follows() {
    let mut followed = Followed::with_two_pods().await;
    assert!(followed.cache.is_synced());
    assert_eq!(followed.keys(), ["ns/a", "ns/b"]);
    followed.server.put("pods", pod("a", "ua", "n2"));
    followed.server.put("pods", pod("c", "uc", "n2"));
    followed.server.delete("pods", "ns/b");
    followed.expect(&["a@n1>a@n2", "+c@n2", "-b@n1"]).await;
    assert_eq!(followed.keys(), ["ns/a", "ns/c"]);
    assert!(followed.cache.get("ns/b").is_none());
    let on = |node: &str| -> Vec<String> {
        let pods = followed.cache.by_index("node", node);
        pods.iter().map(|pod| object_key(&**pod)).collect()
    };
    assert_eq!(on("n1"), Vec::<String>::new());
    assert_eq!(on("n2"), ["ns/a", "ns/c"]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_index_is_a_loud_mistake() {
    let followed = Followed::with_two_pods().await;
    let cache = followed.cache.clone();
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cache.by_index("job", "x")));
    assert!(asked.is_err());
}

/// Whatever ends a watch, changes made meanwhile arrive once and in order, by history or by a new list.
#[tokio::test(start_paused = true)]
async fn survives_every_end_of_a_watch() {
    type End = fn(&FakeServer);
    // (name, what ends the watch, whether that needs a second list)
    let rows: Vec<(&str, End, bool)> = vec![
        ("closed in good order", |server| server.cut_watches(), false),
        ("broken", |server| server.break_watches(), false),
        (
            "closed at once",
            |server| {
                server.fail_next("watch", Fault::EndAtOnce);
                server.cut_watches();
            },
            false,
        ),
        (
            "request lost",
            |server| {
                server.fail_next("watch", Fault::LoseRequest);
                server.cut_watches();
            },
            false,
        ),
        (
            "answer lost",
            |server| {
                server.fail_next("watch", Fault::LoseAnswer);
                server.cut_watches();
            },
            false,
        ),
        (
            "no answer",
            |server| {
                server.fail_next("watch", Fault::Hang);
                server.cut_watches();
            },
            false,
        ),
        (
            "server error",
            |server| {
                server.fail_next("watch", Fault::Refuse(500, "InternalError"));
                server.cut_watches();
            },
            false,
        ),
        (
            "too many requests",
            |server| {
                server.fail_next("watch", Fault::Refuse(429, "TooManyRequests"));
                server.cut_watches();
            },
            false,
        ),
        (
            "410 as the answer",
            |server| {
                server.fail_next("watch", Fault::Refuse(410, "Expired"));
                server.cut_watches();
            },
            true,
        ),
        ("410 as an event", |server| server.expire_history(), true),
        (
            "410 and lists fail",
            |server| {
                server.fail_next("list", Fault::Refuse(500, "InternalError"));
                server.fail_next("list", Fault::Hang);
                server.fail_next("list", Fault::LoseAnswer);
                server.expire_history();
            },
            true,
        ),
    ];
    for (name, end, is_relist) in rows {
        let mut followed = Followed::with_two_pods().await;
        followed.asked("watch", 1).await;
        let lists = followed.count("list");
        end(&followed.server);
        // All of this happens while nobody watches.
        followed.server.put("pods", pod("a", "ua", "n2"));
        followed.server.delete("pods", "ns/b");
        followed.server.put("pods", pod("c", "uc", "n3"));
        if is_relist {
            // A list tells what is gone first, then the rest by key.
            followed.expect(&["-b@n1", "a@n1>a@n2", "+c@n3"]).await;
            assert!(followed.count("list") > lists, "{name}");
        } else {
            followed.expect(&["a@n1>a@n2", "-b@n1", "+c@n3"]).await;
            assert_eq!(followed.count("list"), lists, "{name}");
        }
        assert_eq!(followed.keys(), ["ns/a", "ns/c"], "{name}");
        // And it goes on.
        followed.server.delete("pods", "ns/c");
        followed.expect(&["-c@n3"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_notices_that_a_name_was_given_anew() {
    let mut followed = Followed::with_two_pods().await;
    followed.asked("watch", 1).await;
    followed.server.cut_watches();
    followed.server.delete("pods", "ns/a");
    followed.server.put("pods", pod("a", "another", "n9"));
    followed.server.expire_history();
    followed.expect(&["-a@n1", "+a@n9"]).await;
    assert_eq!(followed.cache.by_index("node", "n9").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_list_changes_nothing() {
    let mut followed = Followed::with_two_pods().await;
    followed.asked("watch", 1).await;
    followed.server.expire_history();
    followed.asked("watch", 2).await;
    followed.server.put("pods", pod("z", "uz", "n1"));
    followed.expect(&["+z@n1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_saves_a_list() {
    let mut followed = Followed::with_two_pods().await;
    followed.asked("watch", 1).await;
    // Other kinds move the version on; the history of that is then forgotten.
    for number in 0..5 {
        followed.server.put("configmaps", json!({"metadata": {"name": format!("c{number}")}}));
    }
    followed.server.bookmark("pods");
    followed.server.put("pods", pod("z", "uz", "n1"));
    followed.expect(&["+z@n1"]).await;
    followed.server.cut_watches();
    followed.asked("watch", 2).await;
    let last = followed.server.requests().pop().unwrap();
    assert!(last.query.contains("resourceVersion=8"), "{}", last.query);
    assert!(last.query.contains("allowWatchBookmarks=true"), "{}", last.query);
    assert_eq!(followed.count("list"), 1);
}

#[tokio::test(start_paused = true)]
async fn long_lists_come_in_pages() {
    for tokens_expire in [false, true] {
        let server = FakeServer::default();
        for number in 0..LIST_PAGE * 2 + 1 {
            server.put("pods", pod(&format!("p{number:04}"), &number.to_string(), "n"));
        }
        if tokens_expire {
            server.expire_tokens();
        }
        let followed = Followed::start(server);
        followed.cache.synced().await;
        assert_eq!(followed.cache.len() as u32, LIST_PAGE * 2 + 1);
        let lists: Vec<String> =
            followed.server.requests().into_iter().map(|asked| asked.query).filter(|query| !query.contains("watch")).collect();
        // Three pages; or the first, the expired second, and then all at once.
        assert_eq!(lists.len(), 3, "{lists:?}");
        assert_eq!(lists[2].contains("limit="), !tokens_expire, "{lists:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_and_are_bounded() {
    let server = FakeServer::default();
    for _ in 0..15 {
        server.fail_next("list", Fault::Refuse(503, "ServiceUnavailable"));
    }
    let begun = Instant::now();
    let followed = Followed::start(server);
    followed.cache.synced().await;
    // 50 ms doubling up to 30 s: 0.05 * (2^10 - 1) = 51.15 s for ten tries, then 5 times 30 s.
    assert_eq!(begun.elapsed().as_secs(), 201);
    assert_eq!(followed.count("list"), 16);
}

#[tokio::test(start_paused = true)]
async fn selectors_are_sent_with_list_and_watch() {
    let server = FakeServer::default();
    let api: Api<Pod> = Api::namespaced(server.client(), "ns");
    let selectors = ListParams::default().labels("app=a").fields("spec.nodeName=n");
    let (informer, cache) = Informer::new(api, selectors);
    let task = tokio::spawn(informer.run());
    cache.synced().await;
    while server.requests().len() < 2 {
        tokio::task::yield_now().await;
    }
    for asked in server.requests() {
        assert_eq!(asked.path, "/api/v1/namespaces/ns/pods");
        assert!(asked.query.contains("labelSelector=app%3Da"), "{}", asked.query);
        assert!(asked.query.contains("fieldSelector=spec.nodeName%3Dn"), "{}", asked.query);
    }
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn handlers_hear_in_the_order_they_were_added() {
    let server = FakeServer::default();
    server.put("pods", pod("a", "ua", "n"));
    server.put("pods", pod("b", "ub", "n"));
    let (mut informer, cache) = Informer::<Pod>::new(Api::all(server.client()), ListParams::default());
    let heard = Arc::new(Mutex::new(Vec::new()));
    for handler in [1, 2] {
        let heard = Arc::clone(&heard);
        informer.add_handler(move |delta| heard.lock().unwrap().push((handler, describe(delta))));
    }
    let task = tokio::spawn(informer.run());
    cache.synced().await;
    let expected = [(1, "+a@n"), (2, "+a@n"), (1, "+b@n"), (2, "+b@n")];
    assert_eq!(*heard.lock().unwrap(), expected.map(|(handler, text)| (handler, text.to_owned())));
    task.abort();
}
