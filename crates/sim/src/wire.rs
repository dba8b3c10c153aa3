//! The wire between each client and the API server, where faults happen.
//!
//! In: requests of a `kube::Client`, the server of the moment (or none). Out: answers, broken connections, answers that no server gave.
//! Never: a change of what is asked; an answer of a server that has crashed meanwhile.

use std::{
    collections::VecDeque,
    future::Future as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, Method, Request, Response, StatusCode, request::Parts};
use http_body_util::BodyExt;
use piecework_apiserver::{ApiServer, Identity};
use serde_json::json;
use tokio::{
    sync::{SetOnce, mpsc},
    time::{Instant, sleep},
};
use tower::{BoxError, ServiceExt};

use crate::{
    clock::SimulatedClock,
    faults::{Faults, Kind, Shape},
    journal::Journal,
    random::Random,
};

/// Milliseconds after which a component that crashed in a request starts again.
const DOWNTIMES: [u64; 4] = [5, 400, 4000, 40_000];
/// How long a request waits whose component, or server, is about to crash.
const UNANSWERED: Duration = Duration::from_secs(1);

/// A running server and the news of its crash.
#[derive(Clone)]
pub struct Served {
    pub server: ApiServer,
    pub down: Arc<SetOnce<()>>,
}

/// What all clients share.
pub struct Wire {
    served: Mutex<Option<Served>>,
    pub faults: Mutex<Faults>,
    pub clock: SimulatedClock,
    pub journal: Journal,
    /// Crashes that happen in the middle of a request, with the milliseconds until the restart.
    crashes: mpsc::UnboundedSender<(Kind, u64)>,
}

/// One life of one client: cut for ever when its component crashes.
pub struct Link {
    client: &'static str,
    wire: Arc<Wire>,
    alive: AtomicBool,
    has_faults: bool,
}

impl Wire {
    /// With the crashes that the requests bring about.
    pub fn new(faults: Faults, clock: SimulatedClock, journal: Journal) -> (Arc<Self>, mpsc::UnboundedReceiver<(Kind, u64)>) {
        // Unbounded: one entry per injected crash.
        let (crashes, wanted) = mpsc::unbounded_channel();
        (Arc::new(Wire { served: Mutex::new(None), faults: Mutex::new(faults), clock, journal, crashes }), wanted)
    }

    pub fn serve(&self, server: ApiServer) {
        *self.served() = Some(Served { server, down: Arc::new(SetOnce::new()) });
    }

    /// Breaks every connection.
    pub fn take_down(&self) {
        if let Some(served) = self.served().take() {
            // Set only here, once per server.
            let _ = served.down.set(());
        }
    }

    fn served(&self) -> MutexGuard<'_, Option<Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client for one life of a component. `has_faults` false: only crashes of the server disturb it.
    pub fn client(self: &Arc<Self>, client: &'static str, has_faults: bool) -> (kube::Client, Arc<Link>) {
        let link = Arc::new(Link { client, wire: Arc::clone(self), alive: AtomicBool::new(true), has_faults });
        let own = Arc::clone(&link);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| Arc::clone(&own).send(request));
        (kube::Client::new(service, "default"), link)
    }
}

fn shape(parts: &Parts) -> Shape {
    let query = parts.uri.query().unwrap_or_default();
    match parts.method {
        Method::GET if query.contains("watch=true") => Shape::Watch,
        // Collections end with their plural; a name or "status" follows otherwise.
        Method::GET if query.contains("limit=") || query.contains("labelSelector=") => Shape::List,
        Method::GET => Shape::Read,
        Method::PUT | Method::PATCH => Shape::Update,
        _ => Shape::Write,
    }
}

fn broken(why: &str) -> BoxError {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, format!("simulated: {why}")).into()
}

fn status(code: StatusCode, reason: &str, retry_after: Option<u64>) -> Response<Body> {
    let document = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code.as_u16(), "reason": reason,
        "message": format!("simulated {reason}"), "details": {"retryAfterSeconds": retry_after.unwrap_or(0)}});
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = code;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
    }
    response
}

impl Link {
    /// The component has crashed: nothing of it reaches the server any more.
    pub fn cut(&self) {
        self.alive.store(false, Ordering::Relaxed);
    }

    async fn send(self: Arc<Self>, request: Request<kube::client::Body>) -> Result<Response<Body>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| broken(&error.to_string()))?.to_bytes();
        let shape = shape(&parts);
        let what = format!("{} {}", parts.method, parts.uri.path());
        if !self.has_faults {
            return self.ask(&parts, &body).await;
        }
        let (fault, mut random) = self.wire.faults().draw(self.client, shape, &what);
        let latency = self.wire.faults().latency(&mut random);
        if latency > 0 {
            sleep(Duration::from_millis(latency)).await;
        }
        let Some(kind) = fault else { return self.ask(&parts, &body).await };
        self.wire.journal.note(&self.wire.clock, || format!("fault {} {kind} {what}", self.client));
        let pause = Duration::from_millis(random.pick(&[1, 20, 300, 1500, 6000, 20_000]));
        match kind {
            Kind::LoseRequest => {
                if random.chance(500) {
                    sleep(pause).await;
                }
                Err(broken("the request was lost"))
            }
            Kind::LoseAnswer => {
                self.ask(&parts, &body).await?;
                sleep(pause).await;
                Err(broken("the answer was lost"))
            }
            Kind::DelayRequest => {
                sleep(pause).await;
                self.ask(&parts, &body).await
            }
            Kind::DelayAnswer | Kind::StaleList => {
                let answer = self.ask(&parts, &body).await?;
                sleep(pause).await;
                Ok(answer)
            }
            Kind::Duplicate => {
                self.ask(&parts, &body).await?;
                if random.chance(500) {
                    sleep(pause).await;
                }
                self.ask(&parts, &body).await
            }
            Kind::Conflict => Ok(status(StatusCode::CONFLICT, "Conflict", None)),
            Kind::TooManyRequests => Ok(status(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", Some(random.between(1, 4)))),
            Kind::ServerError => Ok(status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", None)),
            Kind::Gone if random.chance(500) => Ok(status(StatusCode::GONE, "Expired", None)),
            Kind::Gone => {
                let event = json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": "simulated: too old resource version", "reason": "Expired", "code": 410}});
                Ok(Response::new(Body::from(format!("{event}\n"))))
            }
            Kind::CutWatch => Ok(self.ask(&parts, &body).await?.map(|body| cut_off(body, pause, &mut random))),
            Kind::CrashControllers | Kind::CrashAgent | Kind::CrashServer => {
                // Before or after the request is carried out; the answer never comes.
                if random.chance(500) {
                    self.ask(&parts, &body).await?;
                }
                // The simulation listens as long as it runs.
                let _ = self.wire.crashes.send((kind, random.pick(&DOWNTIMES)));
                sleep(UNANSWERED).await;
                Err(broken("the answer never came"))
            }
            Kind::ResetMachine | Kind::ClockJump => Err(broken("this fault is not one of requests")),
        }
    }

    /// Asks the server of the moment. When it crashes, what it was doing stops there.
    async fn ask(&self, parts: &Parts, body: &Bytes) -> Result<Response<Body>, BoxError> {
        if !self.alive.load(Ordering::Relaxed) {
            return Err(broken("this client's component has crashed"));
        }
        let served = self.wire.served().clone();
        let Some(served) = served else { return Err(broken("connection refused")) };
        let user = format!("system:piecework:{}", self.client);
        let identity = Identity { user, groups: vec!["system:masters".into(), "system:authenticated".into()] };
        let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
        let answer = tokio::select! {
            biased;
            _ = served.down.wait() => return Err(broken("the server crashed")),
            answer = served.server.in_process(identity).oneshot(request) => answer?,
        };
        Ok(answer.map(|body| until_down(body, served.down)))
    }
}

/// The body of a crashed server breaks.
fn until_down(body: Body, down: Arc<SetOnce<()>>) -> Body {
    let chunks = stream::unfold(Some((body.into_data_stream(), down)), |state| async move {
        let (mut chunks, down) = state?;
        tokio::select! {
            biased;
            _ = down.wait() => Some((Err(broken("the server crashed")), None)),
            chunk = chunks.next() => match chunk? {
                Ok(chunk) => Some((Ok(chunk), Some((chunks, down)))),
                Err(error) => Some((Err(error.into()), None)),
            },
        }
    });
    Body::from_stream(chunks)
}

/// A watch that ends after a while: in good order, broken, or in the middle of its last chunk.
fn cut_off(body: Body, after: Duration, random: &mut Random) -> Body {
    let (deadline, broken_off, half) = (Instant::now() + after, random.chance(600), random.chance(500));
    let mut chunks = body.into_data_stream();
    let mut timer = Box::pin(tokio::time::sleep_until(deadline));
    let mut last: VecDeque<Result<Bytes, BoxError>> = VecDeque::new();
    let mut over = false;
    Body::from_stream(stream::poll_fn(move |context| {
        if let Some(chunk) = last.pop_front() {
            return Poll::Ready(Some(chunk));
        }
        if over {
            return Poll::Ready(None);
        }
        if timer.as_mut().poll(context).is_ready() {
            over = true;
            if broken_off {
                // What is on its way now arrives in part.
                if let (true, Poll::Ready(Some(Ok(chunk)))) = (half, chunks.poll_next_unpin(context)) {
                    last.push_back(Err(broken("the watch was cut in the middle of an event")));
                    return Poll::Ready(Some(Ok(chunk.slice(..chunk.len() / 2))));
                }
                return Poll::Ready(Some(Err(broken("the watch was cut"))));
            }
            return Poll::Ready(None);
        }
        chunks.poll_next_unpin(context).map(|chunk| chunk.map(|chunk| chunk.map_err(Into::into)))
    }))
}
