//! `dosym` and `dohard`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::Path;

use super::dodir;
use super::env::HelperEnv;
use super::error::{FileError, HelperError, all_done, lossy, usage};
use super::install::{basename, missing_or};

/// Makes a symbolic link in the image.
pub(super) fn dosym(env: &HelperEnv, helper: &str, args: &[OsString]) -> Result<(), HelperError> {
    let (relative, args) = match args.split_first() {
        Some((first, rest)) if first == "-r" && env.eapi().dosym_relative() => (true, rest),
        _ => (false, args),
    };
    let [target, link] = args else {
        return Err(usage(
            helper,
            format!("two arguments needed, got {}", args.len()),
        ));
    };
    let path = env.in_image(link)?;
    let omits_name =
        link.as_bytes().last().is_none_or(|b| *b == b'/') || (path.is_dir() && !path.is_symlink());
    if omits_name {
        let error = usage(
            helper,
            format!("link name omits the basename: `{}`", lossy(link)),
        );
        if env.eapi().helpers_die() {
            return Err(error);
        }
        // Before helpers died, this was said and the link made below the directory.
        env.print_error(format!("{error}\n").as_bytes());
    }
    let text = if relative {
        if !target.as_bytes().starts_with(b"/") {
            let message = format!("-r needs an absolute target, not `{}`", lossy(target));
            return Err(usage(helper, message));
        }
        relative_target(target, link)
    } else {
        target.clone()
    };
    make_parent(env, helper, link)?;
    let path = if omits_name {
        path.join(basename(target))
    } else {
        path
    };
    replace(&path, || symlink(&text, &path)).or_else(|e| {
        all_done(
            helper,
            vec![FileError::io(&path, "cannot create symbolic link", e)],
        )
    })
}

/// Makes a hard link in the image.
pub(super) fn dohard(env: &HelperEnv, helper: &str, args: &[OsString]) -> Result<(), HelperError> {
    let [target, link] = args else {
        return Err(usage(
            helper,
            format!("two arguments needed, got {}", args.len()),
        ));
    };
    let (target, path) = (env.in_image(target)?, env.in_image(link)?);
    make_parent(env, helper, link)?;
    let path = if path.is_dir() {
        path.join(basename(target.as_os_str()))
    } else {
        path
    };
    if let Err(e) = fs::symlink_metadata(&target) {
        return all_done(helper, vec![missing_or(&target, e)]);
    }
    if is_same(&target, &path) {
        return Ok(());
    }
    replace(&path, || fs::hard_link(&target, &path)).or_else(|e| {
        all_done(
            helper,
            vec![FileError::io(&path, "cannot create hard link", e)],
        )
    })
}

fn is_same(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::symlink_metadata(a), fs::symlink_metadata(b)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

/// Creates the directory a link goes to, with the options of `diropts`.
fn make_parent(env: &HelperEnv, helper: &str, link: &OsStr) -> Result<(), HelperError> {
    let bytes = link.as_bytes();
    let Some(slash) = bytes.iter().rposition(|b| *b == b'/') else {
        return Ok(());
    };
    let parent = OsStr::from_bytes(bytes.get(..slash).unwrap_or_default());
    if env.in_image(parent)?.is_dir() {
        return Ok(());
    }
    dodir::dodir(env, helper, &[parent.to_owned()])
}

fn replace(path: &Path, make: impl Fn() -> std::io::Result<()>) -> std::io::Result<()> {
    match make() {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            make()
        }
        other => other,
    }
}

/// An absolute target as seen from a link: what the listing for `dosym -r` in PMS 11.3.3.9 gives.
fn relative_target(target: &OsStr, link: &OsStr) -> OsString {
    let target = canonical_parts(target);
    let mut from = canonical_parts(link);
    from.pop();
    let common = target.iter().zip(&from).take_while(|(a, b)| a == b).count();
    let mut parts: Vec<&[u8]> = vec![b".."; from.len() - common];
    parts.extend(target.iter().skip(common).copied());
    if parts.is_empty() {
        parts.push(b".");
    }
    OsString::from_vec(parts.join(&b'/'))
}

/// The parts of a path from the root, without `.` and `..`, looking at no file.
fn canonical_parts(path: &OsStr) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    for part in path.as_bytes().split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::testing::Build;
    use super::*;
    use crate::claim::rows;

    #[test]
    fn links_get_their_directory_and_need_a_name() {
        let _rows = rows(&[133]);
        let build = Build::new("8");
        build
            .var("__EBD_DIROPTIONS", "-m0700")
            .call(&["dosym", "a", "/new/dir/b"])
            .ok();
        assert_eq!(
            build.listing(),
            ["new/ 755", "new/dir/ 700", "new/dir/b -> a"]
        );
        build.call(&["dosym", "../other", "new/dir/b"]).ok();
        build.call(&["dosym", "/usr", "top"]).ok();
        assert_eq!(build.files(), ["new/dir/b -> ../other", "top -> /usr"]);
        for name in ["/new/dir/", "/new/dir", "/nothing/", ""] {
            let called = build.call(&["dosym", "x", name]);
            let expected = format!("dosym: link name omits the basename: `{name}`");
            assert_eq!(called.error(), expected);
        }
        assert_eq!(
            build.call(&["dosym", "x"]).error(),
            "dosym: two arguments needed, got 1"
        );
        assert_eq!(build.files().len(), 2);
    }

    #[test]
    fn a_link_to_a_directory_is_replaced() {
        let build = Build::new("8");
        build.call(&["dodir", "/d"]).ok();
        build.call(&["dosym", "d", "/l"]).ok();
        build.call(&["dosym", "e", "/l"]).ok();
        assert_eq!(build.listing(), ["d/ 755", "l -> e"]);
    }

    #[test]
    fn before_helpers_died_the_basename_was_only_missed() {
        let build = Build::new("3");
        let called = build.call(&["dosym", "/x/name", "/d/"]).ok();
        assert!(called.stderr.contains("omits the basename"));
        assert_eq!(build.listing(), ["d/ 755", "d/name -> /x/name"]);
    }

    #[test]
    fn relative_targets() {
        let _rows = rows(&[132]);
        for (target, link, text) in [
            ("/usr/lib/x", "/usr/bin/y", "../lib/x"),
            ("/usr/lib/x", "usr/bin/y", "../lib/x"),
            ("/a", "/b", "a"),
            ("/", "/b/c", ".."),
            ("/usr", "/usr/x", "."),
            ("/a/bb", "/a/b/c", "../bb"),
            ("/usr/share/../lib/./x", "/usr//bin/y", "../lib/x"),
            ("/../..", "/a/b", ".."),
            ("//x//y/", "/a/b", "../x/y"),
            ("/x", "/q/../r/s", "../x"),
            ("/a/b/c", "/a/b/c/d/e", ".."),
        ] {
            let found = relative_target(OsStr::new(target), OsStr::new(link));
            assert_eq!(found, text, "{target} {link}");
        }
        let build = Build::new("8");
        build
            .call(&["dosym", "-r", "/usr/lib/x", "/usr/bin/y"])
            .ok();
        assert_eq!(build.files(), ["usr/bin/y -> ../lib/x"]);
        let called = build.call(&["dosym", "-r", "lib/x", "/usr/bin/z"]);
        assert_eq!(
            called.error(),
            "dosym: -r needs an absolute target, not `lib/x`"
        );
        let called = Build::new("7").call(&["dosym", "-r", "/usr/lib/x", "/usr/bin/y"]);
        assert_eq!(called.error(), "dosym: two arguments needed, got 3");
    }

    #[test]
    fn hard_links() {
        let build = Build::new("3");
        build.file("p", "p").call(&["dobin", "p"]).ok();
        build.call(&["dohard", "/usr/bin/p", "/opt/q"]).ok();
        assert!(is_same(
            &build.image().join("usr/bin/p"),
            &build.image().join("opt/q")
        ));
        build.call(&["dohard", "/usr/bin/p", "/opt/q"]).ok();
        assert!(
            build
                .call(&["dohard", "/no", "/x"])
                .error()
                .ends_with("no: does not exist")
        );
    }
}
