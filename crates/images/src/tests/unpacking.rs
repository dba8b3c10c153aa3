//! Layers become directories for overlayfs; hostile ones are refused and touch nothing outside.

use super::builder::*;
use crate::{
    Error,
    limits::UnpackLimits,
    unpack::{Purpose, unpack},
};
use std::{
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::Path,
};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn unpack_here(entries: &[Entry], limits: UnpackLimits) -> (tempfile::TempDir, Result<crate::unpack::Unpacked, Error>) {
    // The root of the layer lies two levels down, so that an escape would land in a place we can look at.
    let outer = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(outer.path().join("a/fs")).unwrap();
    let result = unpack(&layer(entries)[..], &outer.path().join("a/fs"), Purpose::Layer, limits);
    (outer, result)
}

fn opaque(path: &Path) -> bool {
    let name = if is_root() { "trusted.overlay.opaque" } else { "user.overlay.opaque" };
    let mut value = [0u8; 8];
    matches!(rustix::fs::lgetxattr(path, name, &mut value[..]), Ok(1)) && value[0] == b'y'
}

fn whiteout(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.file_type().is_char_device() && m.rdev() == 0)
}

#[test]
fn files_links_modes_and_attributes() {
    let mut setuid = file("usr/bin/su", "x");
    setuid.mode = 0o4755;
    setuid.uid = 7;
    setuid.xattrs = vec![("user.note".into(), b"hello".to_vec()), ("trusted.overlay.redirect".into(), b"/etc".to_vec())];
    let mut sticky = directory("tmp/");
    sticky.mode = 0o1777;
    let (outer, result) = unpack_here(
        &[
            directory("./"),
            symlink("bin", "usr/bin"),
            setuid,
            hard_link("usr/bin/sudo", "usr/bin/su"),
            file("bin/through-link", "y"),
            symlink("absolute", "/etc/passwd"),
            sticky,
            device("dev/null"),
            file("twice", "first"),
            file("twice", "second"),
        ],
        UnpackLimits::default(),
    );
    assert_eq!(result.unwrap().skipped_devices, 1);
    let root = outer.path().join("a/fs");
    let su = root.join("usr/bin/su").metadata().unwrap();
    assert_eq!(su.permissions().mode() & 0o7777, 0o4755);
    assert_eq!(su.mtime(), 1_000_000_000);
    assert_eq!(su.ino(), root.join("usr/bin/sudo").metadata().unwrap().ino());
    if is_root() {
        assert_eq!((su.uid(), su.gid()), (7, 7));
    }
    let mut value = [0u8; 16];
    assert_eq!(rustix::fs::getxattr(root.join("usr/bin/su"), "user.note", &mut value[..]), Ok(5));
    assert!(rustix::fs::getxattr(root.join("usr/bin/su"), "trusted.overlay.redirect", &mut value[..]).is_err());
    assert_eq!(std::fs::read_to_string(root.join("usr/bin/through-link")).unwrap(), "y");
    assert_eq!(std::fs::read_link(root.join("absolute")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(root.join("tmp").metadata().unwrap().permissions().mode() & 0o7777, 0o1777);
    assert_eq!(std::fs::read_to_string(root.join("twice")).unwrap(), "second");
    assert!(!root.join("dev/null").exists());
}

#[test]
fn whiteouts_become_what_overlayfs_reads() {
    let (outer, result) = unpack_here(
        &[
            file("etc/.wh.gone", ""),
            file("opaque/.wh..wh..opq", ""),
            file("opaque/new", "n"),
            // The same layer has the name again, before and after the whiteout.
            file("kept", "k"),
            file(".wh.kept", ""),
            file(".wh.again", ""),
            directory("again"),
            file(".wh.file", ""),
            file("file", "f"),
            directory("here"),
            file(".wh.here", ""),
            file(".wh..wh.plnk", ""),
        ],
        UnpackLimits::default(),
    );
    result.unwrap();
    let root = outer.path().join("a/fs");
    assert!(whiteout(&root.join("etc/gone")));
    assert!(opaque(&root.join("opaque")) && root.join("opaque/new").is_file());
    assert_eq!(std::fs::read_to_string(root.join("kept")).unwrap(), "k");
    assert!(root.join("again").is_dir() && opaque(&root.join("again")));
    assert_eq!(std::fs::read_to_string(root.join("file")).unwrap(), "f");
    assert!(opaque(&root.join("here")));
    assert!(!opaque(&root.join("etc")));
    assert!(!root.join(".wh.plnk").exists());
}

#[test]
fn hostile_layers_are_refused_and_touch_nothing_outside() {
    let many: Vec<Entry> = (0..20).map(|n| file(&format!("f{n}"), "")).collect();
    let cases: Vec<(&str, Vec<Entry>, &str)> = vec![
        ("absolute path", vec![file("/evil", "x")], "absolute path"),
        ("dot dot", vec![file("../evil", "x")], "'..'"),
        ("dot dot inside", vec![file("a/../../evil", "x")], "'..'"),
        ("through a relative link", vec![symlink("l", "../.."), file("l/evil", "x")], "leaves the root"),
        ("through an absolute link", vec![symlink("l", "/tmp"), file("l/evil", "x")], "leaves the root"),
        ("whiteout through a link", vec![symlink("l", "../.."), file("l/.wh.a", "")], "leaves the root"),
        ("opaque through a link", vec![symlink("l", "../.."), file("l/.wh..wh..opq", "")], "leaves the root"),
        ("directory through a link", vec![symlink("l", "../.."), directory("l/evil")], "leaves the root"),
        ("hard link with dot dot", vec![hard_link("h", "../secret")], "leaves the root"),
        ("absolute hard link", vec![hard_link("h", "/etc/passwd")], "leaves the root"),
        ("hard link through a link", vec![symlink("l", "../.."), hard_link("h", "l/secret")], "leaves the root"),
        ("hard link to nothing", vec![hard_link("h", "nothing")], "not in the same layer"),
        ("hard link to a directory", vec![directory("d"), hard_link("h", "d")], "a directory"),
        ("whiteout of dot dot", vec![file("d/.wh...", "")], "names nothing"),
        ("whiteout of nothing", vec![file("d/.wh.", "")], "names nothing"),
        ("loop", vec![symlink("l", "l"), file("l/x", "")], "loop"),
        ("below a file", vec![file("f", ""), file("f/x", "")], "not a directory"),
        ("file over a full directory", vec![file("d/x", ""), file("d", "")], "has content"),
        ("too many entries", many, "more than 10 entries"),
        ("too many bytes", vec![file("big", &"x".repeat(100_000))], "more than 65536 bytes"),
    ];
    for (name, entries, expected) in cases {
        let (outer, result) = unpack_here(&entries, UnpackLimits { bytes: 65536, entries: 10 });
        std::fs::write(outer.path().join("secret"), "s").unwrap();
        let message = result.map(|_| ()).unwrap_err().to_string();
        assert!(message.contains(expected), "{name}: {message}");
        assert!(!outer.path().join("evil").exists() && !Path::new("/tmp/evil").exists(), "{name} escaped");
        assert!(!opaque(outer.path()), "{name} marked a directory outside");
        assert_eq!(outer.path().join("secret").metadata().unwrap().nlink(), 1, "{name} linked a file outside");
    }
}

#[test]
fn a_final_link_is_replaced_and_not_written_through() {
    let outer = tempfile::tempdir().unwrap();
    let victim = outer.path().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    let root = outer.path().join("fs");
    std::fs::create_dir(&root).unwrap();
    let bytes = layer(&[symlink("l", victim.to_str().unwrap()), file("l", "evil")]);
    unpack(&bytes[..], &root, Purpose::Layer, UnpackLimits::default()).unwrap();
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(std::fs::read_to_string(root.join("l")).unwrap(), "evil");
}

#[test]
fn damaged_archives_are_an_error() {
    let whole = layer(&[file("f", &"x".repeat(5000))]);
    for (name, bytes) in [("cut", &whole[..2000]), ("no tar", &b"this is not a tar archive, but it is long enough".repeat(40)[..])] {
        let target = tempfile::tempdir().unwrap();
        let error = unpack(bytes, target.path(), Purpose::Layer, UnpackLimits::default()).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{name}: {error}");
    }
}
