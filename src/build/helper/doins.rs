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
        // First all directories, then the files: so there are no fewer if a file fails.
        let mut left = vec![(source.path.clone(), target)];
        let mut files = Vec::new();
        while let Some((from, to)) = left.pop() {
            let mut inner = Vec::new();
            let mut others = Vec::new();
            for entry in self.list(&from) {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    let directory = to.join(entry.file_name());
                    self.make_directory(&directory)?;
                    inner.push((path, directory));
                } else if path.is_dir() {
                    files.push((path, to.clone()));
                } else {
                    others.push((path, to.clone()));
                }
            }
            files.append(&mut others);
            left.extend(inner.into_iter().rev());
        }
        for (path, to) in files {
            self.install_file(&path, &to, path.file_name().unwrap_or_default(), false);
            if self.stops() {
                break;
            }
        }
        Ok(())
    }

    fn list(&mut self, directory: &Path) -> Vec<fs::DirEntry> {
        match fs::read_dir(directory).and_then(Iterator::collect) {
            Ok(entries) => entries,
            Err(e) => {
                self.failures
                    .push(FileError::io(directory, "cannot list directory", e));
                Vec::new()
            }
        }
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

#[cfg(test)]
mod tests {
    use crate::claim::rows;
    use std::os::unix::fs::MetadataExt;

    use super::super::testing::Build;
    use super::*;

    #[test]
    fn files_go_where_insinto_says() {
        let build = Build::new("8");
        build.file("a", "one").file("d/b", "two");
        build.call(&["doins", "a"]).ok();
        build
            .var("__EBD_INSDESTTREE", "/usr/share/foo")
            .var("__EBD_INSOPTIONS", "-m 0600");
        build
            .var("__EBD_DIROPTIONS", "-m0700")
            .call(&["doins", "a", "./d/b"])
            .ok();
        assert_eq!(
            build.listing(),
            [
                "a 644",
                "usr/ 755",
                "usr/share/ 755",
                "usr/share/foo/ 700",
                "usr/share/foo/a 600",
                "usr/share/foo/b 600"
            ]
        );
        assert_eq!(build.read("usr/share/foo/b"), "two");
        // The destination replaces what is there, be it a link to the outside.
        std::os::unix::fs::symlink("/etc/passwd", build.image().join("l")).unwrap();
        build
            .var("__EBD_INSDESTTREE", "")
            .file("l", "mine")
            .call(&["doins", "l"])
            .ok();
        assert_eq!(build.read("l"), "mine");
    }

    #[test]
    fn image_and_prefix_do_not_belong_into_insinto() {
        let build = Build::new("8");
        build.file("a", "");
        let image = build.image().join("x").to_str().unwrap().to_owned();
        let called = build.var("__EBD_INSDESTTREE", &image).call(&["doins", "a"]);
        assert!(called.error().ends_with("must not contain D or ED"));
        build
            .state("EPREFIX", "/prefix")
            .var("__EBD_INSDESTTREE", "/prefix/usr");
        assert!(
            build
                .call(&["doins", "a"])
                .error()
                .ends_with("must not contain EPREFIX")
        );
        build.call(&["doconfd", "a"]).ok();
    }

    #[test]
    fn symbolic_links_are_kept_from_eapi_4() {
        let _rows = rows(&[121]);
        for (eapi, expected) in [("3", "link 644"), ("4", "link -> a"), ("8", "link -> a")] {
            let build = Build::new(eapi);
            build
                .file("a", "")
                .link("a", "link")
                .call(&["doins", "link"])
                .ok();
            assert_eq!(build.files(), [expected]);
        }
        let build = Build::new("8");
        build
            .link("nowhere", "dangling")
            .call(&["doins", "dangling"])
            .ok();
        assert_eq!(build.files(), ["dangling -> nowhere"]);
        assert!(
            Build::new("3")
                .link("nowhere", "x")
                .call(&["doins", "x"])
                .result
                .is_err()
        );
    }

    #[test]
    fn links_to_distfiles_are_followed() {
        let build = Build::new("8");
        let real = build.path("distfiles");
        fs::create_dir(&real).unwrap();
        fs::write(real.join("f.pdf"), "pdf").unwrap();
        build.link(real.join("f.pdf").to_str().unwrap(), "f.pdf");
        build.state("PORTAGE_ACTUAL_DISTDIR", real.to_str().unwrap());
        build.call(&["doins", "f.pdf"]).ok();
        assert_eq!(build.files(), ["f.pdf 644"]);
        let shadow = build.path("src").to_str().unwrap().to_owned();
        build
            .state("PORTAGE_ACTUAL_DISTDIR", "")
            .state("DISTDIR", &shadow);
        build.call(&["dodoc", "f.pdf"]).ok();
        assert_eq!(
            build.files(),
            ["f.pdf 644", "usr/share/doc/foo-1.2-r3/f.pdf 644"]
        );
    }

    #[test]
    fn directories_need_the_option() {
        let build = Build::new("8");
        build
            .file("d/s/x", "")
            .file("d/y", "")
            .file("a", "")
            .link("d", "l");
        fs::create_dir(build.path("src/d/empty")).unwrap();
        build.link("s", "d/sl");
        let called = build.call(&["doins", "d"]);
        let expected = "doins: nothing to install: only directories given, without -r";
        assert_eq!(called.error(), expected);
        build.call(&["doins", "d", "a"]).ok();
        assert_eq!(build.listing(), ["a 644"]);
        build.call(&["doins", "-r", "d/", "l"]).ok();
        assert_eq!(
            build.listing(),
            [
                "a 644",
                "d/ 755",
                "d/empty/ 755",
                "d/s/ 755",
                "d/s/x 644",
                "d/sl -> s",
                "d/y 644",
                "l -> d"
            ]
        );
        assert!(
            build
                .call(&["doins", "-r"])
                .error()
                .ends_with("at least one argument needed")
        );
        assert!(
            build
                .call(&["doins", "a", "-r"])
                .error()
                .ends_with("-r: does not exist")
        );
        assert!(build.call(&["doins", "-r", "d/.."]).result.is_err());
    }

    #[test]
    fn a_dot_stands_for_the_contents() {
        for argument in [".", "./", "d/.."] {
            let build = Build::new("8");
            build.file("d/x", "");
            let called = build.call(&["doins", "-r", argument]);
            assert_eq!(called.result.is_ok(), argument != "d/..");
            assert_eq!(build.files().is_empty(), argument == "d/..");
        }
        let build = Build::new("8");
        build.file("d/x", "").call(&["doins", "-r", "d/."]).ok();
        assert_eq!(build.listing(), ["x 644"]);
    }

    #[test]
    fn dodoc_refuses_directories_without_its_option() {
        let _rows = rows(&[122]);
        let build = Build::new("8");
        build
            .file("d/x", "")
            .file("a", "")
            .var("__EBD_INSOPTIONS", "-m0600");
        let called = build.call(&["dodoc", "d", "a"]);
        assert!(called.error().ends_with("/d: is a directory"));
        assert_eq!(build.files(), ["usr/share/doc/foo-1.2-r3/a 644"]);
        build
            .var("__EBD_DOCDESTTREE", "/html")
            .call(&["dodoc", "-r", "d"])
            .ok();
        assert_eq!(
            build.files(),
            [
                "usr/share/doc/foo-1.2-r3/a 644",
                "usr/share/doc/foo-1.2-r3/html/d/x 644"
            ]
        );
    }

    #[test]
    fn insopts_reach_only_doins_from_eapi_8() {
        let _rows = rows(&[124]);
        for (eapi, mode) in [("7", "600"), ("8", "644")] {
            let build = Build::new(eapi);
            build.file("x", "").var("__EBD_INSOPTIONS", "-m 600");
            for helper in ["doconfd", "doenvd", "doheader"] {
                build.call(&[helper, "x"]).ok();
            }
            let files = ["etc/conf.d/x", "etc/env.d/x", "usr/include/x"];
            assert_eq!(build.files(), files.map(|file| format!("{file} {mode}")));
        }
    }

    #[test]
    fn doheader_descends() {
        let _rows = rows(&[127]);
        let build = Build::new("5");
        build
            .file("inc/s/i.h", "")
            .call(&["doheader", "-r", "inc"])
            .ok();
        assert_eq!(build.files(), ["usr/include/inc/s/i.h 644"]);
    }

    #[test]
    fn a_missing_file_ends_the_call() {
        let build = Build::new("8");
        build.file("a", "").file("b", "");
        let called = build.call(&["doins", "a", "missing", "b"]);
        assert!(
            called.error().starts_with("doins: ") && called.error().ends_with("does not exist")
        );
        assert_eq!(build.files(), ["a 644"]);
        fs::create_dir(build.image().join("b")).unwrap();
        assert!(
            build
                .call(&["doins", "b"])
                .error()
                .ends_with("a directory is in the way")
        );
    }

    #[test]
    fn a_link_takes_the_place_of_a_directory() {
        let build = Build::new("8");
        build.link("x", "d").call(&["keepdir", "/d"]).ok();
        build.call(&["doins", "d"]).ok();
        assert_eq!(build.listing(), ["d -> x"]);
    }

    #[test]
    fn all_that_install_can() {
        let build = Build::new("8");
        build.file("a", "a");
        let old = filetime::FileTime::from_unix_time(1_000_000_000, 0);
        filetime::set_file_mtime(build.path("src/a"), old).unwrap();
        build
            .var("__EBD_INSOPTIONS", "-p -m 'u=rw,go='")
            .call(&["doins", "a"])
            .ok();
        assert_eq!(build.files(), ["a 600"]);
        build
            .var("__EBD_INSOPTIONS", "-pm4711")
            .call(&["doins", "a"])
            .ok();
        assert_eq!(build.files(), ["a 4711"]);
        let time = |build: &Build| fs::metadata(build.image().join("a")).unwrap().mtime();
        assert_eq!(time(&build), 1_000_000_000);
        build.var("__EBD_INSOPTIONS", "").call(&["doins", "a"]).ok();
        assert_eq!(build.files(), ["a 755"]);
        assert_ne!(time(&build), 1_000_000_000);
        for options in ["-m", "-o no-such-user", "-m 'x"] {
            let called = build.var("__EBD_INSOPTIONS", options).call(&["doins", "a"]);
            let start = format!("doins: install options `{options}`: ");
            assert!(called.error().starts_with(&start), "{}", called.error());
        }
        let called = build.var("__EBD_INSOPTIONS", "-m 9").call(&["doins", "a"]);
        assert!(
            called
                .error()
                .ends_with("/a: install failed with exit status 1")
        );
    }

    #[test]
    fn variables_of_old_eapis() {
        let old = Build::new("6");
        old.file("a", "")
            .var("INSDESTTREE", "/i")
            .var("__EBD_INSDESTTREE", "/j");
        old.call(&["doins", "a"]).ok();
        assert_eq!(old.files(), ["i/a 644"]);
        let new = Build::new("7");
        let called = new.file("a", "").call(&["doins", "a"]);
        called.ok();
        let called = new.var("INSDESTTREE", "/i").call(&["doins", "a"]);
        assert_eq!(
            called.error(),
            "doins: INSDESTTREE is banned in EAPI 7; call insinto instead"
        );
        assert!(called.fatal);
    }
}
