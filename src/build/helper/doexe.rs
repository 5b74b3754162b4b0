//! The commands that install single files: `dobin`, `dosbin`, `doexe`, `doinitd`, `dolib`,
//! `dolib.a`, `dolib.so`, `doinfo`, `domo`, and `dodoc` before EAPI 4.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::unistd::Uid;

use super::env::HelperEnv;
use super::error::{FileError, HelperError, all_done};
use super::install::{InstallOptions, Installer, Words, ensure_directory, missing_or};
use super::message::{self, Level};
use super::source::Source;

/// Which of the commands it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dobin,
    Dosbin,
    Doexe,
    Doinitd,
    Dolib,
    DolibA,
    DolibSo,
    Doinfo,
    Domo,
    OldDodoc,
}

/// Takes the arguments of one of the commands.
pub(super) fn run(
    env: &HelperEnv,
    helper: &str,
    kind: Kind,
    args: &[OsString],
) -> Result<(), HelperError> {
    let no_first = args
        .first()
        .is_none_or(|first| kind == Kind::Doinfo && first.is_empty());
    if no_first {
        return Err(HelperError::NoArgument {
            helper: helper.to_owned(),
        });
    }
    let sources: Vec<Source> = args
        .iter()
        .map(|arg| Source::from_argument(env, arg))
        .collect();
    install(env, helper, kind, &sources)
}

/// Installs the files where the command does.
pub(super) fn install(
    env: &HelperEnv,
    helper: &str,
    kind: Kind,
    sources: &[Source],
) -> Result<(), HelperError> {
    let directory = match kind {
        Kind::Dobin => env.below_desttree(helper, "bin")?,
        Kind::Dosbin => env.below_desttree(helper, "sbin")?,
        Kind::Doexe => env.in_image(&env.exedesttree())?,
        Kind::Doinitd => env.in_image(OsStr::new("/etc/init.d"))?,
        Kind::Dolib | Kind::DolibA | Kind::DolibSo => env.below_desttree(helper, &env.libdir())?,
        Kind::Doinfo => env.in_image(OsStr::new("/usr/share/info"))?,
        Kind::Domo if !env.eapi().domo_in_usr() => env.below_desttree(helper, "share/locale")?,
        Kind::Domo => env.in_image(OsStr::new("/usr/share/locale"))?,
        Kind::OldDodoc => env.in_image(&env.docdesttree()?)?,
    };
    let installer = match kind {
        Kind::Dobin | Kind::Dosbin => Installer::Native(for_superuser(env)?),
        Kind::Doexe => Installer::parse(helper, &env.exeoptions(), Words::Split)?,
        Kind::Doinitd if env.eapi().exeopts_respected_by().contains(&"doinitd") => {
            Installer::parse(helper, &env.exeoptions(), Words::Split)?
        }
        Kind::Doinitd | Kind::DolibSo => Installer::with_mode(0o755),
        Kind::Dolib => Installer::parse(helper, &env.liboptions(), Words::Split)?,
        Kind::DolibA | Kind::Doinfo | Kind::Domo | Kind::OldDodoc => Installer::with_mode(0o644),
    };
    if let Err(e) = ensure_directory(&directory) {
        return all_done(helper, vec![e]);
    }
    let mut failures = Vec::new();
    for source in sources {
        let installed = match kind {
            Kind::Dolib | Kind::DolibA | Kind::DolibSo if is_link(source) => {
                copy_link(source, &directory)
            }
            Kind::Doexe | Kind::Doinitd if source.path.is_dir() && !source.path.is_symlink() => {
                message::say_unless_quiet(
                    env,
                    &format!("{helper}: skipping directory {}", source.path.display()),
                );
                Ok(())
            }
            Kind::OldDodoc => install_document(env, &installer, source, &directory),
            Kind::Domo => install_catalogue(env, &installer, source, &directory)?,
            // A link is installed by way of a copy, which is new.
            Kind::Doexe | Kind::Doinitd if source.copied || source.path.is_symlink() => installer
                .without_times()
                .install_file(env, &source.path, &directory, &source.name),
            _ => installer.install_file(env, &source.path, &directory, &source.name),
        };
        failures.extend(installed.err());
    }
    all_done(helper, failures)
}

/// Mode 0755 and the owner that stands for the superuser: root, or who is configured in its place.
///
/// Without the privilege to give files away, they stay with the user who builds.
fn for_superuser(env: &HelperEnv) -> Result<InstallOptions, HelperError> {
    let id = |variable: &'static str| {
        let text = env.text(variable);
        if text.is_empty() {
            return Ok(Uid::effective().is_root().then_some(0));
        }
        text.parse()
            .map(Some)
            .map_err(|_| HelperError::Variable { variable })
    };
    let mut options = InstallOptions::with_mode(0o755);
    options.owner = id("PORTAGE_INST_UID")?;
    options.group = id("PORTAGE_INST_GID")?;
    Ok(options)
}

fn is_link(source: &Source) -> bool {
    !source.copied && source.path.is_symlink()
}

/// Installs a library's symbolic link with the text it has.
fn copy_link(source: &Source, directory: &Path) -> Result<(), FileError> {
    fs::metadata(&source.path).map_err(|e| missing_or(&source.path, e))?;
    let text =
        fs::read_link(&source.path).map_err(|e| FileError::io(&source.path, "cannot read", e))?;
    let link = directory.join(&source.name);
    symlink(&text, &link).map_err(|e| FileError::io(&link, "cannot create symbolic link", e))
}

fn install_document(
    env: &HelperEnv,
    installer: &Installer,
    source: &Source,
    directory: &Path,
) -> Result<(), FileError> {
    let found = fs::metadata(&source.path).map_err(|e| missing_or(&source.path, e))?;
    if found.is_dir() {
        let path = source.path.display();
        message::say(
            env,
            Level::Qa,
            &format!("QA Notice: dodoc argument '{path}' is a directory"),
        );
        return Ok(());
    }
    if found.len() == 0 {
        return Ok(());
    }
    installer.install_file(env, &source.path, directory, &source.name)
}

/// Installs a message catalogue: `de.mo` of package foo as `de/LC_MESSAGES/foo.mo`.
fn install_catalogue(
    env: &HelperEnv,
    installer: &Installer,
    source: &Source,
    directory: &Path,
) -> Result<Result<(), FileError>, HelperError> {
    let mut name = match env.get("MOPREFIX") {
        Some(prefix) => prefix,
        None => env.require("PN")?,
    };
    name.push(".mo");
    let mut language = source.name.clone().into_vec();
    if let Some(dot) = source.name.as_bytes().iter().rposition(|b| *b == b'.') {
        language.truncate(dot);
    }
    let directory = directory
        .join(OsString::from_vec(language))
        .join("LC_MESSAGES");
    if let Err(e) = fs::metadata(&source.path) {
        return Ok(Err(missing_or(&source.path, e)));
    }
    let made = ensure_directory(&directory);
    Ok(made.and_then(|()| installer.install_file(env, &source.path, &directory, &name)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Build;
    use super::*;
    use crate::claim::rows;

    #[test]
    fn programs_go_below_into() {
        let build = Build::new("8");
        build.file("p", "").call(&["dobin", "p"]).ok();
        build
            .var("__EBD_DESTTREE", "/opt/x")
            .call(&["dosbin", "p"])
            .ok();
        build.var("__EBD_DESTTREE", "").call(&["dobin", "p"]).ok();
        assert_eq!(
            build.files(),
            ["bin/p 755", "opt/x/sbin/p 755", "usr/bin/p 755"]
        );
        let called = build.var("DESTTREE", "/x").call(&["dobin", "p"]);
        assert_eq!(
            called.error(),
            "dobin: DESTTREE is banned in EAPI 8; call into instead"
        );
        let old = Build::new("6");
        old.file("p", "")
            .var("DESTTREE", "/x")
            .call(&["dobin", "p"])
            .ok();
        assert_eq!(old.files(), ["x/bin/p 755"]);
    }

    #[test]
    fn programs_belong_to_the_superuser() {
        let _rows = rows(&[136]);
        use std::os::unix::fs::MetadataExt;
        let build = Build::new("8");
        build.file("p", "").call(&["dobin", "p"]).ok();
        let owner = || fs::metadata(build.image().join("usr/bin/p")).unwrap().uid();
        assert_eq!(owner(), Uid::effective().as_raw());
        if Uid::effective().is_root() {
            build
                .state("PORTAGE_INST_UID", "12")
                .state("PORTAGE_INST_GID", "13");
            build.call(&["dobin", "p"]).ok();
            let there = fs::metadata(build.image().join("usr/bin/p")).unwrap();
            assert_eq!((there.uid(), there.gid()), (12, 13));
        }
        let called = build
            .state("PORTAGE_INST_UID", "root")
            .call(&["dobin", "p"]);
        assert_eq!(
            called.error(),
            "PORTAGE_INST_UID: not set in the build state"
        );
    }

    #[test]
    fn the_rest_is_installed_when_one_fails() {
        let _rows = rows(&[103]);
        let build = Build::new("8");
        build.file("a", "").file("b", "").file("d/x", "");
        let called = build.call(&["dobin", "a", "missing", "d", "b"]);
        let source = build.path("src");
        let source = source.display();
        assert_eq!(
            called.error(),
            format!("dobin: {source}/missing: does not exist\ndobin: {source}/d: is a directory")
        );
        assert_eq!(build.files(), ["usr/bin/a 755", "usr/bin/b 755"]);
        let own = build.image().join("usr/bin/a");
        let called = build.call(&["dobin", own.to_str().unwrap()]);
        assert!(
            called.error().contains("is the same file as"),
            "{}",
            called.error()
        );
        assert!(own.exists());
    }

    #[test]
    fn scripts_and_their_links() {
        let build = Build::new("8");
        build.file("p", "prog").link("p", "l").file("d/x", "");
        build
            .var("__EBD_EXEDESTTREE", "/usr/libexec")
            .var("__EBD_EXEOPTIONS", "-m 0700 -p");
        let called = build.call(&["doexe", "p", "l", "d"]).ok();
        assert!(called.stderr.contains("skipping directory"));
        assert_eq!(build.files(), ["usr/libexec/l 700", "usr/libexec/p 700"]);
    }

    #[test]
    fn exeopts_reach_only_doexe_from_eapi_8() {
        let _rows = rows(&[125]);
        for (eapi, expected) in [("7", "etc/init.d/x 700"), ("8", "etc/init.d/x 755")] {
            let build = Build::new(eapi);
            build
                .file("x", "")
                .var("__EBD_EXEOPTIONS", "-m 700")
                .call(&["doinitd", "x"])
                .ok();
            assert_eq!(build.files(), [expected]);
        }
    }

    #[test]
    fn libraries_by_abi() {
        let _rows = rows(&[131]);
        let build = Build::new("8");
        build
            .file("l.so.1.2", "")
            .file("l.a", "")
            .link("l.so.1.2", "l.so.1");
        build.call(&["dolib.a", "l.a"]).ok();
        build.var("ABI", "amd64").call(&["dolib.a", "l.a"]).ok();
        build
            .var("LIBDIR_amd64", "lib64")
            .call(&["dolib.so", "l.so.1.2", "l.so.1"])
            .ok();
        assert_eq!(
            build.files(),
            [
                "usr/lib/l.a 644",
                "usr/lib64/l.so.1 -> l.so.1.2",
                "usr/lib64/l.so.1.2 755"
            ]
        );
        assert!(
            build
                .call(&["dolib.so", "l.so.1"])
                .error()
                .contains("File exists")
        );
        build.link("nowhere", "dangling");
        let called = build.call(&["dolib.so", "dangling"]);
        assert!(called.error().ends_with("dangling: does not exist"));
        let old = Build::new("6");
        old.file("l", "")
            .var("__EBD_LIBOPTIONS", "-m0640")
            .call(&["dolib", "l"])
            .ok();
        assert_eq!(old.files(), ["usr/lib/l 640"]);
    }

    #[test]
    fn catalogues_and_into() {
        let _rows = rows(&[130]);
        for (eapi, tree) in [("6", "opt"), ("7", "usr"), ("8", "usr")] {
            let build = Build::new(eapi);
            build
                .file("de.mo", "")
                .file("pt_BR.UTF-8.mo", "")
                .var("__EBD_DESTTREE", "/opt");
            build.call(&["domo", "de.mo", "pt_BR.UTF-8.mo"]).ok();
            assert_eq!(
                build.files(),
                ["de", "pt_BR.UTF-8"]
                    .map(|l| format!("{tree}/share/locale/{l}/LC_MESSAGES/foo.mo 644"))
            );
        }
        let build = Build::new("8");
        build
            .file("de.mo", "")
            .var("MOPREFIX", "bar")
            .call(&["domo", "de.mo"])
            .ok();
        assert_eq!(
            build.files(),
            ["usr/share/locale/de/LC_MESSAGES/bar.mo 644"]
        );
    }

    #[test]
    fn dodoc_of_old() {
        let _rows = rows(&[123]);
        let build = Build::new("3");
        build.file("a", "a").file("empty", "").file("d/x", "");
        let called = build.call(&["dodoc", "a", "empty", "d"]).ok();
        assert!(called.stderr.contains("/d' is a directory"));
        assert_eq!(build.files(), ["usr/share/doc/foo-1.2-r3/a 644"]);
        let new = Build::new("4");
        new.file("empty", "").call(&["dodoc", "empty"]).ok();
        assert_eq!(new.files(), ["usr/share/doc/foo-1.2-r3/empty 644"]);
    }

    #[test]
    fn info_pages() {
        let build = Build::new("8");
        build
            .file("foo.info", "")
            .call(&["doinfo", "foo.info"])
            .ok();
        assert_eq!(build.files(), ["usr/share/info/foo.info 644"]);
    }
}
