//! `kubectl --as`: acting as somebody else (spec/api.md 4.2, 7).
//!
//! In: the caller and the `Impersonate-*` headers. Out: who the request is to be judged as. Never: the headers ignored (the request would run
//! with more rights than its sender asked for), or honoured for a caller who may not impersonate.

use http::HeaderMap;
use piecework_api::status::Status;

use crate::{authentication::Identity, authorization, failure::Outcome};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// The identity that counts. None stays None: nobody can impersonate before being somebody.
pub(crate) fn apply(caller: Option<Identity>, headers: &HeaderMap) -> Outcome<Option<Identity>> {
    let sent = |name: &str| headers.contains_key(name);
    let others = sent(GROUP) || sent(UID) || headers.keys().any(|name| name.as_str().starts_with(EXTRA));
    let user = match headers.get(USER).map(|value| value.to_str()) {
        None if !others => return Ok(caller),
        None => return Err(Status::bad_request("requested groups, uid or extra without impersonating a user").into()),
        Some(Ok(user)) if !user.is_empty() => user.to_owned(),
        Some(_) => return Err(Status::bad_request("the name of the user to impersonate is empty or not printable").into()),
    };
    let Some(caller) = caller else { return Ok(None) };
    if !authorization::all_powerful(&caller) {
        let why = format!(
            "users {user:?} is forbidden: User {:?} cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
            caller.user
        );
        return Err(Status::failure(403, "Forbidden", why).into());
    }
    let groups = headers.get_all(GROUP).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
    Ok(Some(Identity { user, groups }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn table_of_headers() {
        let admin = Identity { user: "admin".into(), groups: vec!["system:masters".into()] };
        let eve = Identity { user: "eve".into(), groups: vec![] };
        type Case<'a> = (Option<&'a Identity>, &'a [(&'static str, &'static str)], Result<Option<&'a str>, u16>);
        let cases: &[Case<'_>] = &[
            (Some(&admin), &[], Ok(Some("admin system:masters"))),
            (None, &[], Ok(None)),
            (Some(&admin), &[(USER, "bob")], Ok(Some("bob "))),
            (Some(&admin), &[(USER, "bob"), (GROUP, "a"), (GROUP, "b")], Ok(Some("bob a,b"))),
            (Some(&admin), &[(GROUP, "a")], Err(400)),
            (Some(&admin), &[("impersonate-extra-scopes", "a")], Err(400)),
            (Some(&admin), &[(USER, "")], Err(400)),
            (Some(&eve), &[(USER, "admin"), (GROUP, "system:masters")], Err(403)),
            (None, &[(USER, "admin")], Ok(None)),
        ];
        for (caller, sent, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in *sent {
                headers.append(*name, value.parse().unwrap());
            }
            let got = match apply(caller.cloned(), &headers) {
                Ok(identity) => Ok(identity.map(|identity| format!("{} {}", identity.user, identity.groups.join(",")))),
                Err(Failure::Status(status)) => Err(status.code),
                Err(Failure::PageNotFound) => Err(404),
            };
            assert_eq!(got, expected.map(|identity| identity.map(str::to_owned)), "{sent:?}");
        }
    }
}
