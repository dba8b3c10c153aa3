//! Program, arguments, working directory and user of a container.
//!
//! In: the container, the Pod's security context, the image's config, the environment. Out: what the runtime executes.
//! Never: a lookup in the image's files (the runtime resolves names of users).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use piecework_images::ImageConfig;

use super::ConfigError;
use super::expand::expand;

/// Program and arguments: `command` replaces the entrypoint and drops the image's arguments; `args` alone replaces only those.
pub fn arguments(container: &Container, image: &ImageConfig, env: &[(String, String)]) -> Result<Vec<String>, ConfigError> {
    let variables: BTreeMap<String, String> = env.iter().cloned().collect();
    let expanded = |list: &Option<Vec<String>>| -> Vec<String> { list.iter().flatten().map(|text| expand(text, &variables)).collect() };
    let command = expanded(&container.command);
    let args = expanded(&container.args);
    let line = match (command.is_empty(), args.is_empty()) {
        (false, _) => [command, args].concat(),
        (true, false) => [image.entrypoint.clone(), args].concat(),
        (true, true) => [image.entrypoint.clone(), image.cmd.clone()].concat(),
    };
    if line.is_empty() {
        return Err(ConfigError("no command specified: neither the container nor its image names a program".into()));
    }
    Ok(line)
}

/// The container's, else the image's, else the root directory.
pub fn working_dir(container: &Container, image: &ImageConfig) -> String {
    let own = container.working_dir.clone().unwrap_or_default();
    [own, image.working_dir.clone()].into_iter().find(|dir| !dir.is_empty()).unwrap_or_else(|| "/".to_owned())
}

/// `user[:group]` for the runtime; the container's fields win over the Pod's, and both over the image.
pub fn user(spec: &PodSpec, container: &Container, image: &ImageConfig) -> Result<String, ConfigError> {
    let pod = spec.security_context.as_ref();
    let own = container.security_context.as_ref();
    let uid = own.and_then(|own| own.run_as_user).or_else(|| pod.and_then(|pod| pod.run_as_user));
    let gid = own.and_then(|own| own.run_as_group).or_else(|| pod.and_then(|pod| pod.run_as_group));
    let non_root = own.and_then(|own| own.run_as_non_root).or_else(|| pod.and_then(|pod| pod.run_as_non_root)) == Some(true);
    let image_user = image.user.split(':').next().unwrap_or_default();
    if non_root {
        match (uid, image_user) {
            (Some(0), _) => return Err(ConfigError("runAsNonRoot is set but runAsUser is 0".into())),
            (Some(_), _) => {}
            (None, "" | "0") => return Err(ConfigError("container has runAsNonRoot and image will run as root".into())),
            (None, name) if name.parse::<u32>().is_err() => {
                return Err(ConfigError(format!(
                    "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
                )));
            }
            (None, _) => {}
        }
    }
    Ok(match (uid, gid) {
        (Some(uid), Some(gid)) => format!("{uid}:{gid}"),
        (Some(uid), None) => uid.to_string(),
        (None, Some(gid)) if image_user.is_empty() => format!("0:{gid}"),
        (None, Some(gid)) => format!("{image_user}:{gid}"),
        (None, None) if image.user.is_empty() => "0".to_owned(),
        (None, None) => image.user.clone(),
    })
}

/// Further groups of every process: the Pod's supplemental groups and the group of its volumes.
pub fn supplemental_groups(spec: &PodSpec) -> Vec<u32> {
    let Some(context) = &spec.security_context else { return Vec::new() };
    let listed = context.supplemental_groups.iter().flatten().chain(context.fs_group.iter());
    let mut groups: Vec<u32> = Vec::new();
    for group in listed.filter_map(|group| u32::try_from(*group).ok()) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn container(value: Value) -> Container {
        let mut value = value;
        value["name"] = json!("main");
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn command_and_args() {
        // container, entrypoint, cmd, wanted
        let cases = [
            (json!({}), vec!["/e"], vec!["c"], Some("/e c")),
            (json!({}), vec![], vec!["c", "d"], Some("c d")),
            (json!({"args": ["x"]}), vec!["/e"], vec!["c"], Some("/e x")),
            (json!({"command": ["p"]}), vec!["/e"], vec!["c"], Some("p")),
            (json!({"command": ["p"], "args": ["x"]}), vec!["/e"], vec!["c"], Some("p x")),
            (json!({"command": ["$(V)"], "args": ["$$(V)", "$(W)"]}), vec![], vec![], Some("1 $(V) $(W)")),
            (json!({"command": [], "args": []}), vec!["$(V)"], vec![], Some("$(V)")),
            (json!({}), vec![], vec![], None),
        ];
        for (spec, entrypoint, cmd, wanted) in cases {
            let image = ImageConfig {
                entrypoint: entrypoint.into_iter().map(str::to_owned).collect(),
                cmd: cmd.into_iter().map(str::to_owned).collect(),
                ..ImageConfig::default()
            };
            let got = arguments(&container(spec.clone()), &image, &[("V".into(), "1".into())]).ok();
            assert_eq!(got.map(|line| line.join(" ")).as_deref(), wanted, "{spec}");
        }
    }

    #[test]
    fn users() {
        // Pod context, container context, image user, wanted
        let cases = [
            (json!({}), json!({}), "", Ok("0")),
            (json!({}), json!({}), "app:staff", Ok("app:staff")),
            (json!({"runAsUser": 1}), json!({}), "app", Ok("1")),
            (json!({"runAsUser": 1}), json!({"runAsUser": 2, "runAsGroup": 3}), "app", Ok("2:3")),
            (json!({"runAsGroup": 5}), json!({}), "app:staff", Ok("app:5")),
            (json!({"runAsGroup": 5}), json!({}), "", Ok("0:5")),
            (json!({"runAsNonRoot": true}), json!({}), "", Err("image will run as root")),
            (json!({"runAsNonRoot": true}), json!({}), "0:0", Err("image will run as root")),
            (json!({"runAsNonRoot": true}), json!({}), "app", Err("non-numeric user (app)")),
            (json!({"runAsNonRoot": true}), json!({}), "7", Ok("7")),
            (json!({"runAsNonRoot": true}), json!({"runAsUser": 0}), "7", Err("runAsUser is 0")),
            (json!({"runAsNonRoot": true}), json!({"runAsNonRoot": false}), "", Ok("0")),
        ];
        for (pod, own, image, wanted) in cases {
            let spec: PodSpec = serde_json::from_value(json!({"containers": [], "securityContext": pod})).unwrap();
            let image = ImageConfig { user: image.into(), ..ImageConfig::default() };
            let got = user(&spec, &container(json!({"securityContext": own})), &image);
            match wanted {
                Ok(wanted) => assert_eq!(got.unwrap(), wanted),
                Err(part) => assert!(got.unwrap_err().0.contains(part), "{part}"),
            }
        }
    }
}
