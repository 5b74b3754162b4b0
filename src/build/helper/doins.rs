//! `doins` and all that is built on it: `doconfd`, `doenvd`, `doheader`, and `dodoc` since EAPI 4.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::env::HelperEnv;
use super::error::{FileError, HelperError, all_done, usage};
use super::install::{Installer, Words, missing_or};
use super::message::{self, Level};
use super::source::Source;

/// Which of the commands it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Doins,
    Doconfd,
    Doenvd,
    Doheader,
    Dodoc,
}

impl Kind {
    fn command(self) -> &'static str {
        match self {
            Self::Doins => "doins",
            Self::Doconfd => "doconfd",
            Self::Doenvd => "doenvd",
            Self::Doheader => "doheader",
            Self::Dodoc => "dodoc",
        }
    }
}

/// Takes the arguments of one of the commands.
pub(super) fn run(
    env: &HelperEnv,
    helper: &str,
    kind: Kind,
    args: &[OsString],
) -> Result<(), HelperError> {
    if args.is_empty() && kind == Kind::Dodoc {
        // The default src_install comes here with an empty DOCS.
        message::say(env, Level::Qa, "QA Notice: dodoc called with no arguments");
        return Ok(());
    }
    let (recursive, args) = match args.split_first() {
        Some((first, rest)) if first == "-r" => (true, rest),
        _ => (false, args),
    };
    if args.is_empty() {
        return Err(HelperError::NoArgument {
            helper: helper.to_owned(),
        });
    }
    let sources: Vec<Source> = args
        .iter()
        .map(|arg| Source::from_argument(env, arg))
        .collect();
    install(env, helper, kind, &sources, recursive)
}

/// Installs the files where the command does.
pub(super) fn install(
    env: &HelperEnv,
    helper: &str,
    kind: Kind,
    sources: &[Source],
    recursive: bool,
) -> Result<(), HelperError> {
    let tree = match kind {
        Kind::Doins => insdesttree(env, helper)?,
        Kind::Doconfd => OsString::from("/etc/conf.d"),
        Kind::Doenvd => OsString::from("/etc/env.d"),
        Kind::Doheader => OsString::from("/usr/include"),
        Kind::Dodoc => env.docdesttree()?,
    };
    let respects_options = env.eapi().insopts_respected_by().contains(&kind.command());
    let (mut files, mut directories) = (Installer::with_mode(0o644), Installer::with_mode(0o755));
    if respects_options {
        files = Installer::parse(helper, &env.insoptions(), Words::Quoted)?;
        directories = Installer::parse(helper, &env.diroptions(), Words::Quoted)?;
    }
    let mut doins = Doins {
        env,
        helper,
        files,
        directories,
        recursive,
        keeps_symlinks: env.eapi().doins_symlinks(),
        refuses_directories: kind == Kind::Dodoc,
        dies: env.eapi().helpers_die(),
        distdir: Distdir::of(env),
        failures: Vec::new(),
        installed: false,
    };
    doins.install(&env.in_image(&tree)?, sources)
}

/// The value of `insinto`, which must be a path inside of the image.
fn insdesttree(env: &HelperEnv, helper: &str) -> Result<OsString, HelperError> {
    let tree = env.insdesttree(helper)?;
    let starts_with = |name: &str| {
        let prefix = env.get(name).unwrap_or_default();
        !prefix.is_empty() && tree.as_bytes().starts_with(prefix.as_bytes())
    };
    if starts_with("D") {
        return Err(usage(
            helper,
            format!("insinto {} must not contain D or ED", tree.display()),
        ));
    }
    if starts_with("EPREFIX") {
        return Err(usage(
            helper,
            format!("insinto {} must not contain EPREFIX", tree.display()),
        ));
    }
    Ok(tree)
}

/// How symbolic links to distfiles are told from links that are part of the package.
enum Distdir {
    /// Links whose text starts with this.
    Text(Vec<u8>),
    /// Links that are in this directory.
    Inside(PathBuf),
    None,
}

impl Distdir {
    fn of(env: &HelperEnv) -> Self {
        if let Some(actual) = env.get("PORTAGE_ACTUAL_DISTDIR").filter(|d| !d.is_empty()) {
            let mut text = actual.as_bytes().to_vec();
            text.push(b'/');
            return Self::Text(text);
        }
        match env.get("DISTDIR").filter(|d| !d.is_empty()) {
            Some(distdir) => Self::Inside(PathBuf::from(distdir)),
            None => Self::None,
        }
    }

    fn holds(&self, link: &Path, text: &Path) -> bool {
        match self {
            Self::Text(prefix) => text.as_os_str().as_bytes().starts_with(prefix),
            Self::Inside(directory) => link.parent() == Some(directory),
            Self::None => false,
        }
    }
}

struct Doins<'e> {
    env: &'e HelperEnv,
    helper: &'e str,
    files: Installer,
    directories: Installer,
    recursive: bool,
    keeps_symlinks: bool,
    refuses_directories: bool,
    dies: bool,
    distdir: Distdir,
    failures: Vec<FileError>,
    installed: bool,
}

impl Doins<'_> {
    fn install(&mut self, tree: &Path, sources: &[Source]) -> Result<(), HelperError> {
        if !tree.is_dir() {
            self.make_directory(tree)?;
        }
        for source in sources {
            let is_link = || !source.copied && source.path.is_symlink();
            if source.path.is_dir() && !(self.keeps_symlinks && is_link()) {
                self.install_tree(tree, source)?;
            } else {
                self.install_file(&source.path, tree, &source.name, source.copied);
            }
            if self.stops() {
                break;
            }
        }
        all_done(self.helper, std::mem::take(&mut self.failures))?;
        if !self.installed {
            return Err(HelperError::NothingInstalled {
                helper: self.helper.to_owned(),
            });
        }
        Ok(())
    }

    fn install_tree(&mut self, tree: &Path, source: &Source) -> Result<(), HelperError> {
        if !self.recursive {
            // A directory is skipped, and only matters if there is nothing else.
            if self.refuses_directories {
                self.failures
                    .push(FileError::Directory(source.path.clone()));
            }
            return Ok(());
        }
        let name = source.directory_name();
        if name == ".." {
            // What is in it would go beside the destination, if not out of the image.
            let path = source.path.display();
            return Err(usage(
                self.helper,
                format!("{path}: name the directory, not its child"),
            ));
        }
        let target = tree.join(name);
        self.installed = true;
        self.make_directory(&target)?;
        let mut left = vec![(source.path.clone(), target)];
        while let Some((from, to)) = left.pop().filter(|_| !self.stops()) {
            let entries = match fs::read_dir(&from) {
                Ok(entries) => entries,
                Err(e) => {
                    self.failures
                        .push(FileError::io(&from, "cannot list directory", e));
                    continue;
                }
            };
            for entry in entries {
                let found = entry.and_then(|e| Ok((e.file_name(), e.file_type()?)));
                match found {
                    Err(e) => self
                        .failures
                        .push(FileError::io(&from, "cannot list directory", e)),
                    Ok((name, kind)) if kind.is_dir() => {
                        let inner = to.join(&name);
                        self.make_directory(&inner)?;
                        left.push((from.join(&name), inner));
                    }
                    Ok((name, _)) => self.install_file(&from.join(&name), &to, &name, false),
                }
            }
        }
        Ok(())
    }

    /// Whether something went wrong after which the rest is not tried. Other commands go on; but
    /// with this one, other package managers leave the rest out of the image, and so do we.
    fn stops(&self) -> bool {
        let last = self.failures.last();
        last.is_some_and(|f| matches!(f, FileError::Missing(_) | FileError::Occupied(_)))
    }

    fn install_file(&mut self, source: &Path, tree: &Path, name: &OsStr, copied: bool) {
        let done = match self.link_to_keep(source, copied) {
            Ok(Some(text)) => place_link(&text, &tree.join(name)),
            Ok(None) if copied => self
                .files
                .without_times()
                .install_file(self.env, source, tree, name),
            Ok(None) => self.files.install_file(self.env, source, tree, name),
            Err(e) => Err(e),
        };
        match done {
            Ok(()) => self.installed = true,
            Err(e) => self.failures.push(e),
        }
    }

    /// The text of a symbolic link that has to be installed as one.
    fn link_to_keep(&self, source: &Path, copied: bool) -> Result<Option<PathBuf>, FileError> {
        if !self.keeps_symlinks || copied {
            return Ok(None);
        }
        if !fs::symlink_metadata(source)
            .map_err(|e| missing_or(source, e))?
            .is_symlink()
        {
            return Ok(None);
        }
        let text = fs::read_link(source).map_err(|e| FileError::io(source, "cannot read", e))?;
        // DISTDIR may be a directory of links to the files: the files are meant.
        Ok(Some(text).filter(|text| !self.distdir.holds(source, text)))
    }

    /// Where helpers die, so does one that cannot make a directory; else the files below it fail.
    fn make_directory(&mut self, path: &Path) -> Result<(), HelperError> {
        if let Err(e) = self.directories.make_directory(self.env, path) {
            self.failures.push(e);
            if self.dies {
                return all_done(self.helper, std::mem::take(&mut self.failures));
            }
        }
        Ok(())
    }
}

/// Makes a symbolic link, in the place of whatever is there.
fn place_link(text: &Path, link: &Path) -> Result<(), FileError> {
    let refused = |what| move |e| FileError::io(link, what, e);
    match symlink(text, link) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        other => return other.map_err(refused("cannot create symbolic link")),
    }
    let there = fs::symlink_metadata(link).map_err(refused("cannot examine"))?;
    if there.is_dir() {
        fs::remove_dir_all(link).map_err(refused("cannot remove"))?;
    } else {
        fs::remove_file(link).map_err(refused("cannot remove"))?;
    }
    symlink(text, link).map_err(refused("cannot create symbolic link"))
}
