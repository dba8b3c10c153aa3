//! Import in every form, the index of references, removal, damage.

use super::builder::*;
use crate::{Error, ImageStore, limits::UnpackLimits};
use std::path::Path;

fn two_layers() -> Vec<Vec<u8>> {
    vec![layer(&[file("etc/one", "1"), file("etc/two", "2")]), layer(&[file("etc/.wh.one", ""), file("etc/three", "3")])]
}

fn count(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[tokio::test]
async fn every_form_gives_the_same_image() {
    for compression in [Compression::Plain, Compression::Gzip, Compression::Zstd] {
        for form in ["directory", "tar", "tar.gz"] {
            let work = tempfile::tempdir().unwrap();
            let source = work.path().join("layout");
            layout(&source, Some("perl"), &[], compression);
            std::fs::remove_dir_all(&source).unwrap();
            layout(&source, Some("example.com/perl:5"), &two_layers(), compression);
            let packed = work.path().join("packed");
            let path = if form == "directory" {
                source.clone()
            } else {
                pack(&source, &packed, form == "tar.gz");
                packed
            };
            let store = ImageStore::open(&work.path().join("store")).unwrap();
            let images = store.import(&path, None).await.unwrap();
            assert_eq!(images[0].references, ["example.com/perl:5"], "{compression:?} {form}");
            let image = store.get("example.com/perl:5").await.unwrap().unwrap();
            assert_eq!(image.layers.len(), 2);
            assert_eq!(std::fs::read_to_string(image.layers[1].join("etc/three")).unwrap(), "3");
            assert_eq!(image.config.entrypoint, ["/bin/e"]);
            assert_eq!((image.config.user.as_str(), image.config.stop_signal.as_deref()), ("1:2", Some("SIGINT")));
            assert_eq!(store.get(&image.id).await.unwrap().unwrap().id, image.id);
            assert_eq!(store.get(&image.id[7..20]).await.unwrap().unwrap().id, image.id);
            assert!(store.get("other").await.unwrap().is_none());
        }
    }
}

#[tokio::test]
async fn docker_archives() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("saved");
    std::fs::create_dir_all(source.join("l1")).unwrap();
    let layers = two_layers();
    std::fs::write(source.join("l1/layer.tar"), &layers[0]).unwrap();
    std::fs::write(source.join("l2.tar"), &layers[1]).unwrap();
    std::fs::write(source.join("c.json"), configuration(&layers)).unwrap();
    std::fs::write(
        source.join("manifest.json"),
        r#"[{"Config":"c.json","RepoTags":["perl:latest","perl:5"],"Layers":["l1/layer.tar","l2.tar"]}]"#,
    )
    .unwrap();
    let packed = work.path().join("saved.tar");
    pack(&source, &packed, false);
    let store = ImageStore::open(&work.path().join("store")).unwrap();
    let images = store.import(&packed, None).await.unwrap();
    assert_eq!(images[0].references, ["docker.io/library/perl:5", "docker.io/library/perl:latest"]);
    // Both tags are one image; removing one keeps the other.
    store.remove("perl:5").await.unwrap();
    assert_eq!(store.get("perl").await.unwrap().unwrap().references, ["docker.io/library/perl:latest"]);
    store.remove(&images[0].id).await.unwrap();
    assert!(store.list().await.unwrap().is_empty());
    assert_eq!(count(&store.root.join("blobs/sha256")) + count(&store.root.join("layers")) + count(&store.root.join("tmp")), 0);
    assert!(matches!(store.remove("perl").await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn removal_leaves_layers_that_a_container_has_locked_to_a_later_one() {
    let work = tempfile::tempdir().unwrap();
    let store = ImageStore::open(&work.path().join("store")).unwrap();
    layout(&work.path().join("a"), Some("x.example/a:1"), &two_layers(), Compression::Gzip);
    let image = store.import(&work.path().join("a"), None).await.unwrap().remove(0);
    let used = std::fs::File::open(&image.layers[0]).unwrap();
    used.lock_shared().unwrap();
    store.remove("x.example/a:1").await.unwrap();
    assert_eq!(std::fs::read_to_string(image.layers[0].join("etc/one")).unwrap(), "1");
    assert_eq!(count(&store.root.join("layers")), 1);
    drop(used);
    store.import(&work.path().join("a"), None).await.unwrap();
    store.remove("x.example/a:1").await.unwrap();
    assert_eq!(count(&store.root.join("layers")), 0);
}

#[tokio::test]
async fn removal_keeps_what_others_share() {
    let work = tempfile::tempdir().unwrap();
    let store = ImageStore::open(&work.path().join("store")).unwrap();
    let layers = two_layers();
    layout(&work.path().join("a"), Some("x.example/a:1"), &layers, Compression::Gzip);
    layout(&work.path().join("b"), None, &layers[..1], Compression::Gzip);
    store.import(&work.path().join("a"), None).await.unwrap();
    let nameless = store.import(&work.path().join("b"), None).await.unwrap_err();
    assert!(nameless.to_string().contains("--name"), "{nameless}");
    store.import(&work.path().join("b"), Some("b")).await.unwrap();
    store.remove("x.example/a:1").await.unwrap();
    let left = store.get("b").await.unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(left.layers[0].join("etc/one")).unwrap(), "1");
    assert_eq!(count(&store.root.join("layers")), 1);
    assert_eq!(count(&store.root.join("blobs/sha256")), 3);
}

#[tokio::test]
async fn damage_is_refused_and_leaves_nothing_visible() {
    type Damage = fn(&Path, &str);
    let cases: Vec<(&str, Damage, &str)> = vec![
        ("a changed layer", |d, _| change(d, |b| b.len() > 1000, |b| b[600] ^= 1), "digest mismatch"),
        ("a cut layer", |d, _| change(d, |b| b.len() > 1000, |b| b.truncate(700)), "digest mismatch"),
        ("a missing manifest", |d, m| std::fs::remove_file(d.join("blobs/sha256").join(&m[7..])).unwrap(), "lacks blobs/sha256"),
        ("no layout", |d, _| std::fs::remove_file(d.join("index.json")).unwrap(), "neither an OCI layout"),
        (
            "index.json is a link out",
            |d, _| {
                std::fs::remove_file(d.join("index.json")).unwrap();
                std::os::unix::fs::symlink("/etc/hostname", d.join("index.json")).unwrap();
            },
            "leaves the root",
        ),
        (
            "a path as digest",
            |d, _| {
                std::fs::write(d.join("index.json"), r#"{"manifests":[{"digest":"sha256:../../../x","size":1}]}"#).unwrap();
            },
            "64 hexadecimal",
        ),
    ];
    for (name, damage, expected) in cases {
        let work = tempfile::tempdir().unwrap();
        let manifest = layout(&work.path().join("l"), Some("perl:x"), &two_layers(), Compression::Plain);
        damage(&work.path().join("l"), &manifest);
        let store = ImageStore::open(&work.path().join("store")).unwrap();
        let error = store.import(&work.path().join("l"), None).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
        assert!(store.list().await.unwrap().is_empty(), "{name}");
        assert_eq!(count(&store.root.join("tmp")), 0, "{name} left something in tmp");
    }
}

fn change(directory: &Path, wanted: fn(&[u8]) -> bool, edit: fn(&mut Vec<u8>)) {
    for entry in std::fs::read_dir(directory.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if wanted(&bytes) {
            edit(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
            return;
        }
    }
    panic!("no blob to damage");
}

#[tokio::test]
async fn a_layer_that_is_not_what_the_configuration_promises() {
    let work = tempfile::tempdir().unwrap();
    let (layers, others) = (two_layers(), vec![layer(&[file("x", "y")]), layer(&[])]);
    // The blobs' digests fit the manifest, but the configuration speaks of other content.
    let source = work.path().join("l");
    layout(&source, Some("perl:x"), &layers, Compression::Gzip);
    let config = configuration(&others);
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(source.join("index.json")).unwrap()).unwrap();
    let at = |digest: &str| source.join("blobs/sha256").join(&digest[7..]);
    let old = index["manifests"][0]["digest"].as_str().unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(at(old)).unwrap()).unwrap();
    manifest["config"]["digest"] = digest(&config).into();
    manifest["config"]["size"] = config.len().into();
    let bytes = serde_json::to_vec(&manifest).unwrap();
    std::fs::write(at(&digest(&config)), &config).unwrap();
    std::fs::write(at(&digest(&bytes)), &bytes).unwrap();
    std::fs::write(
        source.join("index.json"),
        serde_json::json!({"manifests": [{"digest": digest(&bytes), "size": bytes.len(), "annotations": {"io.containerd.image.name": "perl"}}]}).to_string(),
    )
    .unwrap();
    let store = ImageStore::open(&work.path().join("store")).unwrap();
    let error = store.import(&source, None).await.unwrap_err().to_string();
    assert!(error.contains("digest mismatch"), "{error}");
    assert!(store.get("perl").await.unwrap().is_none());
}

#[tokio::test]
async fn bombs_stop_at_the_limit_and_leftovers_go() {
    let work = tempfile::tempdir().unwrap();
    layout(&work.path().join("l"), Some("perl:x"), &[layer(&[file("zeros", &"0".repeat(1 << 20))])], Compression::Gzip);
    let root = work.path().join("store");
    let store = ImageStore::open_with_limits(&root, UnpackLimits { bytes: 1 << 19, entries: 10 }).unwrap();
    let error = store.import(&work.path().join("l"), None).await.unwrap_err().to_string();
    assert!(error.contains("more than 524288 bytes"), "{error}");
    // What a killed import would have left.
    std::fs::create_dir_all(root.join("tmp/dead/fs/etc")).unwrap();
    std::fs::write(root.join("tmp/half"), "x").unwrap();
    let store = ImageStore::open(&root).unwrap();
    assert_eq!(count(&root.join("tmp")), 0);
    assert_eq!(store.import(&work.path().join("l"), None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn several_imports_at_once() {
    let work = tempfile::tempdir().unwrap();
    let store = ImageStore::open(&work.path().join("store")).unwrap();
    let layers = two_layers();
    let paths: Vec<_> = (0..6)
        .map(|n| {
            let path = work.path().join(format!("l{n}"));
            layout(&path, Some(&format!("x.example/i{n}:1")), &layers, Compression::Gzip);
            path
        })
        .collect();
    // A second store object on the same directory stands for a second process.
    let second = ImageStore::open(&store.root).unwrap();
    let imports = paths.iter().enumerate().map(|(n, p)| if n % 2 == 0 { store.import(p, None) } else { second.import(p, None) });
    for result in futures::future::join_all(imports).await {
        result.unwrap();
    }
    assert_eq!(store.list().await.unwrap()[0].references.len(), 6);
    assert_eq!(count(&store.root.join("layers")), 2);
}
