//! Property: whatever happens to the connection, the cache ends equal to the server, and the deltas tell a consistent story that leads there.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::ConfigMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fake_server::{FakeServer, Fault};

#[derive(Debug, Clone)]
enum Step {
    /// Writes the object of this number, as another object if it is gone.
    Put(u8),
    Delete(u8),
    Cut,
    Break,
    Expire,
    Bookmark,
    Fail(&'static str, Fault),
    /// Lets the informer work for so many milliseconds.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(Fault::Refuse(500, "InternalError")),
        Just(Fault::Refuse(410, "Expired")),
        Just(Fault::LoseRequest),
        Just(Fault::LoseAnswer),
        Just(Fault::Hang),
        Just(Fault::EndAtOnce),
    ];
    let verb = prop_oneof![Just("list"), Just("watch")];
    prop_oneof![
        8 => (0u8..5).prop_map(Step::Put),
        4 => (0u8..5).prop_map(Step::Delete),
        1 => Just(Step::Cut),
        1 => Just(Step::Break),
        1 => Just(Step::Expire),
        1 => Just(Step::Bookmark),
        2 => (verb, fault).prop_map(|(verb, fault)| Step::Fail(verb, fault)),
        4 => (0u64..200).prop_map(Step::Wait),
    ]
}

/// (uid, resource version) by key.
type Picture = BTreeMap<String, (String, String)>;

fn paint(object: &ConfigMap) -> (String, String) {
    let metadata = object.metadata.clone();
    (metadata.uid.unwrap(), metadata.resource_version.unwrap())
}

/// Applies a delta to what all deltas so far told; panics when it contradicts them.
fn tell(told: &mut Picture, delta: &Delta<ConfigMap>) {
    let key = object_key(&**delta.object());
    match delta {
        Delta::Added(new) => assert_eq!(told.insert(key, paint(new)), None),
        Delta::Updated { old, new } => {
            assert_eq!(old.metadata.uid, new.metadata.uid);
            assert_ne!(paint(old), paint(new));
            assert_eq!(told.insert(key, paint(new)), Some(paint(old)));
        }
        Delta::Deleted(old) => {
            let before = told.remove(&key).unwrap();
            assert_eq!(Some(before.0), old.metadata.uid);
        }
    }
}

fn on_server(server: &FakeServer) -> Picture {
    let text = |object: &Value, name: &str| object["metadata"][name].as_str().unwrap().to_owned();
    let objects = server.objects("configmaps");
    let row = |object: &Value| {
        let painted = (text(object, "uid"), text(object, "resourceVersion"));
        (format!("ns/{}", text(object, "name")), painted)
    };
    objects.iter().map(row).collect()
}

async fn run(steps: Vec<Step>) {
    let server = FakeServer::default();
    let (mut informer, cache) = Informer::<ConfigMap>::new(Api::all(server.client()), ListParams::default());
    let told = Arc::new(Mutex::new(Picture::new()));
    informer.add_index("uid", |object: &ConfigMap| object.metadata.uid.iter().cloned().collect());
    informer.add_handler({
        let told = Arc::clone(&told);
        move |delta| tell(&mut told.lock().unwrap(), delta)
    });
    let task = tokio::spawn(informer.run());
    let mut alive: BTreeMap<u8, String> = BTreeMap::new();
    for (at, step) in steps.into_iter().enumerate() {
        match step {
            Step::Put(number) => {
                let uid = alive.entry(number).or_insert_with(|| format!("u{at}"));
                let metadata = json!({"name": format!("c{number}"), "namespace": "ns", "uid": uid});
                server.put("configmaps", json!({"metadata": metadata}));
            }
            Step::Delete(number) => {
                if alive.remove(&number).is_some() {
                    server.delete("configmaps", &format!("ns/c{number}"));
                }
            }
            Step::Cut => server.cut_watches(),
            Step::Break => server.break_watches(),
            Step::Expire => server.expire_history(),
            Step::Bookmark => server.bookmark("configmaps"),
            Step::Fail(verb, fault) => server.fail_next(verb, fault),
            Step::Wait(milliseconds) => sleep(Duration::from_millis(milliseconds)).await,
        }
    }
    // Ten hours of the paused clock: long enough for every timeout and delay.
    sleep(Duration::from_secs(36_000)).await;
    assert!(!task.is_finished(), "a handler panicked");
    let expected = on_server(&server);
    let cached: Picture = cache.list().iter().map(|object| (object_key(&**object), paint(object))).collect();
    assert_eq!(cached, expected);
    assert_eq!(*told.lock().unwrap(), expected);
    for (key, (uid, _)) in &expected {
        let found = cache.by_index("uid", uid);
        assert_eq!(found.len(), 1);
        assert_eq!(object_key(&*found[0]), *key);
    }
    task.abort();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_cache_ends_equal_to_the_server(steps in prop::collection::vec(step(), 1..40)) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(run(steps));
    }
}
