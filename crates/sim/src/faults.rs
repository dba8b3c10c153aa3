//! Which faults happen, and when: drawn per request from the seed, so that each one has a name and can be switched off.
//!
//! In: the seed, the requests of each client in their order, the faults that a shrunk run still allows. Out: at most one fault per request.
//! Never: a fault after `heal`; a lie that no API server tells (a 409 for a create, a list older than one that was asked for consistently).

use std::{collections::BTreeMap, collections::BTreeSet, fmt, sync::Arc};

use crate::random::Random;

/// What can go wrong between a client and the API, and to the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Never arrives; the client sees a broken connection.
    LoseRequest,
    /// Is carried out, but the answer never arrives.
    LoseAnswer,
    /// Arrives late.
    DelayRequest,
    /// The answer arrives late, when the world may have moved on.
    DelayAnswer,
    /// Arrives twice; the client sees the second answer.
    Duplicate,
    /// 409 as after a lost race of two writers.
    Conflict,
    /// 429 with Retry-After.
    TooManyRequests,
    /// 500.
    ServerError,
    /// A watch that ends: in good order, by a broken connection, or in the middle of an event.
    CutWatch,
    /// A watch that is told 410: as its first event, or as its answer.
    Gone,
    /// A list that was made before, and is delivered after, other changes.
    StaleList,
    CrashControllers,
    CrashAgent,
    /// Store and API server: what was not synced is forgotten.
    CrashServer,
    /// All containers end as if the machine had been reset.
    ResetMachine,
    /// The wall clock of everyone leaps forward.
    ClockJump,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

const WRITE: &[Kind] = &[
    Kind::LoseRequest,
    Kind::LoseAnswer,
    Kind::DelayRequest,
    Kind::DelayAnswer,
    Kind::Duplicate,
    Kind::TooManyRequests,
    Kind::ServerError,
];
const UPDATE: &[Kind] = &[
    Kind::LoseRequest,
    Kind::LoseAnswer,
    Kind::DelayRequest,
    Kind::DelayAnswer,
    Kind::Duplicate,
    Kind::Conflict,
    Kind::TooManyRequests,
    Kind::ServerError,
];
const READ: &[Kind] = &[Kind::LoseRequest, Kind::DelayRequest, Kind::DelayAnswer, Kind::TooManyRequests, Kind::ServerError];
const LIST: &[Kind] = &[Kind::LoseRequest, Kind::DelayRequest, Kind::StaleList, Kind::TooManyRequests, Kind::ServerError];
const WATCH: &[Kind] = &[Kind::LoseRequest, Kind::DelayRequest, Kind::CutWatch, Kind::CutWatch, Kind::Gone, Kind::TooManyRequests];

/// What a request is, as far as faults are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Watch,
    List,
    Read,
    /// PUT and PATCH: writes that race with others.
    Update,
    /// POST and DELETE.
    Write,
}

impl Shape {
    fn kinds(self) -> &'static [Kind] {
        match self {
            Shape::Watch => WATCH,
            Shape::List => LIST,
            Shape::Read => READ,
            Shape::Update => UPDATE,
            Shape::Write => WRITE,
        }
    }
}

/// A fault that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// Client (or component) and number: what a shrunk run switches on or off.
    pub id: String,
    pub kind: Kind,
    /// The request, or what was done.
    pub what: String,
}

impl fmt::Display for Injected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.id, self.kind, self.what)
    }
}

/// The faults of one run.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    per_thousand: u64,
    /// Requests at which their component, or the server, crashes.
    crashes_per_thousand: u64,
    /// Longest time that a request takes when nothing is wrong, in milliseconds.
    latency: u64,
    /// Kinds of this seed: few at a time find what all together hide.
    kinds: BTreeSet<Kind>,
    allowed: Option<Arc<BTreeSet<String>>>,
    healed: bool,
    asked: BTreeMap<&'static str, u64>,
    pub injected: Vec<Injected>,
}

impl Faults {
    pub fn new(seed: u64, allowed: Option<Arc<BTreeSet<String>>>) -> Self {
        let mut random = Random::of(seed, "faults", 0);
        let per_thousand = random.pick(&[0, 20, 50, 100, 200, 300]);
        let share = random.pick(&[250, 500, 1000]);
        let kinds = [WRITE, UPDATE, LIST, WATCH].concat().into_iter().filter(|_| random.chance(share)).collect();
        let crashes_per_thousand = random.pick(&[0, 0, 2, 6, 20]);
        // Without latency all that follows from one event happens in one instant, and no crash comes in between.
        let latency = random.pick(&[0, 2, 30, 400]);
        Faults {
            seed,
            per_thousand,
            crashes_per_thousand,
            latency,
            kinds,
            allowed,
            healed: false,
            asked: BTreeMap::new(),
            injected: Vec::new(),
        }
    }

    /// From now on nothing goes wrong any more.
    pub fn heal(&mut self) {
        self.healed = true;
    }

    /// The fault of a client's next request, with the numbers that decide its details.
    pub fn draw(&mut self, client: &'static str, shape: Shape, what: &str) -> (Option<Kind>, Random) {
        let number = self.asked.entry(client).or_insert(0);
        *number += 1;
        let number = *number;
        let mut random = Random::of(self.seed, client, number);
        if self.healed {
            return (None, random);
        }
        let id = format!("{client}#{number}");
        if random.chance(self.crashes_per_thousand) {
            let own = if client == "agent" { Kind::CrashAgent } else { Kind::CrashControllers };
            let kind = random.pick(&[own, own, Kind::CrashServer]);
            return (self.inject(id, kind, what).then_some(kind), random);
        }
        if !random.chance(self.per_thousand) {
            return (None, random);
        }
        let kind = random.pick(shape.kinds());
        let fault = self.kinds.contains(&kind) && self.inject(id, kind, what);
        (fault.then_some(kind), random)
    }

    /// Milliseconds that a request takes on its way.
    pub fn latency(&self, random: &mut Random) -> u64 {
        if self.healed { 0 } else { random.between(0, self.latency) }
    }

    /// Notes a fault, if this run has it.
    pub fn inject(&mut self, id: String, kind: Kind, what: &str) -> bool {
        if self.healed || self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&id)) {
            return false;
        }
        self.injected.push(Injected { id, kind, what: what.to_owned() });
        true
    }
}
