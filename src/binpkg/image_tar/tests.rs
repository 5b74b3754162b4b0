use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::claim::rows;
use filetime::{FileTime, set_file_mtime};

use super::*;

/// An image with everything that a header has to express.
fn image() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let long = format!("usr/share/{}/{}", "d".repeat(90), "n".repeat(60));
    for name in ["usr/bin", "usr/share/doc", "usr/empty", "var"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::create_dir_all(root.join(&long)).unwrap();
    fs::write(root.join(&long).join("file"), "deep").unwrap();
    fs::write(root.join("usr/bin/tool"), vec![7; 70_000]).unwrap();
    fs::write(root.join("usr/bin/block"), vec![8; 1024]).unwrap();
    fs::write(root.join("usr/empty.txt"), "").unwrap();
    fs::write(root.join("usr/share/doc/größe"), "x").unwrap();
    fs::write(
        root.join("usr/share/doc")
            .join(OsString::from_vec(b"\xff".to_vec())),
        "y",
    )
    .unwrap();
    // One name of exactly as many bytes as the header holds, and one of one more.
    fs::write(root.join("var").join("e".repeat(94)), "").unwrap();
    fs::write(root.join("var").join("f".repeat(95)), "").unwrap();
    fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/alias")).unwrap();
    fs::hard_link(root.join(&long).join("file"), root.join("var/link")).unwrap();
    symlink("tool", root.join("usr/bin/soft")).unwrap();
    symlink("t".repeat(100), root.join("usr/bin/hundred")).unwrap();
    symlink("t".repeat(101), root.join("usr/bin/more")).unwrap();
    symlink("/nowhere", root.join("dangling")).unwrap();
    nix::unistd::mkfifo(
        &root.join("var/pipe"),
        nix::sys::stat::Mode::from_bits_truncate(0o640),
    )
    .unwrap();
    fs::set_permissions(
        root.join("usr/bin/tool"),
        fs::Permissions::from_mode(0o4711),
    )
    .unwrap();
    fs::set_permissions(root.join("var"), fs::Permissions::from_mode(0o1777)).unwrap();
    set_file_mtime(
        root.join("usr/empty.txt"),
        FileTime::from_unix_time(86_400, 0),
    )
    .unwrap();
    set_file_mtime(
        root.join("usr/bin/tool"),
        FileTime::from_unix_time(1_600_000_000, 120_000_000),
    )
    .unwrap();
    directory
}

fn pack(root: &Path, options: Options) -> Vec<u8> {
    let mut archive = Vec::new();
    write_image(root, options, &mut archive).unwrap();
    archive
}

/// The same by GNU tar, or nothing where tar is another.
fn gnu_tar(root: &Path, options: &[&str]) -> Option<Vec<u8>> {
    let version = Command::new("tar").arg("--version").output().ok()?;
    if !version.stdout.starts_with(b"tar (GNU tar)") {
        return None;
    }
    let output = Command::new("tar")
        .args(["--sort=name", "-cf", "-"])
        .args(options)
        .arg("-C")
        .arg(root)
        .arg(".")
        .output();
    Some(output.unwrap().stdout)
}

/// The position of the first byte that differs, with what is around it.
fn assert_same(ours: &[u8], theirs: &[u8]) {
    if ours == theirs {
        return;
    }
    let position = ours
        .iter()
        .zip(theirs)
        .position(|(one, other)| one != other)
        .unwrap_or(ours.len().min(theirs.len()));
    let block = position / BLOCK * BLOCK;
    let show = |bytes: &[u8]| {
        bytes
            .get(block..block + BLOCK)
            .map(|block| block.escape_ascii().to_string())
    };
    panic!(
        "{} and {} bytes differ at {} of block {block}\nours:   {:?}\ntheirs: {:?}",
        ours.len(),
        theirs.len(),
        position - block,
        show(ours),
        show(theirs)
    );
}

#[test]
fn equals_gnu_tar() {
    let image = image();
    if let Some(theirs) = gnu_tar(image.path(), &[]) {
        assert_same(&pack(image.path(), Options::default()), &theirs);
    }
}

#[test]
fn equals_gnu_tar_with_xattrs() {
    let image = image();
    let file = image.path().join("usr/bin/tool");
    if xattr::set(&file, "user.ebd.test", b"\0binary=\xff").is_err() {
        return;
    }
    xattr::set(image.path().join("usr/bin/block"), "user.a=b%", b"").unwrap();
    xattr::set(image.path().join("usr"), "user.dir", b"on a directory").unwrap();
    let options = [
        "--xattrs",
        "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
    ];
    if let Some(theirs) = gnu_tar(image.path(), &options) {
        assert_same(
            &pack(
                image.path(),
                Options {
                    xattrs: true,
                    ..Options::default()
                },
            ),
            &theirs,
        );
    }
}

/// The same by Python's tarfile in the format it has for the name, or nothing where there is no Python 3.11.
fn python_tar(root: &Path, format: &str) -> Option<Vec<u8>> {
    let program = format!(
        "import sys, tarfile\n\
         if sys.version_info < (3, 11): sys.exit(9)\n\
         with tarfile.open(mode='w|', fileobj=sys.stdout.buffer, format=tarfile.{format}) as tar:\n \
         tar.add(sys.argv[1], 'image', recursive=True)\n"
    );
    let output = Command::new("python3")
        .args(["-c", &program])
        .arg(root)
        .output()
        .ok()?;
    if output.status.code() == Some(9) {
        return None;
    }
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output.stdout)
}

fn as_gpkg() -> Options {
    Options {
        layout: Layout::Gpkg,
        // Not packed there.
        xattrs: true,
        ..Options::default()
    }
}

#[test]
fn writes_what_python_writes_into_a_gpkg() {
    let image = image();
    fs::remove_file(image.path().join("var/pipe")).unwrap();
    let not_utf8 = OsString::from_vec(b"\xff".to_vec());
    fs::remove_file(image.path().join("usr/share/doc").join(not_utf8)).unwrap();
    // Long names and targets are there, so the format is GNU's.
    if let Some(theirs) = python_tar(image.path(), "GNU_FORMAT") {
        assert_same(&pack(image.path(), as_gpkg()), &theirs);
    }
    fs::remove_file(image.path().join("usr/bin/hundred")).unwrap();
    fs::remove_file(image.path().join("usr/bin/more")).unwrap();
    let deep = format!("usr/share/{}", "d".repeat(90));
    fs::remove_dir_all(image.path().join(&deep)).unwrap();
    let long = image
        .path()
        .join(format!("usr/{}/{}", "p".repeat(99), "q".repeat(40)));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("n".repeat(99)), "split").unwrap();
    let archive = pack(image.path(), as_gpkg());
    assert_eq!(archive.get(257..265), Some(&b"ustar\x0000"[..]));
    if let Some(theirs) = python_tar(image.path(), "USTAR_FORMAT") {
        assert_same(&archive, &theirs);
    }
}

#[test]
fn refuses_what_portage_would_not_unpack_from_a_gpkg() {
    let image = image();
    let not_utf8 = OsString::from_vec(b"\xff".to_vec());
    let refused = |image: &Path| {
        write_image(image, as_gpkg(), io::sink())
            .unwrap_err()
            .to_string()
    };
    let error = refused(image.path());
    assert!(error.contains("no file whose name is not UTF-8"), "{error}");
    fs::remove_file(image.path().join("usr/share/doc").join(not_utf8)).unwrap();
    let error = refused(image.path());
    assert!(
        error.contains("var/pipe: Portage unpacks no pipe"),
        "{error}"
    );
}

#[test]
fn the_builder_becomes_root() {
    let _rows = rows(&[136, 182]);
    let image = image();
    let metadata = fs::metadata(image.path().join("usr")).unwrap();
    let owners = Owners::RootFor {
        uid: metadata.uid(),
        gid: metadata.gid(),
    };
    let archive = pack(
        image.path(),
        Options {
            owners,
            ..Options::default()
        },
    );
    let mut reader = tar::Archive::new(&archive[..]);
    let mut names = Vec::new();
    for entry in reader.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(
            (header.username().unwrap(), header.groupname().unwrap()),
            (Some("root"), Some("root"))
        );
        names.push(String::from_utf8_lossy(&entry.path_bytes()).into_owned());
    }
    assert_eq!(names.first().map(String::as_str), Some("./"));
    assert!(names.iter().any(|name| name.ends_with(&"f".repeat(95))));

    let others = Owners::RootFor {
        uid: metadata.uid() + 1,
        gid: metadata.gid() + 1,
    };
    assert_eq!(
        pack(
            image.path(),
            Options {
                owners: others,
                ..Options::default()
            }
        ),
        pack(image.path(), Options::default())
    );
}

#[test]
fn leaves_sockets_out_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    fs::write(directory.path().join("file"), "x").unwrap();
    let packed = write_image(directory.path(), Options::default(), io::sink()).unwrap();
    assert_eq!(
        packed,
        Packed {
            entries: 2,
            sockets: vec!["socket".into()]
        }
    );
}

#[test]
fn names_what_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let error = write_image(
        &directory.path().join("none"),
        Options::default(),
        io::sink(),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("none: cannot be read for packing"),
        "{error}"
    );
}
