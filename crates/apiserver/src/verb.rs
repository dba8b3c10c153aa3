//! Verbs (spec/api.md 2).
//!
//! In: method, path and query. Out: what is to be done, under the name that rules and metrics use. Never: a look at the body.

use http::Method;

use crate::{
    path::{ResourcePath, Target},
    query::Query,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    /// A method with no meaning here.
    Other,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::Other => "other",
        }
    }
}

/// The verb of a request.
pub(crate) fn of(method: &Method, target: &Target, query: &Query) -> Verb {
    let named = !matches!(target, Target::Resource(ResourcePath { name: None, .. }));
    if method == Method::GET || method == Method::HEAD {
        match (named, query.flag("watch")) {
            (true, _) => Verb::Get,
            (false, true) => Verb::Watch,
            (false, false) => Verb::List,
        }
    } else if method == Method::POST {
        Verb::Create
    } else if method == Method::PUT {
        Verb::Update
    } else if method == Method::PATCH {
        Verb::Patch
    } else if method == Method::DELETE {
        if named { Verb::Delete } else { Verb::DeleteCollection }
    } else {
        Verb::Other
    }
}
