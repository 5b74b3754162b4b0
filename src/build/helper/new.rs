//! The `new*` commands: their `do*` sibling for one file under another name (PMS 11.3.3.9).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::env::HelperEnv;
use super::error::{FileError, HelperError, all_done, usage};
use super::message::{self, Level};
use super::source::Source;
use super::{doexe, doins, doman};

/// The command a `new*` command stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sibling {
    Doins(doins::Kind),
    Doexe(doexe::Kind),
    Doman,
}

/// Takes the arguments of a `new*` command: a file, or `-` for standard input, and a name.
pub(super) fn run(
    env: &HelperEnv,
    helper: &str,
    sibling: Sibling,
    args: &[OsString],
) -> Result<(), HelperError> {
    let (old, new, more) = match args {
        [old, new, more @ ..] if !new.is_empty() => (old, new, more),
        _ => {
            return Err(usage(
                helper,
                "two arguments needed, the old file and the new name",
            ));
        }
    };
    if !more.is_empty() {
        let more = more.join(OsStr::new(" "));
        let text = format!(
            "QA Notice: {helper} called with more than 2 arguments: {}",
            more.display()
        );
        message::say(env, Level::Qa, &text);
    }
    let name = new_name(new).ok_or_else(|| {
        usage(
            helper,
            format!("the new name must be one, not a path: `{}`", new.display()),
        )
    })?;
    if old == "-" && env.eapi().new_from_stdin() {
        let (_directory, path) = read_stdin(env, helper, &name)?;
        let source = Source {
            path,
            name,
            copied: true,
        };
        return install(env, helper, sibling, source);
    }
    let path = env.path(old);
    // All but newins work on what a link leads to.
    let keeps_link = sibling == Sibling::Doins(doins::Kind::Doins)
        && env.eapi().doins_symlinks()
        && path.is_symlink();
    match fs::metadata(&path) {
        Err(_) => return all_done(helper, vec![FileError::Missing(path)]),
        Ok(found) if found.is_dir() && !keeps_link => {
            return all_done(helper, vec![FileError::Directory(path)]);
        }
        Ok(_) => {}
    }
    install(
        env,
        helper,
        sibling,
        Source {
            path,
            name,
            copied: !keeps_link,
        },
    )
}

fn install(
    env: &HelperEnv,
    helper: &str,
    sibling: Sibling,
    source: Source,
) -> Result<(), HelperError> {
    match sibling {
        Sibling::Doins(kind) => doins::install(env, helper, kind, &[source], false),
        Sibling::Doexe(kind) => doexe::install(env, helper, kind, &[source]),
        Sibling::Doman => all_done(
            helper,
            doman::install(env, &source, None)
                .err()
                .into_iter()
                .collect(),
        ),
    }
}

/// The name without slashes in front; `None` if it leads anywhere else.
fn new_name(name: &OsStr) -> Option<OsString> {
    let mut bytes = name.as_bytes();
    while let Some(shorter) = bytes.strip_prefix(b"/") {
        bytes = shorter;
    }
    let is_name = !bytes.contains(&b'/') && !matches!(bytes, b"" | b"." | b"..");
    is_name.then(|| OsStr::from_bytes(bytes).to_owned())
}

/// Keeps standard input in a temporary directory that lasts as long as the first value given.
fn read_stdin(
    env: &HelperEnv,
    helper: &str,
    name: &OsStr,
) -> Result<(TempDir, PathBuf), HelperError> {
    let temporary = env.require("T")?;
    let failed = |what: String| {
        let helper = helper.to_owned();
        move |source| HelperError::Io {
            helper,
            what,
            source,
        }
    };
    let directory = tempfile::Builder::new()
        .prefix("newins.")
        .tempdir_in(Path::new(&temporary))
        .map_err(failed(format!(
            "cannot create a directory in {}",
            temporary.display()
        )))?;
    let path = directory.path().join(name);
    let mut file =
        fs::File::create(&path).map_err(failed(format!("cannot create {}", path.display())))?;
    match env.copy_stdin(&mut file) {
        None => Err(usage(helper, "standard input is a terminal")),
        Some(copied) => {
            copied.map_err(failed("cannot copy standard input".to_owned()))?;
            Ok((directory, path))
        }
    }
}
