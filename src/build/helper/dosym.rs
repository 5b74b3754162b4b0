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
