//! Pull from a real registry (Debian's docker-registry) on a free loopback port, and what a missing or lying one gives.

use super::builder::*;
use crate::{Error, ImageStore};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

struct Registry {
    process: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a registry and waits for the line in which it says where it listens.
fn start() -> Option<Registry> {
    if Command::new("docker-registry").arg("--version").output().is_err() {
        println!("skipped: docker-registry is not installed (apt-get install docker-registry)");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let config = format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
        directory.path().join("data").display()
    );
    let path = directory.path().join("config.yml");
    std::fs::write(&path, config).unwrap();
    let mut process = Command::new("docker-registry").arg("serve").arg(&path).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.contains("listening on") {
            // Keep reading, or the registry would block on a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            return Some(Registry { process, address, _directory: directory });
        }
    }
    let status = process.wait().unwrap();
    panic!("the registry ended before it listened: {status}");
}

fn request(address: &str, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Pushes a layout's blobs and its manifest under a tag.
fn push(address: &str, repository: &str, tag: &str, layout: &Path, manifest: &str) {
    for entry in std::fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        let digest = format!("sha256:{}", entry.file_name().to_string_lossy());
        if digest == manifest {
            continue;
        }
        let answer = request(address, &format!("POST /v2/{repository}/blobs/uploads/ HTTP/1.1"), b"");
        let location = answer.lines().find_map(|l| l.strip_prefix("Location: ")).unwrap().trim().to_string();
        let path = location.split_once(address).map_or(location.as_str(), |(_, path)| path).to_string();
        let join = if path.contains('?') { '&' } else { '?' };
        let head = format!("PUT {path}{join}digest={digest} HTTP/1.1\r\nContent-Type: application/octet-stream");
        let answer = request(address, &head, &std::fs::read(entry.path()).unwrap());
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
    let bytes = std::fs::read(layout.join("blobs/sha256").join(&manifest[7..])).unwrap();
    let media = "application/vnd.oci.image.manifest.v1+json";
    let answer = request(address, &format!("PUT /v2/{repository}/manifests/{tag} HTTP/1.1\r\nContent-Type: {media}"), &bytes);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_from_a_registry() {
    let Some(registry) = start() else { return };
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("l");
    let layers = vec![layer(&[file("etc/one", "1")]), layer(&[file("big", &"x".repeat(300_000))])];
    let manifest = layout(&source, None, &layers, Compression::Gzip);
    push(&registry.address, "team/perl", "5", &source, &manifest);
    let store = ImageStore::open(&work.path().join("store")).unwrap();
    let reference = format!("{}/team/perl:5", registry.address);

    let pulls = futures::future::join_all((0..8).map(|_| store.pull(&reference))).await;
    for image in pulls {
        assert_eq!(image.unwrap().references, std::slice::from_ref(&reference));
    }
    let image = store.get(&reference).await.unwrap().unwrap();
    assert_eq!(std::fs::read(image.layers[1].join("big")).unwrap().len(), 300_000);

    // The digest names the same image, and a reference by digest is found without another pull.
    let by_digest = format!("{}/team/perl@{manifest}", registry.address);
    assert_eq!(store.get(&by_digest).await.unwrap().unwrap().id, image.id);
    assert_eq!(store.pull(&by_digest).await.unwrap().id, image.id);

    for (name, wanted, expected) in [
        ("no such tag", format!("{}/team/perl:6", registry.address), "not found in the registry"),
        ("no such repository", format!("{}/team/none:6", registry.address), "not found in the registry"),
        ("no such digest", format!("{}/team/perl@{}", registry.address, digest(b"other")), "not found in the registry"),
    ] {
        let error = store.pull(&wanted).await.unwrap_err();
        assert!(
            matches!(&error, Error::Pull { reference, message } if *reference == wanted && message.contains(expected)),
            "{name}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_registry_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let work = tempfile::tempdir().unwrap();
    let store = ImageStore::open(work.path()).unwrap();
    let error = store.pull(&format!("{address}/perl")).await.unwrap_err().to_string();
    assert!(error.contains(&format!("the registry {address} cannot be reached")), "{error}");
}

/// Serves fixed answers by path until the test ends, true or not; counts the requests for manifests.
fn fixed(answers: Vec<(String, &'static str, Vec<u8>)>) -> (String, Arc<AtomicUsize>) {
    let manifests = Arc::new(AtomicUsize::new(0));
    let counter = manifests.clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut first = String::new();
            if reader.read_line(&mut first).is_err() {
                continue;
            }
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                line.clear();
            }
            let path = first.split(' ').nth(1).unwrap_or_default().to_string();
            if path.contains("/manifests/") {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            let (status, media, body) = match answers.iter().find(|(p, _, _)| *p == path) {
                Some((_, media, body)) => ("200 OK", *media, body.clone()),
                None if path == "/v2/" => ("200 OK", "text/plain", vec![]),
                None => ("404 Not Found", "text/plain", vec![]),
            };
            let _ =
                write!(stream, "HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&body);
        }
    });
    (address, manifests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_pulls_of_one_reference_are_one() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("l");
    let layers = vec![layer(&[file("etc/one", "1")])];
    let manifest = layout(&source, None, &layers, Compression::Gzip);
    let mut answers: Vec<(String, &'static str, Vec<u8>)> = vec![];
    for entry in std::fs::read_dir(source.join("blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        let (hex, bytes) = (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap());
        if manifest.ends_with(&hex) {
            answers.push(("/v2/a/manifests/1".into(), "application/vnd.oci.image.manifest.v1+json", bytes));
        } else {
            answers.push((format!("/v2/a/blobs/sha256:{hex}"), "application/octet-stream", bytes));
        }
    }
    let (address, manifests) = fixed(answers);
    let store = ImageStore::open(&work.path().join("store")).unwrap();
    let reference = format!("{address}/a:1");
    let results = futures::future::join_all((0..10).map(|_| store.pull(&reference))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(manifests.load(Ordering::SeqCst), 1);
    // A later one asks again: the tag may have moved.
    store.pull(&reference).await.unwrap();
    assert_eq!(manifests.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lying_registry_leaves_nothing() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("l");
    let layers = vec![layer(&[file("etc/one", "1")])];
    let manifest_digest = layout(&source, None, &layers, Compression::Plain);
    let manifest = std::fs::read(source.join("blobs/sha256").join(&manifest_digest[7..])).unwrap();
    let config = configuration(&layers);
    let media = "application/vnd.oci.image.manifest.v1+json";
    let mut changed = layers[0].clone();
    changed[600] ^= 1;
    let blob = |bytes: &[u8], content: &[u8]| (format!("/v2/a/blobs/{}", digest(bytes)), "application/octet-stream", content.to_vec());
    let at = |version: &str, body: &[u8]| (format!("/v2/a/manifests/{version}"), media, body.to_vec());
    let by_digest = format!("a@{manifest_digest}");
    type Answer = (String, &'static str, Vec<u8>);
    let cases: Vec<(&str, &str, Vec<Answer>)> = vec![
        ("a changed layer", "a:1", vec![at("1", &manifest), blob(&config, &config), blob(&layers[0], &changed)]),
        ("a cut layer", "a:1", vec![at("1", &manifest), blob(&config, &config), blob(&layers[0], &layers[0][..700])]),
        ("a longer layer", "a:1", vec![at("1", &manifest), blob(&config, &config), blob(&layers[0], &layers[0].repeat(2))]),
        ("a changed configuration", "a:1", vec![at("1", &manifest), blob(&config, b"{}"), blob(&layers[0], &layers[0])]),
        ("another manifest", &by_digest, vec![at(&manifest_digest, b"{\"schemaVersion\":2}")]),
    ];
    for (name, reference, answers) in cases {
        let (address, _) = fixed(answers);
        let store = ImageStore::open(&work.path().join(name)).unwrap();
        let error = store.pull(&format!("{address}/{reference}")).await.unwrap_err().to_string();
        assert!(error.to_lowercase().contains("digest"), "{name}: {error}");
        assert!(store.list().await.unwrap().is_empty(), "{name}");
        assert_eq!(std::fs::read_dir(store.root.join("tmp")).unwrap().count(), 0, "{name}");
    }
}
