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

#[cfg(test)]
mod tests {
    use crate::claim::rows;
    use std::os::unix::fs::MetadataExt;

    use super::super::Stdin;
    use super::super::testing::Build;

    #[test]
    fn files_get_new_names() {
        let build = Build::new("8");
        build.file("a.1", "x").var("__EBD_EXEDESTTREE", "/opt");
        for helper in [
            "newbin",
            "newsbin",
            "newexe",
            "newinitd",
            "newins",
            "newconfd",
            "newenvd",
            "newdoc",
            "newheader",
            "newlib.a",
            "newlib.so",
            "newman",
        ] {
            build
                .call(&[helper, "a.1", &format!("{}.1", &helper[3..])])
                .ok();
        }
        assert_eq!(
            build.files(),
            [
                "etc/conf.d/confd.1 644",
                "etc/env.d/envd.1 644",
                "etc/init.d/initd.1 755",
                "ins.1 644",
                "opt/exe.1 755",
                "usr/bin/bin.1 755",
                "usr/include/header.1 644",
                "usr/lib/lib.a.1 644",
                "usr/lib/lib.so.1 755",
                "usr/sbin/sbin.1 755",
                "usr/share/doc/foo-1.2-r3/doc.1 644",
                "usr/share/man/man1/man.1 644"
            ]
        );
    }

    #[test]
    fn standard_input_is_a_file_from_eapi_5() {
        let _rows = rows(&[126]);
        let mut build = Build::new("8");
        build.stdin = Stdin::Bytes(b"text".to_vec());
        build.call(&["newins", "-", "f"]).ok();
        build.call(&["newman", "-", "f.1"]).ok();
        assert_eq!(build.read("f"), "text");
        assert_eq!(build.files(), ["f 644", "usr/share/man/man1/f.1 644"]);
        assert_eq!(std::fs::read_dir(build.path("temp")).unwrap().count(), 0);
        build.stdin = Stdin::Terminal;
        let called = build.call(&["newbin", "-", "g"]);
        assert_eq!(called.error(), "newbin: standard input is a terminal");
        let old = Build::new("4");
        assert!(
            old.call(&["newins", "-", "f"])
                .error()
                .ends_with("/-: does not exist")
        );
        old.file("-", "").call(&["newins", "-", "f"]).ok();
    }

    #[test]
    fn only_newins_keeps_links() {
        let build = Build::new("8");
        build
            .file("a", "")
            .link("a", "l")
            .file("d/x", "")
            .link("d", "dl")
            .link("none", "no");
        build.call(&["newins", "l", "ins"]).ok();
        build.call(&["newlib.so", "l", "lib"]).ok();
        build.call(&["newdoc", "l", "doc"]).ok();
        build.call(&["newins", "dl", "dins"]).ok();
        assert_eq!(
            build.files(),
            [
                "dins -> d",
                "ins -> a",
                "usr/lib/lib 755",
                "usr/share/doc/foo-1.2-r3/doc 644"
            ]
        );
        assert!(
            build
                .call(&["newdoc", "dl", "x"])
                .error()
                .ends_with("dl: is a directory")
        );
        assert!(
            build
                .call(&["newins", "d", "x"])
                .error()
                .ends_with("d: is a directory")
        );
        assert!(
            build
                .call(&["newins", "no", "x"])
                .error()
                .ends_with("no: does not exist")
        );
    }

    #[test]
    fn a_new_name_is_a_name() {
        let build = Build::new("8");
        build.file("a", "");
        for name in ["s/b", "b/", ".", "..", "/"] {
            let called = build.call(&["newins", "a", name]);
            let expected = format!("newins: the new name must be one, not a path: `{name}`");
            assert_eq!(called.error(), expected);
        }
        for words in [&["newins", "a"][..], &["newins", "a", ""], &["newins"]] {
            assert!(build.call(words).error().contains("two arguments needed"));
        }
        let called = build.call(&["newins", "a", "/b", "c", "d"]).ok();
        assert!(
            called.stderr.contains("more than 2 arguments: c d"),
            "{}",
            called.stderr
        );
        assert_eq!(build.files(), ["b 644"]);
        assert!(
            build
                .call(&["newman", "a", "b"])
                .error()
                .ends_with("not a man page")
        );
    }

    #[test]
    fn devices_can_be_read_and_copies_are_new() {
        let build = Build::new("8");
        build.call(&["newins", "/dev/null", "empty"]).ok();
        assert_eq!(build.files(), ["empty 644"]);
        let old = filetime::FileTime::from_unix_time(1_000_000_000, 0);
        build.file("a", "").var("__EBD_INSOPTIONS", "-p");
        filetime::set_file_mtime(build.path("src/a"), old).unwrap();
        build.call(&["newins", "a", "b"]).ok();
        let there = std::fs::metadata(build.image().join("b")).unwrap();
        assert_ne!(there.mtime(), 1_000_000_000);
    }
}
