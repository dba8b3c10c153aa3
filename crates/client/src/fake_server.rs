//! An API server for tests: objects of any kind in memory, lists with pages, watches with history, and faults on demand.
//!
//! In: requests of a `kube::Client`, through a tower service without a socket. Out: answers and watch streams as a server gives them.
//! Never: part of the product; knows only what informer, recorder and patches need.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::stream;
use futures::{Stream, StreamExt};
use http::{Method, Request, Response};
use http_body_util::StreamBody;
use kube::client::Body;
use serde_json::{Value, json};
use tower::BoxError;

/// What happens to the next request of a verb ("list", "watch", "create", "patch").
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Refused with a Status of this code and reason.
    Refuse(u16, &'static str),
    /// Never arrives: a connection error.
    LoseRequest,
    /// Is done, but its answer never arrives.
    LoseAnswer,
    /// Neither an answer nor an error, ever.
    Hang,
    /// A watch that begins and ends at once.
    EndAtOnce,
}

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub content_type: String,
    pub body: Value,
}

type Chunk = Result<http_body::Frame<Bytes>, BoxError>;

struct Watcher {
    plural: String,
    sender: mpsc::UnboundedSender<Chunk>,
}

struct Recorded {
    version: u64,
    plural: String,
    line: Value,
}

#[derive(Default)]
struct State {
    version: u64,
    oldest: u64,
    /// By plural and "namespace/name".
    objects: BTreeMap<(String, String), Value>,
    history: Vec<Recorded>,
    watchers: Vec<Watcher>,
    faults: VecDeque<(&'static str, Fault)>,
    requests: Vec<Asked>,
    /// Told of each request.
    asked: Arc<tokio::sync::Notify>,
    /// Continue tokens are refused as expired.
    tokens_expire: bool,
}

#[derive(Clone, Default)]
pub(crate) struct FakeServer(Arc<Mutex<State>>);

fn frame(value: &Value) -> http_body::Frame<Bytes> {
    let mut line = serde_json::to_vec(value).unwrap();
    line.push(b'\n');
    http_body::Frame::data(line.into())
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": format!("fake {reason}"), "reason": reason, "code": code})
}

fn expired_event() -> Value {
    json!({"type": "ERROR", "object": status(410, "Expired")})
}

impl State {
    fn record(&mut self, plural: &str, kind: &str, object: &Value) {
        let line = json!({"type": kind, "object": object});
        self.watchers.retain(|watcher| !watcher.sender.is_closed());
        for watcher in self.watchers.iter().filter(|w| w.plural == plural) {
            watcher.sender.unbounded_send(Ok(frame(&line))).unwrap();
        }
        self.history.push(Recorded { version: self.version, plural: plural.to_owned(), line });
    }

    fn put(&mut self, plural: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let key = (plural.to_owned(), key_of(&object));
        let kind = match self.objects.insert(key, object.clone()) {
            None => "ADDED",
            Some(_) => "MODIFIED",
        };
        self.record(plural, kind, &object);
        object
    }
}

fn key_of(object: &Value) -> String {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}

impl FakeServer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.serve(request).await }
        });
        kube::Client::new(service, "default")
    }

    pub(crate) fn put(&self, plural: &str, object: Value) {
        self.state().put(plural, object);
    }

    pub(crate) fn delete(&self, plural: &str, key: &str) {
        let mut state = self.state();
        let key = (plural.to_owned(), key.to_owned());
        let mut object = state.objects.remove(&key).unwrap();
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        state.record(plural, "DELETED", &object);
    }

    pub(crate) fn objects(&self, plural: &str) -> Vec<Value> {
        let state = self.state();
        let of_kind = state.objects.iter().filter(|(key, _)| key.0 == plural);
        of_kind.map(|(_, object)| object.clone()).collect()
    }

    /// Waits until `reached` holds for the requests so far.
    pub(crate) async fn until(&self, reached: impl Fn(&[Asked]) -> bool) {
        loop {
            let asked = self.state().asked.clone();
            let mut next = std::pin::pin!(asked.notified());
            // Enlisted before looking, so that a request in between is not missed.
            next.as_mut().enable();
            if reached(&self.requests()) {
                return;
            }
            next.await;
        }
    }

    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.state().requests.clone()
    }

    pub(crate) fn fail_next(&self, verb: &'static str, fault: Fault) {
        self.state().faults.push_back((verb, fault));
    }

    pub(crate) fn expire_tokens(&self) {
        self.state().tokens_expire = true;
    }

    /// Ends every watch in good order.
    pub(crate) fn cut_watches(&self) {
        self.state().watchers.clear();
    }

    /// Breaks every watch's connection.
    pub(crate) fn break_watches(&self) {
        for watcher in self.state().watchers.drain(..) {
            // A watch that nobody reads any more cannot be broken.
            let _ = watcher.sender.unbounded_send(Err("connection reset".into()));
        }
    }

    /// Forgets all history; open watches are told by an ERROR event.
    pub(crate) fn expire_history(&self) {
        let mut state = self.state();
        state.history.clear();
        state.oldest = state.version;
        for watcher in state.watchers.drain(..) {
            let _ = watcher.sender.unbounded_send(Ok(frame(&expired_event())));
        }
    }

    pub(crate) fn bookmark(&self, plural: &str) {
        let state = self.state();
        let line = json!({"type": "BOOKMARK", "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": state.version.to_string(), "creationTimestamp": null}}});
        for watcher in state.watchers.iter().filter(|w| w.plural == plural) {
            // A watch that nobody reads any more needs none.
            let _ = watcher.sender.unbounded_send(Ok(frame(&line)));
        }
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<StreamBody<stream::BoxStream<'static, Chunk>>>, BoxError> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect_bytes().await?;
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let content_type = parts.headers.get(http::header::CONTENT_TYPE);
        let asked = Asked {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: query.clone(),
            content_type: content_type.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        };
        let parameters: BTreeMap<String, String> =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let verb = match parts.method {
            Method::POST => "create",
            Method::PATCH => "patch",
            _ if parameters.contains_key("watch") => "watch",
            _ => "list",
        };
        let fault = {
            let mut state = self.state();
            state.requests.push(asked.clone());
            state.asked.notify_waiters();
            let at = state.faults.iter().position(|(of, _)| *of == verb);
            at.and_then(|at| state.faults.remove(at)).map(|(_, fault)| fault)
        };
        match &fault {
            Some(Fault::Refuse(code, reason)) => return Ok(answer(*code, &status(*code, reason))),
            Some(Fault::LoseRequest) => return Err("connection refused".into()),
            Some(Fault::Hang) => std::future::pending::<()>().await,
            Some(Fault::EndAtOnce) => return Ok(streamed(200, stream::empty())),
            Some(Fault::LoseAnswer) | None => {}
        }
        let place = Place::of(&asked.path);
        let response = match verb {
            "list" => self.list(&place, &parameters),
            "watch" => self.watch(&place, &parameters),
            "create" => self.create(&place, asked.body),
            _ => self.patch(&place, &asked.body),
        };
        match fault {
            Some(_) => Err("connection reset".into()),
            None => Ok(response),
        }
    }

    fn list(&self, place: &Place, parameters: &BTreeMap<String, String>) -> Response<StreamBody<stream::BoxStream<'static, Chunk>>> {
        let state = self.state();
        let token = parameters.get("continue");
        if token.is_some() && state.tokens_expire {
            return answer(410, &status(410, "Expired"));
        }
        let start: usize = token.map_or(0, |token| token.parse().unwrap());
        let limit: usize = parameters.get("limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
        let of_kind: Vec<&Value> = state.objects.iter().filter(|(key, _)| key.0 == place.plural).map(|(_, object)| object).collect();
        let items: Vec<&&Value> = of_kind.iter().skip(start).take(limit).collect();
        let end = start + items.len();
        let mut metadata = json!({"resourceVersion": state.version.to_string()});
        if end < of_kind.len() {
            metadata["continue"] = json!(end.to_string());
        }
        answer(200, &json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
    }

    fn watch(&self, place: &Place, parameters: &BTreeMap<String, String>) -> Response<StreamBody<stream::BoxStream<'static, Chunk>>> {
        let mut state = self.state();
        let after: u64 = parameters["resourceVersion"].parse().unwrap();
        if after < state.oldest {
            return answer(410, &status(410, "Expired"));
        }
        let (sender, receiver) = mpsc::unbounded();
        for recorded in &state.history {
            if recorded.version > after && recorded.plural == place.plural {
                sender.unbounded_send(Ok(frame(&recorded.line))).unwrap();
            }
        }
        state.watchers.push(Watcher { plural: place.plural.clone(), sender });
        streamed(200, receiver)
    }

    fn create(&self, place: &Place, object: Value) -> Response<StreamBody<stream::BoxStream<'static, Chunk>>> {
        let mut state = self.state();
        let key = (place.plural.clone(), key_of(&object));
        if state.objects.contains_key(&key) {
            return answer(409, &status(409, "AlreadyExists"));
        }
        answer(201, &state.put(&place.plural, object))
    }

    fn patch(&self, place: &Place, document: &Value) -> Response<StreamBody<stream::BoxStream<'static, Chunk>>> {
        let mut state = self.state();
        let key = (place.plural.clone(), format!("{}/{}", place.namespace, place.name));
        let Some(mut object) = state.objects.get(&key).cloned() else {
            return answer(404, &status(404, "NotFound"));
        };
        // Only what the recorder sends: a flat merge patch.
        for (name, value) in document.as_object().unwrap() {
            object[name] = value.clone();
        }
        answer(200, &state.put(&place.plural, object))
    }
}

/// What a path under /api/v1 names.
struct Place {
    namespace: String,
    plural: String,
    name: String,
}

impl Place {
    fn of(path: &str) -> Place {
        let mut words = path.trim_start_matches("/api/v1/").split('/').map(str::to_owned).peekable();
        let mut namespace = String::new();
        if words.next_if(|word| word == "namespaces").is_some() {
            namespace = words.next().unwrap();
        }
        Place { namespace, plural: words.next().unwrap(), name: words.next().unwrap_or_default() }
    }
}

fn answer(code: u16, value: &Value) -> Response<StreamBody<stream::BoxStream<'static, Chunk>>> {
    let chunk = Ok::<_, Infallible>(frame(value)).map_err(|never| match never {});
    streamed(code, stream::iter([chunk]))
}

fn streamed(code: u16, chunks: impl Stream<Item = Chunk> + Send + 'static) -> Response<StreamBody<stream::BoxStream<'static, Chunk>>> {
    Response::builder().status(code).header("content-type", "application/json").body(StreamBody::new(chunks.boxed())).unwrap()
}
