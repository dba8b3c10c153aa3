//! Who a container runs as.
//!
//! In: `user[:group]` and the image's own `/etc/passwd` and `/etc/group`. Out: numbers, the home directory, supplementary groups.
//! Never: looks at the host's user database.

use std::path::Path;

use super::inside_root;
use crate::Error;

/// Largest user database that is read, in bytes.
const MAX_DATABASE_BYTES: u64 = 1 << 20;

/// The resolved user.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

/// Resolves inside the root filesystem.
pub fn resolve(root: &Path, user: &str, supplemental: &[u32]) -> Result<User, Error> {
    let read = |path: &str| {
        inside_root::read_text(root, path, MAX_DATABASE_BYTES)
            .map(Option::unwrap_or_default)
            .map_err(|error| Error::Failed(format!("read {path} of the image: {error}")))
    };
    resolve_in(&read("/etc/passwd")?, &read("/etc/group")?, user, supplemental).map_err(Error::Failed)
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn entries(passwd: &str) -> impl Iterator<Item = Entry<'_>> {
    passwd.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        Some(Entry {
            name: fields.first()?,
            uid: fields.get(2)?.parse().ok()?,
            gid: fields.get(3)?.parse().ok()?,
            home: fields.get(5).unwrap_or(&""),
        })
    })
}

fn resolve_in(passwd: &str, group: &str, user: &str, supplemental: &[u32]) -> Result<User, String> {
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let by_name = entries(passwd).find(|entry| entry.name == user);
    let number = user.parse::<u32>().ok();
    let entry = by_name.or_else(|| number.and_then(|uid| entries(passwd).find(|entry| entry.uid == uid)));
    let uid = match (&entry, number) {
        (Some(entry), _) => entry.uid,
        (None, Some(uid)) => uid,
        (None, None) => return Err(format!("unable to find user {user}: no matching entries in passwd file")),
    };
    let named_gid = |name: &str| {
        group.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
        })
    };
    let gid = match wanted_group {
        Some(name) => named_gid(name)
            .or_else(|| name.parse().ok())
            .ok_or_else(|| format!("unable to find group {name}: no matching entries in group file"))?,
        None => entry.as_ref().map_or(0, |entry| entry.gid),
    };
    // Membership from the image counts only when no group was chosen, as the other runtimes do it.
    let mut groups: Vec<u32> = match (&entry, wanted_group) {
        (Some(entry), None) => memberships(group, entry.name).collect(),
        _ => Vec::new(),
    };
    groups.extend(supplemental);
    if !groups.contains(&gid) {
        // Explicit, so that the shim's own groups are never inherited.
        groups.insert(0, gid);
    }
    groups.sort_unstable();
    groups.dedup();
    let home = entry.map(|entry| entry.home).filter(|home| !home.is_empty()).unwrap_or("/").to_owned();
    Ok(User { uid, gid, groups, home })
}

fn memberships<'a>(group: &'a str, user: &'a str) -> impl Iterator<Item = u32> + 'a {
    group.lines().filter_map(move |line| {
        let fields: Vec<&str> = line.split(':').collect();
        let member = fields.get(3)?.split(',').any(|member| member == user);
        if member { fields.get(2)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n12:x:77:78::/twelve:\nbroken line\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\nwheel:x:10:root,app\naudio:x:29:app\n";

    #[test]
    fn users_and_groups() {
        type Resolved<'a> = Result<(u32, u32, &'a [u32], &'a str), &'a str>;
        let rows: &[(&str, &[u32], Resolved<'_>)] = &[
            ("", &[], Ok((0, 0, &[0, 10], "/root"))),
            ("app", &[], Ok((1000, 1001, &[10, 29, 1001], "/home/app"))),
            ("1000", &[5], Ok((1000, 1001, &[5, 10, 29, 1001], "/home/app"))),
            ("app:wheel", &[], Ok((1000, 10, &[10], "/home/app"))),
            ("4242", &[], Ok((4242, 0, &[0], "/"))),
            ("4242:4343", &[7], Ok((4242, 4343, &[7, 4343], "/"))),
            ("12", &[], Ok((77, 78, &[78], "/twelve"))),
            ("nobody", &[], Err("unable to find user nobody: no matching entries in passwd file")),
            ("app:none", &[], Err("unable to find group none: no matching entries in group file")),
        ];
        for (user, supplemental, expected) in rows {
            let expected = match expected {
                Ok((uid, gid, groups, home)) => Ok(User { uid: *uid, gid: *gid, groups: groups.to_vec(), home: (*home).into() }),
                Err(text) => Err((*text).to_owned()),
            };
            assert_eq!(resolve_in(PASSWD, GROUP, user, supplemental), expected, "{user}");
        }
    }
}
