//! `dodir`, `keepdir`, `fperms` and `fowners`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::env::HelperEnv;
use super::error::{FileError, HelperError, all_done, lossy, usage};
use super::install::{Installer, Words, missing_or, parse_mode, status_code};
use super::message::{self, Level};

/// Creates directories with the options of `diropts`.
pub(super) fn dodir(env: &HelperEnv, helper: &str, args: &[OsString]) -> Result<(), HelperError> {
    if args.is_empty() {
        return Err(HelperError::NoArgument {
            helper: helper.to_owned(),
        });
    }
    let installer = Installer::parse(helper, &env.diroptions(), Words::Split)?;
    let mut failures = Vec::new();
    for arg in args {
        failures.extend(installer.install_directory(env, &env.in_image(arg)?).err());
    }
    all_done(helper, failures)
}

/// Creates directories that stay even if they are empty.
pub(super) fn keepdir(env: &HelperEnv, helper: &str, args: &[OsString]) -> Result<(), HelperError> {
    let mut marker = OsString::from(".keep_");
    marker.push(env.require("CATEGORY")?);
    marker.push("_");
    marker.push(env.require("PN")?);
    marker.push("-");
    let mut slot = env.require("SLOT")?.into_vec();
    // What `${SLOT%/*}` does: the sub-slot goes.
    if let Some(slash) = slot.iter().rposition(|b| *b == b'/') {
        slot.truncate(slash);
    }
    marker.push(OsString::from_vec(slot));
    let made = dodir(env, helper, args);
    let mut failures = Vec::new();
    for arg in args {
        let path = env.in_image(arg)?.join(&marker);
        if let Err(e) = OpenOptions::new().append(true).create(true).open(&path) {
            failures.push(FileError::io(&path, "cannot create", e));
        }
    }
    made?;
    all_done(helper, failures)
}

/// Runs `chmod` below the image; a plain octal mode is set here.
pub(super) fn fperms(env: &HelperEnv, helper: &str, args: &[OsString]) -> Result<(), HelperError> {
    let is_mode = |arg: &OsStr| match arg.as_bytes() {
        [b'-', letter] => b"ugorwxXst".contains(letter),
        bytes => !bytes.starts_with(b"-"),
    };
    let (words, mode, paths) = below_image(env, args, is_mode)?;
    let octal = args
        .first()
        .filter(|first| Some(*first) == mode.as_ref())
        .and_then(|m| m.to_str());
    if let Some((octal, text)) = octal.and_then(|text| Some((parse_mode(text)?, text)))
        && !paths.is_empty()
        && words.len() == paths.len() + 1
    {
        let failures = paths
            .iter()
            .filter_map(|path| set_mode(path, octal, text.len()).err());
        return all_done(helper, failures.collect());
    }
    let status = env.command("chmod").args(&words).status();
    let status = status.map_err(|source| start(helper, "chmod", source))?;
    finish(helper, "chmod", status_code(status))
}

fn set_mode(path: &Path, mode: u32, digits: usize) -> Result<(), FileError> {
    let found = fs::metadata(path).map_err(|e| missing_or(path, e))?;
    // As chmod has it: fewer than five digits leave a directory's set-id bits alone.
    let kept = if found.is_dir() && digits < 5 {
        found.mode() & 0o6000
    } else {
        0
    };
    fs::set_permissions(path, Permissions::from_mode(mode | kept))
        .map_err(|e| FileError::io(path, "cannot change mode", e))
}

/// Runs `chown` below the image, with the users and groups of the system the package is built for.
pub(super) fn fowners(env: &HelperEnv, helper: &str, args: &[OsString]) -> Result<(), HelperError> {
    let (mut words, owner, _) = below_image(env, args, |arg| !arg.as_bytes().starts_with(b"-"))?;
    let (root, directory) = account_files(env);
    if let Some(owner) = owner.filter(|_| !root.is_empty()) {
        let numeric = numeric_owner(helper, &owner, &directory)?;
        if let Some(word) = words.iter_mut().find(|word| **word == owner) {
            *word = numeric;
        }
    }
    if env.has_feature("unprivileged") && !Uid::effective().is_root() {
        return chown_if_possible(env, helper, &words);
    }
    let status = env.command("chown").args(&words).status();
    let status = status.map_err(|source| start(helper, "chown", source))?;
    finish(helper, "chown", status_code(status))
}

/// Without privileges ownership cannot be given; that is said and no failure.
fn chown_if_possible(env: &HelperEnv, helper: &str, words: &[OsString]) -> Result<(), HelperError> {
    let output = env.command("chown").args(words).output();
    let output = output.map_err(|source| start(helper, "chown", source))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let text = format!(
            "chown failure ignored with unprivileged user:\n    {}",
            said.trim_end()
        );
        message::say(env, Level::Warn, &text);
    }
    Ok(())
}

type SplitArguments = (Vec<OsString>, Option<OsString>, Vec<PathBuf>);

/// Splits arguments into options, the first other word, and paths, which go below the image.
/// Gives all the words for the program, that first word, and the paths.
fn below_image(
    env: &HelperEnv,
    args: &[OsString],
    is_first: impl Fn(&OsStr) -> bool,
) -> Result<SplitArguments, HelperError> {
    let (mut words, mut first, mut paths) = (Vec::new(), None, Vec::new());
    for arg in args {
        if !is_first(arg) {
            words.push(arg.clone());
        } else if first.is_none() {
            first = Some(arg.clone());
            words.push(arg.clone());
        } else {
            let path = env.in_image(arg)?;
            words.push(path.clone().into_os_string());
            paths.push(path);
        }
    }
    Ok((words, first, paths))
}

/// The root whose accounts count, empty for this system's own, and the directory of its files.
fn account_files(env: &HelperEnv) -> (String, PathBuf) {
    let installing = env.text("EBUILD_PHASE") == "install";
    let trimmed = |name: &str| env.text(name).trim_end_matches('/').to_owned();
    let (root, prefixed) = if env.eapi().variable("SYSROOT").is_some() && installing {
        (env.text("SYSROOT"), env.text("ESYSROOT"))
    } else if env.eapi().prefix() {
        (trimmed("ROOT"), trimmed("EROOT"))
    } else {
        (trimmed("ROOT"), trimmed("ROOT"))
    };
    (root, PathBuf::from(format!("{prefixed}/etc")))
}

/// Looks names up in a passwd and a group file: `user:group` becomes `uid:gid`.
fn numeric_owner(helper: &str, owner: &OsStr, directory: &Path) -> Result<OsString, HelperError> {
    let text = owner.to_string_lossy();
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text.as_ref(), None),
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty();
    let lookup = |file: &str, name: &str| -> Result<(String, String), HelperError> {
        let path = directory.join(file);
        let lines = fs::read_to_string(&path).map_err(|source| HelperError::Io {
            helper: helper.to_owned(),
            what: format!("cannot read {}", path.display()),
            source,
        })?;
        let fields = lines
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        for fields in fields {
            if fields.first() == Some(&name)
                && let Some(id) = fields.get(2).filter(|id| number(id))
            {
                return Ok((
                    (*id).to_owned(),
                    fields.get(3).copied().unwrap_or_default().to_owned(),
                ));
            }
        }
        Err(usage(
            helper,
            format!("{}: no entry for `{name}`", path.display()),
        ))
    };
    let mut primary = String::new();
    let mut numeric = String::new();
    if number(user) {
        numeric.push_str(user);
    } else if !user.is_empty() {
        (numeric, primary) = lookup("passwd", user)?;
    }
    match group {
        None => {}
        Some("") if number(&primary) => numeric.push_str(&format!(":{primary}")),
        Some("") => {
            let message = format!("no primary group known for `{}`", lossy(&owner.to_owned()));
            return Err(usage(helper, message));
        }
        Some(group) if number(group) => numeric.push_str(&format!(":{group}")),
        Some(group) => numeric.push_str(&format!(":{}", lookup("group", group)?.0)),
    }
    Ok(OsString::from(numeric))
}

pub(super) fn start(helper: &str, program: &str, source: std::io::Error) -> HelperError {
    HelperError::Start {
        helper: helper.to_owned(),
        program: program.to_owned(),
        source,
    }
}

pub(super) fn finish(helper: &str, program: &str, status: u8) -> Result<(), HelperError> {
    if status == 0 {
        return Ok(());
    }
    let (helper, program) = (helper.to_owned(), program.to_owned());
    Err(HelperError::Program {
        helper,
        program,
        status,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Build;
    use super::*;
    use crate::claim::rows;

    #[test]
    fn directories_get_the_options_and_parents_do_not() {
        let build = Build::new("8");
        build
            .var("__EBD_DIROPTIONS", "-m 2750")
            .call(&["dodir", "/a/b/", "c", "/d/."])
            .ok();
        assert_eq!(
            build.listing(),
            ["a/ 755", "a/b/ 2750", "c/ 2750", "d/ 2750"]
        );
        build
            .var("__EBD_DIROPTIONS", "-m0700")
            .call(&["dodir", "/a/b"])
            .ok();
        assert_eq!(build.mode("a/b"), 0o2700);
        build
            .var("__EBD_DIROPTIONS", "")
            .call(&["dodir", "/a/b"])
            .ok();
        assert_eq!(build.mode("a/b"), 0o755);
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let build = Build::new("8");
        fs::write(build.image().join("f"), "").unwrap();
        let called = build.call(&["dodir", "/f/x", "/g"]);
        assert!(
            called
                .error()
                .contains("image/f/x: cannot create directory: Not a directory")
        );
        assert_eq!(build.listing(), ["f 644", "g/ 755"]);
    }

    #[test]
    fn kept_directories_have_a_marker_of_the_package_and_slot() {
        let _rows = rows(&[134]);
        let build = Build::new("8");
        build.call(&["keepdir", "/var/x", "y"]).ok();
        assert_eq!(
            build.files(),
            [
                "var/x/.keep_app-misc_foo-2 644",
                "y/.keep_app-misc_foo-2 644"
            ]
        );
        build.call(&["keepdir", "/var/x"]).ok();
    }

    #[test]
    fn fperms_is_about_the_image() {
        let _rows = rows(&[135]);
        let build = Build::new("8");
        build.file("p", "").call(&["dobin", "p"]).ok();
        build.call(&["fperms", "4711", "/usr/bin/p"]).ok();
        assert_eq!(build.mode("usr/bin/p"), 0o4711);
        build.call(&["fperms", "-R", "u=rwX,go=", "usr"]).ok();
        assert_eq!((build.mode("usr"), build.mode("usr/bin/p")), (0o700, 0o700));
        build.call(&["fperms", "-w", "/usr/bin/p"]).ok();
        assert_eq!(build.mode("usr/bin/p"), 0o500);
        build.call(&["fperms", "2755", "/usr/bin"]).ok();
        build.call(&["fperms", "0750", "/usr/bin"]).ok();
        assert_eq!(build.mode("usr/bin"), 0o2750);
        let called = build.call(&["fperms", "755", "/nothing", "/usr"]);
        assert!(called.error().ends_with("/image/nothing: does not exist"));
        assert_eq!(build.mode("usr"), 0o755);
        assert_eq!(
            build
                .call(&["fperms", "755"])
                .result
                .unwrap_err()
                .exit_status(),
            1
        );
    }

    #[test]
    fn fowners_passes_options_and_paths_of_the_image() {
        let build = Build::new("8");
        build.file("p", "").call(&["dobin", "p"]).ok();
        let own = fs::metadata(build.image().join("usr/bin/p")).unwrap();
        let (owner, user) = (
            format!("{}:{}", own.uid(), own.gid()),
            own.uid().to_string(),
        );
        build.call(&["fowners", "-R", &owner, "/usr"]).ok();
        build.call(&["fowners", "-h", &user, "usr/bin/p"]).ok();
        let called = build.call(&["fowners", &owner, "/nothing"]);
        assert_eq!(called.error(), "fowners: chown failed with exit status 1");
    }

    #[test]
    fn owners_are_those_of_the_target_system() {
        let directory = tempfile::tempdir().unwrap();
        let etc = directory.path().join("etc");
        fs::create_dir(&etc).unwrap();
        fs::write(
            etc.join("passwd"),
            "root:x:0:0::/:/bin/sh\nweb:x:80:81::/:/bin/sh\n",
        )
        .unwrap();
        fs::write(etc.join("group"), "root:x:0:\nmail:x:12:web\n").unwrap();
        for (text, numeric) in [
            ("web", "80"),
            ("web:", "80:81"),
            ("web:mail", "80:12"),
            (":mail", ":12"),
            ("7:mail", "7:12"),
            ("web:9", "80:9"),
            ("7", "7"),
        ] {
            assert_eq!(
                numeric_owner("fowners", OsStr::new(text), &etc).unwrap(),
                numeric
            );
        }
        for text in ["nobody", "web:nobody", "7:"] {
            assert!(
                numeric_owner("fowners", OsStr::new(text), &etc).is_err(),
                "{text}"
            );
        }
        let build = Build::new("8");
        build
            .state("SYSROOT", "/sys")
            .state("ESYSROOT", "/sys/prefix");
        let expected = ("/sys".to_owned(), PathBuf::from("/sys/prefix/etc"));
        assert_eq!(account_files(&build.env()), expected);
        build
            .state("EBUILD_PHASE", "preinst")
            .state("ROOT", "/r")
            .state("EROOT", "/r/p");
        let expected = ("/r".to_owned(), PathBuf::from("/r/p/etc"));
        assert_eq!(account_files(&build.env()), expected);
    }
}
