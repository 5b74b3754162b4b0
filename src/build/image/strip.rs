//! Stripping of executables, shared objects, relocatable files and static archives (PMS
//! 11.3.3.11, and Portage's own rules where PMS leaves it open).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::elf::Kind;
use super::needed::NeededEntry;
use super::pattern::PathPatterns;
use super::qa::Variables;
use super::{Image, ImageError, Level, Notice, program, walk};
use choice::Choice;

mod choice;

/// How files are stripped.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether the EAPI has `dostrip` (7 and later). Earlier ones strip everything but
    /// `STRIP_MASK`.
    pub controllable: bool,
    /// Paths given to `dostrip`, with the initial `/`.
    pub include: Vec<String>,
    /// Paths given to `dostrip -x`.
    pub exclude: Vec<String>,
    /// `STRIP_MASK`: patterns of files to leave alone, for EAPIs without `dostrip`.
    pub mask: String,
    /// `PORTAGE_STRIP_FLAGS`; `None` when unset, for the flags that suit the strip program.
    pub flags: Option<String>,
    /// How many strip processes may run side by side.
    pub jobs: usize,
}

/// As many files as one process is given, well under any limit on its arguments.
const BATCH: usize = 64;

/// A file to strip, with the names it goes by in the image.
struct Target {
    paths: Vec<PathBuf>,
    what: What,
    device: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// Executables and shared objects.
    Linked,
    /// Object files and kernel modules.
    Relocatable,
    /// Static archives.
    Archive,
}

/// Strips the image. `elf_files` are the ELF files that [`needed::scan`](super::needed::scan)
/// found. With `RESTRICT=strip` these are only what `dostrip` names, with `FEATURES=nostrip` none.
///
/// # Errors
///
/// When FEATURES asks for split debug information, installed sources or deduplication, which are
/// not supported, or when a program cannot be started. A file that strip refuses is a notice.
pub fn run(
    image: &Image,
    settings: &Settings,
    elf_files: &[NeededEntry],
    variables: &Variables,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let named = settings.controllable && !settings.include.is_empty();
    let feature = |name: &str| image.feature(name);
    let restricted = |name: &str| image.restricted(name);
    if let Some(feature) = unsupported(feature, restricted, named) {
        return Err(ImageError::UnsupportedFeature { feature });
    }
    if !stripping(feature, restricted, named) {
        return Ok(());
    }
    let targets = targets(image, settings, elf_files)?;
    if !image.restricted("binchecks") && !image.restricted("strip") {
        prestripped(image, elf_files, variables, notices)?;
    }
    if targets.is_empty() {
        return Ok(());
    }
    let tools = Tools::find(image, settings)?;
    let saved = save(image, &targets)?;
    for what in [What::Linked, What::Relocatable, What::Archive] {
        let files: Vec<&Path> = targets
            .iter()
            .filter(|target| target.what == what)
            .filter_map(|target| target.paths.first().map(PathBuf::as_path))
            .collect();
        tools.strip(image, what, &files, settings.jobs, notices)?;
    }
    relink(&targets)?;
    restore(image, saved, notices)
}

/// Whether anything may be stripped. With `RESTRICT=strip` the list of what is to be stripped begins empty (PMS
/// 12.3.11), so something is in it only if `dostrip` was called; Portage strips nothing then either.
fn stripping(
    feature: impl Fn(&str) -> bool,
    restricted: impl Fn(&str) -> bool,
    named: bool,
) -> bool {
    !feature("nostrip") && (named || !restricted("strip"))
}

/// The first of a package's FEATURES that changes what stripping does, would apply here, and is not
/// implemented. `restricted` tells what RESTRICT has, `named` whether `dostrip` named anything, which
/// before the build nobody knows.
pub fn unsupported(
    feature: impl Fn(&str) -> bool,
    restricted: impl Fn(&str) -> bool,
    named: bool,
) -> Option<&'static str> {
    if !feature("binpkg-dostrip") {
        return None;
    }
    let stripping = stripping(&feature, &restricted, named);
    // Without split debug information `compressdebug` has nothing to work on.
    [
        ("installsources", true),
        ("splitdebug", stripping),
        ("dedupdebug", stripping),
    ]
    .into_iter()
    .find(|(name, applies)| *applies && feature(name) && !restricted(name))
    .map(|(name, _)| name)
}

/// The files to strip, each inode once.
fn targets(
    image: &Image,
    settings: &Settings,
    elf_files: &[NeededEntry],
) -> Result<Vec<Target>, ImageError> {
    let mut by_inode: BTreeMap<(u64, u64), Target> = BTreeMap::new();
    let mut add = |path: &Path, what: What| -> Result<(), ImageError> {
        let metadata = fs::symlink_metadata(path).map_err(ImageError::io("look at it", path))?;
        let target = by_inode
            .entry((metadata.dev(), metadata.ino()))
            .or_insert_with(|| Target {
                paths: Vec::new(),
                what,
                device: metadata.dev(),
            });
        if !target.paths.iter().any(|known| known == path) {
            target.paths.push(path.to_path_buf());
        }
        Ok(())
    };
    let choice = Choice::new(image, settings)?;
    for entry in elf_files {
        let what = match entry.elf.kind {
            Kind::Executable | Kind::PieExecutable | Kind::SharedObject => What::Linked,
            Kind::Relocatable => What::Relocatable,
            Kind::Other => continue,
        };
        if choice.elf(image, &entry.path) {
            add(&entry.path, what)?;
        }
    }
    for top in &choice.archive_tops {
        for entry in walk::walk(top)? {
            if entry.metadata.is_file()
                && entry
                    .path
                    .extension()
                    .is_some_and(|extension| extension == "a")
                && choice.archive(image, &entry.path)
                && is_archive(&entry.path)?
            {
                add(&entry.path, What::Archive)?;
            }
        }
    }
    Ok(by_inode.into_values().collect())
}

fn is_archive(path: &Path) -> Result<bool, ImageError> {
    let mut magic = Vec::new();
    File::open(path)
        .and_then(|file| file.take(8).read_to_end(&mut magic))
        .map_err(ImageError::io("read", path))?;
    Ok(magic == b"!<arch>\n")
}

/// Tells of ELF files that came stripped out of the build.
fn prestripped(
    image: &Image,
    elf_files: &[NeededEntry],
    variables: &Variables,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let excused = if variables.is_strict("QA_STRICT_PRESTRIPPED") {
        Vec::new()
    } else {
        variables.words_for_arch("QA_PRESTRIPPED", &image.arch)
    };
    let excused = PathPatterns::basic("QA_PRESTRIPPED", excused.iter().map(String::as_str))?;
    let lines: Vec<_> = elf_files
        .iter()
        .filter(|entry| !entry.elf.has_symtab)
        .map(|entry| image.below_ed(&entry.path))
        .filter(|path| !excused.matches(path))
        .map(|path| format!("/{}", String::from_utf8_lossy(&path)))
        .collect();
    if !lines.is_empty() {
        notices.push(Notice::qa_list("Pre-stripped files found:", &lines));
    }
    Ok(())
}

/// The programs and flags in use.
struct Tools {
    strip: PathBuf,
    ranlib: Option<PathBuf>,
    linked: Vec<String>,
    safe: Vec<String>,
}

impl Tools {
    fn find(image: &Image, settings: &Settings) -> Result<Self, ImageError> {
        let prefixed = |name: &str| {
            program::find(&format!("{}-{name}", image.chost), &image.search_path)
                .or_else(|| program::find(name, &image.search_path))
        };
        let strip = prefixed("strip").ok_or_else(|| ImageError::Start {
            program: "strip".to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        let version = program::output(&strip, ["--version"], &image.temp, &image.search_path)?;
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let (safe, more) = if version.contains("elfutils") {
            ("", "--remove-comment")
        } else if version.contains("GNU") {
            (
                "--strip-unneeded -N __gentoo_check_ldflags__",
                "-R .comment -R .GCC.command.line -R .note.gnu.gold-version",
            )
        } else {
            ("", "")
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Ok(Self {
            ranlib: prefixed("ranlib"),
            linked: match &settings.flags {
                Some(flags) => words(flags),
                None => words(&format!("{safe} {more}")),
            },
            safe: words(safe),
            strip,
        })
    }

    /// Strips files of one sort, many with one process. A process that reports failure has done
    /// its other files all the same; those it failed on are found by trying one at a time.
    fn strip(
        &self,
        image: &Image,
        what: What,
        files: &[&Path],
        jobs: usize,
        notices: &mut Vec<Notice>,
    ) -> Result<(), ImageError> {
        let archive_flags = ["-g".to_owned()];
        let flags = match what {
            What::Linked => &self.linked[..],
            What::Relocatable => &self.safe[..],
            What::Archive => &archive_flags[..],
        };
        let per_process = files.len().div_ceil(jobs.max(1)).clamp(1, BATCH);
        let batches: Vec<_> = files.chunks(per_process).collect();
        let results = program::parallel(&batches, jobs, |batch| {
            self.strip_batch(image, what, flags, batch)
        });
        for result in results {
            notices.extend(result?);
        }
        Ok(())
    }

    fn strip_batch(
        &self,
        image: &Image,
        what: What,
        flags: &[String],
        batch: &[&Path],
    ) -> Result<Vec<Notice>, ImageError> {
        let run = |files: &[&Path]| {
            let args = flags
                .iter()
                .map(OsString::from)
                .chain(files.iter().map(|file| file.as_os_str().to_owned()));
            program::output(&self.strip, args, &image.temp, &image.search_path)
        };
        let unwritable = make_writable(batch)?;
        let mut notices = Vec::new();
        let mut done = batch.to_vec();
        if !run(batch)?.status.success() {
            done.clear();
            for &file in batch {
                let output = run(&[file])?;
                if output.status.success() {
                    done.push(file);
                } else {
                    notices.push(Notice::new(
                        Level::Warn,
                        format!(
                            "{}: not stripped: {}",
                            image.shown(file),
                            program::complaint(&output)
                        ),
                    ));
                }
            }
        }
        if what == What::Archive && !done.is_empty() {
            let Some(ranlib) = &self.ranlib else {
                return Err(ImageError::Start {
                    program: "ranlib".to_owned(),
                    source: std::io::ErrorKind::NotFound.into(),
                });
            };
            let output = program::output(ranlib, &done, &image.temp, &image.search_path)?;
            if !output.status.success() {
                notices.push(Notice::new(
                    Level::Warn,
                    format!("ranlib: {}", program::complaint(&output)),
                ));
            }
        }
        for (path, mode) in unwritable {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(path, mode).map_err(ImageError::io("set its mode", path))?;
        }
        Ok(notices)
    }
}

/// Lets the owner write to files that forbid it, and gives those with their old modes. For root
/// nothing is forbidden.
fn make_writable<'a>(files: &[&'a Path]) -> Result<Vec<(&'a Path, u32)>, ImageError> {
    let mut changed = Vec::new();
    if nix::unistd::geteuid().is_root() {
        return Ok(changed);
    }
    for &path in files {
        let metadata = fs::symlink_metadata(path).map_err(ImageError::io("look at it", path))?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o200 == 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o200))
                .map_err(ImageError::io("make writable", path))?;
            changed.push((path, mode));
        }
    }
    Ok(changed)
}

/// Makes all names of a file links to the stripped one: strip may have made a new file of the
/// name it was given.
fn relink(targets: &[Target]) -> Result<(), ImageError> {
    for target in targets.iter().filter(|target| target.what != What::Archive) {
        let Some((first, others)) = target.paths.split_first() else {
            continue;
        };
        let inode = fs::symlink_metadata(first)
            .map_err(ImageError::io("look at it", first))?
            .ino();
        for path in others {
            let other = fs::symlink_metadata(path).map_err(ImageError::io("look at it", path))?;
            if (other.dev(), other.ino()) != (target.device, inode) {
                fs::remove_file(path).map_err(ImageError::io("remove", path))?;
                fs::hard_link(first, path).map_err(ImageError::io("link", path))?;
            }
        }
    }
    Ok(())
}

/// Extended attributes of one file.
type Attributes = (PathBuf, Vec<(OsString, Vec<u8>)>);

/// Reads the extended attributes of the ELF files, which rewriting would lose.
fn save(image: &Image, targets: &[Target]) -> Result<Vec<Attributes>, ImageError> {
    let mut saved = Vec::new();
    if !image.feature("xattr") {
        return Ok(saved);
    }
    for path in targets
        .iter()
        .filter(|target| target.what != What::Archive)
        .filter_map(|target| target.paths.first())
    {
        let names = match xattr::list(path) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => continue,
            Err(error) => return Err(ImageError::io("list the attributes of", path)(error)),
        };
        let mut attributes = Vec::new();
        for name in names {
            let value =
                xattr::get(path, &name).map_err(ImageError::io("read the attributes of", path))?;
            attributes.extend(value.map(|value| (name, value)));
        }
        if !attributes.is_empty() {
            saved.push((path.clone(), attributes));
        }
    }
    Ok(saved)
}

/// Puts back attributes that are gone or changed.
fn restore(
    image: &Image,
    saved: Vec<Attributes>,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    for (path, attributes) in saved {
        for (name, value) in attributes {
            let now = xattr::get(&path, &name)
                .map_err(ImageError::io("read the attributes of", &path))?;
            if now.as_ref() == Some(&value) {
                continue;
            }
            if let Err(error) = xattr::set(&path, &name, &value) {
                notices.push(Notice::new(
                    Level::Warn,
                    format!(
                        "{}: extended attribute {} is lost: {error}",
                        image.shown(&path),
                        name.to_string_lossy()
                    ),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::elf::ElfInfo;
    use super::super::needed;
    use super::super::testing::{Gcc, TestImage};
    use super::*;

    fn settings() -> Settings {
        Settings {
            controllable: true,
            include: vec!["/".into()],
            exclude: Vec::new(),
            mask: String::new(),
            flags: None,
            jobs: 2,
        }
    }

    fn strip(test: &TestImage, settings: &Settings) -> Vec<Notice> {
        let mut notices = Vec::new();
        let needed = needed::scan(&test.image, &mut notices).unwrap();
        run(
            &test.image,
            settings,
            &needed,
            &Variables::default(),
            &mut notices,
        )
        .unwrap();
        notices
    }

    fn has_symtab(path: &Path) -> bool {
        ElfInfo::read(path).unwrap().unwrap().has_symtab
    }

    #[test]
    fn many_at_once_equal_one_by_one() {
        let gcc = Gcc::new();
        let test = TestImage::new();
        let lib = test.copy(&gcc.shared("l.so", &["-Wl,-soname,l"]), "usr/lib64/l.so");
        let prog = test.copy(&gcc.program("p", &[]), "usr/bin/p");
        let object = test.copy(&gcc.object("crt.o"), "usr/lib64/crt.o");
        let archive = test.copy(&gcc.archive("l.a"), "usr/lib64/l.a");
        let odd = test.file("usr/lib64/text.a", "INPUT(-lfoo)\n");
        let alone = |path: &Path, args: &str| {
            let copy = gcc.dir().join("alone");
            fs::copy(path, &copy).unwrap();
            let mut all: Vec<_> = args.split_whitespace().map(OsString::from).collect();
            all.push(copy.clone().into());
            let sh = program::find("strip", &test.image.search_path).unwrap();
            let status = std::process::Command::new(sh).args(all).status().unwrap();
            assert!(status.success());
            fs::read(copy).unwrap()
        };
        let full = "--strip-unneeded -N __gentoo_check_ldflags__ -R .comment -R .GCC.command.line -R .note.gnu.gold-version";
        let safe = "--strip-unneeded -N __gentoo_check_ldflags__";
        let expected = [alone(&lib, full), alone(&prog, full), alone(&object, safe)];
        assert!(strip(&test, &settings()).is_empty());
        assert_eq!(
            [lib, prog, object].map(|path| fs::read(path).unwrap()),
            expected
        );
        assert!(fs::read(&archive).unwrap().len() < fs::read(gcc.dir().join("l.a")).unwrap().len());
        assert_eq!(fs::read(odd).unwrap(), b"INPUT(-lfoo)\n");
    }

    #[test]
    fn hard_links_stay_one_file_and_modes_stay() {
        let gcc = Gcc::new();
        let test = TestImage::new();
        let first = test.copy(&gcc.program("p", &[]), "usr/bin/a");
        fs::set_permissions(&first, fs::Permissions::from_mode(0o4711)).unwrap();
        fs::hard_link(&first, test.path("usr/bin/b")).unwrap();
        strip(&test, &settings());
        let of = |name: &str| fs::symlink_metadata(test.path(name)).unwrap();
        assert_eq!(of("usr/bin/a").ino(), of("usr/bin/b").ino());
        assert_eq!(of("usr/bin/a").nlink(), 2);
        assert_eq!(of("usr/bin/b").mode() & 0o7777, 0o4711);
        assert!(!has_symtab(&test.path("usr/bin/b")));
    }

    #[test]
    fn excluded_files_and_directories_are_left_alone() {
        let gcc = Gcc::new();
        let test = TestImage::new();
        let built = gcc.program("p", &[]);
        for name in ["opt/x/a", "usr/bin/b", "usr/bin/bb"] {
            test.copy(&built, name);
        }
        let settings = Settings {
            exclude: vec!["/opt".into(), "usr/bin/b".into()],
            ..settings()
        };
        strip(&test, &settings);
        assert!(has_symtab(&test.path("opt/x/a")));
        assert!(has_symtab(&test.path("usr/bin/b")));
        assert!(!has_symtab(&test.path("usr/bin/bb")));
    }

    #[test]
    fn restrictions_and_features() {
        let gcc = Gcc::new();
        let mut test = TestImage::new();
        test.copy(&gcc.program("p", &[]), "usr/bin/p");
        test.image.restrict.insert("strip".into());
        let nothing = Settings {
            include: Vec::new(),
            ..settings()
        };
        strip(&test, &nothing);
        assert!(has_symtab(&test.path("usr/bin/p")));
        let old = Settings {
            controllable: false,
            ..nothing
        };
        strip(&test, &old);
        assert!(has_symtab(&test.path("usr/bin/p")));
        test.image.restrict.clear();
        test.image.features.insert("binpkg-dostrip".into());
        test.image.features.insert("splitdebug".into());
        let error = run(
            &test.image,
            &settings(),
            &[],
            &Variables::default(),
            &mut Vec::new(),
        );
        assert!(matches!(
            error,
            Err(ImageError::UnsupportedFeature {
                feature: "splitdebug"
            })
        ));
        test.image.restrict.insert("splitdebug".into());
        strip(&test, &settings());
        assert!(!has_symtab(&test.path("usr/bin/p")));
    }

    #[test]
    fn masks_of_older_eapis() {
        let gcc = Gcc::new();
        let test = TestImage::new();
        let built = gcc.program("p", &[]);
        for name in ["usr/bin/a", "usr/sbin/a", "usr/lib/a"] {
            test.copy(&built, name);
        }
        let settings = Settings {
            controllable: false,
            include: Vec::new(),
            mask: "/usr/{bin,lib}/*".into(),
            ..settings()
        };
        strip(&test, &settings);
        assert!(has_symtab(&test.path("usr/bin/a")));
        assert!(has_symtab(&test.path("usr/lib/a")));
        assert!(!has_symtab(&test.path("usr/sbin/a")));
    }

    #[test]
    fn prestripped_files_are_told_unless_excused() {
        let gcc = Gcc::new();
        let test = TestImage::new();
        test.copy(&gcc.program("p", &["-s"]), "opt/bin/p");
        let notices = strip(&test, &settings());
        assert_eq!(
            notices[0].text,
            "QA Notice: Pre-stripped files found:\n  /opt/bin/p"
        );
        let mut notices = Vec::new();
        let needed = needed::scan(&test.image, &mut notices).unwrap();
        let variables =
            Variables::from_iter([("QA_PRESTRIPPED".to_owned(), vec!["/opt/.*".to_owned()])]);
        run(&test.image, &settings(), &needed, &variables, &mut notices).unwrap();
        assert!(notices.is_empty());
    }

    #[test]
    fn what_strip_refuses_is_told_and_the_rest_is_done() {
        let gcc = Gcc::new();
        let test = TestImage::new();
        test.copy(&gcc.program("p", &[]), "usr/bin/good");
        let mut damaged = fs::read(gcc.dir().join("p")).unwrap();
        damaged.truncate(damaged.len() / 2);
        test.file("usr/bin/bad", damaged);
        let notices = strip(&test, &settings());
        assert!(
            notices
                .iter()
                .any(|n| n.text.starts_with("/usr/bin/bad: not stripped")),
            "{notices:?}"
        );
        assert!(!has_symtab(&test.path("usr/bin/good")));
    }
}
