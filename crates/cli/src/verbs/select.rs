//! Words, manifests, labels -> the single objects that `delete`, `wait` and `describe` work on.
//!
//! In: targets, file names, selectors. Out: resource, namespace and name of each object. Never: a change on the server.

use crate::{
    Context,
    failure::Failure,
    manifest,
    options::Scope,
    resources::{Resource, Resources},
    server::with_query,
    target, watching,
};

/// One object that was meant.
#[derive(Debug, Clone)]
pub struct Selected {
    pub resource: Resource,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    pub name: String,
}

impl Selected {
    pub fn path(&self) -> String {
        self.resource.object(&self.namespace, &self.name)
    }

    /// The collection narrowed down to this object, for list and watch.
    pub fn narrowed(&self) -> String {
        let field = format!("metadata.name={}", self.name);
        with_query(&self.resource.collection(Some(&self.namespace)), &[("fieldSelector", &field)])
    }

    /// `job.batch/pi`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.resource.full_singular(), self.name)
    }
}

/// What the user may have said.
#[derive(Debug, Default)]
pub struct Selection<'a> {
    pub targets: &'a [String],
    pub filenames: &'a [String],
    pub selector: Option<&'a str>,
    pub all: bool,
    pub all_namespaces: bool,
}

/// The namespace of the option, else of the kubeconfig's context.
pub fn namespace<'a>(context: &'a Context, scope: &'a Scope) -> &'a str {
    scope.namespace.as_deref().unwrap_or_else(|| context.server.default_namespace())
}

/// Finds the objects. Named ones are not looked up; selected ones are listed.
pub async fn select(context: &Context, resources: &Resources, scope: &Scope, selection: Selection<'_>) -> Result<Vec<Selected>, Failure> {
    let namespace = namespace(context, scope);
    if !selection.filenames.is_empty() {
        let mut selected = Vec::new();
        for object in manifest::read_all(selection.filenames)? {
            let resource = resources.of_object(&object)?.clone();
            let own = object["metadata"]["namespace"].as_str().filter(|n| !n.is_empty());
            check_namespace(scope, own)?;
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_string();
            if name.is_empty() {
                return Err(Failure::usage(format!("a {} of the manifest has only a generateName: name the object itself", resource.kind)));
            }
            let namespace = if resource.namespaced { own.unwrap_or(namespace).to_string() } else { String::new() };
            selected.push(Selected { resource, namespace, name });
        }
        return Ok(selected);
    }
    let mut selected = Vec::new();
    for target in target::parse(selection.targets)? {
        for resource in resources.find_all(&target.kind)? {
            let in_namespace = if resource.namespaced { namespace.to_string() } else { String::new() };
            if !target.names.is_empty() {
                if selection.selector.is_some() || selection.all {
                    return Err(Failure::usage("name objects, or select them with -l or --all, not both"));
                }
                if selection.all_namespaces && resource.namespaced {
                    return Err(Failure::usage("a resource cannot be retrieved by name across all namespaces"));
                }
                let object = |name: &String| Selected { resource: resource.clone(), namespace: in_namespace.clone(), name: name.clone() };
                selected.extend(target.names.iter().map(object));
                continue;
            }
            if selection.selector.is_none() && !selection.all {
                return Err(Failure::usage(format!(
                    "resource(s) were provided, but no name was specified: name {}, or use -l or --all",
                    target.kind
                )));
            }
            let collection = resource.collection(if selection.all_namespaces { None } else { Some(namespace) });
            let path = with_query(&collection, &[("labelSelector", selection.selector.unwrap_or_default())]);
            for object in watching::list(&context.server, &path).await?.0 {
                let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_string();
                selected.push(Selected { resource: resource.clone(), namespace: text("namespace"), name: text("name") });
            }
        }
    }
    Ok(selected)
}

/// `-n` and the manifest must agree.
pub fn check_namespace(scope: &Scope, own: Option<&str>) -> Result<(), Failure> {
    match (&scope.namespace, own) {
        (Some(given), Some(own)) if given != own => Err(Failure::usage(format!(
            "the namespace from the provided object {own:?} does not match the namespace {given:?}. You must pass '--namespace={own}' to perform this operation."
        ))),
        _ => Ok(()),
    }
}
