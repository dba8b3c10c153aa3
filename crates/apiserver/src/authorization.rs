//! Who may do what: the rule of this version, until role-based rules exist.
//!
//! In: an identity and what it wants. Out: allowed, or the 403 of spec/api.md 6.8. Never: a default of "allowed".

use piecework_api::status::{Details, Status};

use crate::{
    authentication::Identity,
    failure::{Failure, Outcome},
    path::{ResourcePath, Target},
    verb::Verb,
};

/// Groups whose members may do everything: administrators, node agents, and components of this program.
const ALL_POWERFUL: &[&str] = &["system:masters", "system:nodes", "system:piecework"];

/// Whether an identity may do everything.
pub(crate) fn all_powerful(identity: &Identity) -> bool {
    identity.groups.iter().any(|group| ALL_POWERFUL.contains(&group.as_str()))
}

/// Whether a target is open to callers without a certificate: health, and nothing else.
pub(crate) fn open_to_all(target: &Target) -> bool {
    matches!(target, Target::Health { .. })
}

/// Refuses what the caller may not do. Discovery and questions about oneself are open to every known caller, as upstream's default roles have it.
pub(crate) fn authorize(caller: Option<&Identity>, target: &Target, verb: Verb, path: &str) -> Outcome<()> {
    if open_to_all(target) {
        return Ok(());
    }
    let Some(identity) = caller else { return Err(Status::unauthorized().into()) };
    if all_powerful(identity) {
        return Ok(());
    }
    match target {
        Target::Version | Target::CoreVersions | Target::Groups | Target::Group(_) | Target::Resources { .. } => Ok(()),
        Target::OpenApiV2 | Target::OpenApiV3Index | Target::OpenApiV3(_) => Ok(()),
        Target::Virtual { resource, .. } if resource.about_oneself => Ok(()),
        Target::Resource(resource) => Err(forbidden(identity, verb, resource)),
        _ => {
            let why = format!("forbidden: User {:?} cannot {} path {path:?}", identity.user, verb.name());
            Err(Status::failure(403, "Forbidden", why).into())
        }
    }
}

fn forbidden(identity: &Identity, verb: Verb, path: &ResourcePath) -> Failure {
    let kind = path.kind;
    let name = path.name.clone().unwrap_or_default();
    let resource = match &path.subresource {
        Some(subresource) => format!("{}/{subresource}", kind.plural),
        None => kind.plural.to_owned(),
    };
    let place = match &path.namespace {
        Some(namespace) => format!("in the namespace {namespace:?}"),
        None => "at the cluster scope".to_owned(),
    };
    let subject = if name.is_empty() { kind.qualified_resource() } else { format!("{} {name:?}", kind.qualified_resource()) };
    let mut status = Status::failure(
        403,
        "Forbidden",
        format!(
            "{subject} is forbidden: User {:?} cannot {} resource {resource:?} in API group {:?} {place}",
            identity.user,
            verb.name(),
            kind.group
        ),
    );
    status.details = Some(Details { name, group: kind.group.to_owned(), kind: kind.plural.to_owned(), ..Details::default() });
    status.into()
}
