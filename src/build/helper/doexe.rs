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
