//! What `install(1)` does, without the program.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown,
};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use filetime::FileTime;
use nix::unistd::{Group, User};

use super::env::HelperEnv;
use super::error::{FileError, HelperError};

const SETID: u32 = 0o6000;
const DEFAULT_MODE: u32 = 0o755;

/// Who installs a file: this process, or `install(1)` because the options ask for more than is
/// done here.
#[derive(Debug, Clone)]
pub(super) enum Installer {
    Native(InstallOptions),
    Program(Vec<OsString>),
}

/// The options of `install(1)` that are done here.
#[derive(Debug, Clone, Copy)]
pub(super) struct InstallOptions {
    /// Permission bits; 0755 unless given.
    pub(super) mode: u32,
    /// Whether `mode` was given so that it also says no to set-id bits a directory already has.
    pub(super) clears_setid: bool,
    pub(super) owner: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) preserve_timestamps: bool,
}

impl InstallOptions {
    /// Options that set nothing but the mode.
    pub(super) const fn with_mode(mode: u32) -> Self {
        Self {
            mode,
            clears_setid: false,
            owner: None,
            group: None,
            preserve_timestamps: false,
        }
    }
}

/// How text with options becomes words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// Split at white space, as the shell splits an unquoted variable.
    Split,
    /// Quotes and backslashes as in a POSIX shell.
    Quoted,
}

impl Installer {
    pub(super) const fn with_mode(mode: u32) -> Self {
        Self::Native(InstallOptions::with_mode(mode))
    }

    /// Reads the options an ebuild has set with `insopts` and the like.
    pub(super) fn parse(helper: &str, text: &OsStr, words: Words) -> Result<Self, HelperError> {
        let fail = |message: String| HelperError::InstallOptions {
            helper: helper.to_owned(),
            options: text.to_string_lossy().into_owned(),
            message,
        };
        let words = match words {
            Words::Split => split_words(text),
            Words::Quoted => split_quoted(text).ok_or_else(|| fail("unbalanced quotes".into()))?,
        };
        parse_options(words).map_err(fail)
    }

    /// The same without taking over the times of the files.
    pub(super) fn without_times(&self) -> Self {
        match self {
            Self::Native(options) => Self::Native(InstallOptions {
                preserve_timestamps: false,
                ..*options
            }),
            Self::Program(words) => Self::Program(words.clone()),
        }
    }

    /// Puts a copy of `source` into a directory under a name.
    pub(super) fn install_file(
        &self,
        env: &HelperEnv,
        source: &Path,
        directory: &Path,
        name: &OsStr,
    ) -> Result<(), FileError> {
        let target = directory.join(name);
        match self {
            Self::Native(options) => copy_file(source, &target, options)?,
            Self::Program(options) => {
                let mut command = env.command("install");
                command.args(options).arg(source).arg(&target);
                run_install(source, command.status())?;
            }
        }
        if env.has_feature("xattr") {
            copy_xattrs(source, &target, &env.text("PORTAGE_XATTR_EXCLUDE"))?;
        }
        Ok(())
    }

    /// Creates a directory and its parents. The parents get the mode the umask allows, the
    /// directory itself exactly the wished one, even if it was there before.
    pub(super) fn make_directory(&self, env: &HelperEnv, path: &Path) -> Result<(), FileError> {
        let options = match self {
            Self::Native(options) => options,
            Self::Program(words) => {
                let mut command = env.command("install");
                command.arg("-d").args(words).arg(path);
                return run_install(path, command.status());
            }
        };
        fs::create_dir_all(path).map_err(|e| FileError::io(path, "cannot create directory", e))?;
        if options.owner.is_some() || options.group.is_some() {
            lchown(path, options.owner, options.group)
                .map_err(|e| FileError::io(path, "cannot change owner", e))?;
        }
        fs::set_permissions(path, Permissions::from_mode(options.mode))
            .map_err(|e| FileError::io(path, "cannot change mode", e))
    }

    /// Creates a directory as `install -d` does: parents have mode 0755 whatever the umask, and
    /// set-id bits a directory has stay unless the mode speaks of them.
    pub(super) fn install_directory(&self, env: &HelperEnv, path: &Path) -> Result<(), FileError> {
        match self {
            Self::Native(options) => install_directory(path, options),
            Self::Program(words) => {
                let mut command = env.command("install");
                command.arg("-d").args(words).arg(path);
                run_install(path, command.status())
            }
        }
    }
}

/// Creates a directory with `install -d` and no options, if it is not there.
pub(super) fn ensure_directory(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    let mut options = InstallOptions::with_mode(DEFAULT_MODE);
    options.clears_setid = true;
    install_directory(path, &options)
}

fn install_directory(path: &Path, options: &InstallOptions) -> Result<(), FileError> {
    // Without `.`, which names a directory that is there only once its parent is made.
    let path: &Path = &path.components().collect::<PathBuf>();
    let created = create_with_parents(path)?;
    let refused = |what| move |e| FileError::io(path, what, e);
    if options.owner.is_some() || options.group.is_some() {
        lchown(path, options.owner, options.group).map_err(refused("cannot change owner"))?;
    }
    let now = fs::metadata(path)
        .map_err(refused("cannot examine"))?
        .mode()
        & 0o7777;
    let kept = if options.clears_setid { 0 } else { now & SETID };
    let wished = options.mode | kept;
    if now != wished || (created && kept != 0) {
        fs::set_permissions(path, Permissions::from_mode(wished))
            .map_err(refused("cannot change mode"))?;
    }
    Ok(())
}

/// Creates a directory, mode 0755 for it and each new parent; says whether it is new.
fn create_with_parents(path: &Path) -> Result<bool, FileError> {
    let refused = |e| FileError::io(path, "cannot create directory", e);
    match DirBuilder::new().mode(DEFAULT_MODE).create(path) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
            let Some(parent) = parent else {
                return Err(refused(e));
            };
            create_with_parents(parent)?;
            match DirBuilder::new().mode(DEFAULT_MODE).create(path) {
                // `new/..` is there as soon as `new` is.
                Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => {
                    return Ok(false);
                }
                other => other.map_err(refused)?,
            }
        }
        Err(_) if path.is_dir() => return Ok(false),
        Err(e) => return Err(refused(e)),
    }
    let now = fs::metadata(path).map_err(refused)?.mode() & 0o7777;
    if now & 0o777 != DEFAULT_MODE {
        let mode = DEFAULT_MODE | (now & 0o7000);
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(refused)?;
    }
    Ok(true)
}

fn copy_file(source: &Path, target: &Path, options: &InstallOptions) -> Result<(), FileError> {
    let from = fs::metadata(source).map_err(|e| missing_or(source, e))?;
    check_source(source, &from)?;
    let refused = |what| move |e| FileError::io(target, what, e);
    match fs::symlink_metadata(target) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(refused("cannot examine")(e)),
        Ok(there) if there.is_dir() => return Err(FileError::Occupied(target.to_owned())),
        Ok(there) => {
            if is_same_file(source, &from, target, &there) {
                return Err(FileError::SameFile {
                    source_path: source.to_owned(),
                    target: target.to_owned(),
                });
            }
            fs::remove_file(target).map_err(refused("cannot remove"))?;
        }
    }
    let mut reader = File::open(source).map_err(|e| FileError::io(source, "cannot open", e))?;
    let mut create = OpenOptions::new();
    let mut writer = create
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target)
        .map_err(refused("cannot create"))?;
    io::copy(&mut reader, &mut writer).map_err(refused("cannot write"))?;
    if options.owner.is_some() || options.group.is_some() {
        fchown(&writer, options.owner, options.group).map_err(refused("cannot change owner"))?;
    }
    writer
        .set_permissions(Permissions::from_mode(options.mode))
        .map_err(refused("cannot change mode"))?;
    if options.preserve_timestamps {
        let accessed = FileTime::from_last_access_time(&from);
        let modified = FileTime::from_last_modification_time(&from);
        filetime::set_file_handle_times(&writer, Some(accessed), Some(modified))
            .map_err(refused("cannot set times"))?;
    }
    Ok(())
}

/// Turns the failure to find a file into the error for it.
pub(super) fn missing_or(path: &Path, error: io::Error) -> FileError {
    match error.kind() {
        ErrorKind::NotFound => FileError::Missing(path.to_owned()),
        _ => FileError::io(path, "cannot examine", error),
    }
}

fn check_source(source: &Path, metadata: &Metadata) -> Result<(), FileError> {
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(FileError::Directory(source.to_owned()));
    }
    // Devices are read like files: `newins /dev/null x` is how ebuilds make empty files.
    if kind.is_fifo() || kind.is_socket() {
        return Err(FileError::Special(source.to_owned()));
    }
    Ok(())
}

/// Whether removing the target would remove the source.
fn is_same_file(source: &Path, from: &Metadata, target: &Path, there: &Metadata) -> bool {
    if there.is_symlink() || from.dev() != there.dev() || from.ino() != there.ino() {
        return false;
    }
    there.nlink() == 1 || fs::canonicalize(source).ok() == fs::canonicalize(target).ok()
}

fn run_install(path: &Path, status: io::Result<ExitStatus>) -> Result<(), FileError> {
    let status = status.map_err(|e| FileError::io(path, "cannot run install", e))?;
    match status_code(status) {
        0 => Ok(()),
        status => Err(FileError::Install {
            path: path.to_owned(),
            status,
        }),
    }
}

/// The status a shell would give: 128 plus the number for a signal.
pub(super) fn status_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|s| 128 + s));
    code.and_then(|c| u8::try_from(c).ok()).unwrap_or(u8::MAX)
}

fn copy_xattrs(source: &Path, target: &Path, exclude: &str) -> Result<(), FileError> {
    let names = match xattr::list_deref(source) {
        Ok(names) => names,
        Err(e) if e.kind() == ErrorKind::Unsupported => return Ok(()),
        Err(e) => return Err(FileError::io(source, "cannot list extended attributes", e)),
    };
    let mut patterns = Vec::new();
    for pattern in exclude.split_ascii_whitespace() {
        patterns.extend(glob::Pattern::new(pattern));
    }
    for name in names {
        let text = name.to_string_lossy();
        if patterns.iter().any(|p| p.matches(&text)) {
            continue;
        }
        let value = xattr::get_deref(source, &name)
            .map_err(|e| FileError::io(source, "cannot read extended attributes", e))?;
        if let Some(value) = value {
            xattr::set_deref(target, &name, &value)
                .map_err(|e| FileError::io(target, "cannot set extended attributes", e))?;
        }
    }
    Ok(())
}

/// Splits text as the shell splits an unquoted variable.
pub(super) fn split_words(text: &OsStr) -> Vec<OsString> {
    let words = text.as_bytes().split(|b| matches!(b, b' ' | b'\t' | b'\n'));
    words
        .filter(|w| !w.is_empty())
        .map(|w| OsStr::from_bytes(w).to_owned())
        .collect()
}

/// Splits text by the quoting rules of a POSIX shell; `None` if a quote is not closed.
fn split_quoted(text: &OsStr) -> Option<Vec<OsString>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = text.as_bytes().iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => words.extend(word.take().map(OsString::from_vec)),
            b'\\' => word.get_or_insert_default().push(bytes.next()?),
            b'\'' | b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b if b == byte => break,
                        b'\\' if byte == b'"' => {
                            let next = bytes.next()?;
                            if !matches!(next, b'"' | b'\\') {
                                word.push(b'\\');
                            }
                            word.push(next);
                        }
                        b => word.push(b),
                    }
                }
            }
            b => word.get_or_insert_default().push(b),
        }
    }
    words.extend(word.map(OsString::from_vec));
    Some(words)
}

fn parse_options(words: Vec<OsString>) -> Result<Installer, String> {
    let mut options = InstallOptions::with_mode(DEFAULT_MODE);
    options.clears_setid = true;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        // Anything not known here is left to the program, with all the options.
        let Some(text) = word.to_str() else {
            return Ok(Installer::Program(words));
        };
        let (letter, value) = if let Some(long) = text.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let letter = match name {
                "mode" => 'm',
                "owner" => 'o',
                "group" => 'g',
                "preserve-timestamps" if value.is_none() => 'p',
                _ => return Ok(Installer::Program(words)),
            };
            (letter, value)
        } else {
            let Some(mut short) = text.strip_prefix('-') else {
                return Ok(Installer::Program(words));
            };
            while let Some(after) = short.strip_prefix('p') {
                options.preserve_timestamps = true;
                short = after;
            }
            let mut letters = short.chars();
            match letters.next() {
                Some(letter) => (letter, Some(letters.as_str()).filter(|v| !v.is_empty())),
                None if text.len() > 1 => continue,
                None => return Ok(Installer::Program(words)),
            }
        };
        if letter == 'p' {
            options.preserve_timestamps = true;
            continue;
        }
        if !matches!(letter, 'm' | 'o' | 'g') {
            return Ok(Installer::Program(words));
        }
        let value = match value {
            Some(value) => value,
            None => match rest.next() {
                None => return Err(format!("option -{letter} needs a value")),
                Some(next) => match next.to_str() {
                    None => return Ok(Installer::Program(words)),
                    Some(next) => next,
                },
            },
        };
        match letter {
            'o' => options.owner = Some(user_id(value)?),
            'g' => options.group = Some(group_id(value)?),
            _ => match parse_mode(value) {
                Some(mode) => {
                    options.mode = mode;
                    options.clears_setid = value.len() >= 5;
                }
                // Symbolic modes; the program also finds the wrong ones.
                None => return Ok(Installer::Program(words)),
            },
        }
    }
    Ok(Installer::Native(options))
}

/// Reads an octal mode.
pub(super) fn parse_mode(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| matches!(b, b'0'..=b'7')) {
        return None;
    }
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
}

fn user_id(name: &str) -> Result<u32, String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        _ => name.parse().map_err(|_| format!("no user `{name}`")),
    }
}

fn group_id(name: &str) -> Result<u32, String> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => name.parse().map_err(|_| format!("no group `{name}`")),
    }
}

/// The last part of a path, empty if it ends with a slash.
pub(super) fn basename(path: &OsStr) -> &OsStr {
    let bytes = path.as_bytes();
    let start = bytes
        .iter()
        .rposition(|b| *b == b'/')
        .map_or(0, |at| at + 1);
    OsStr::from_bytes(bytes.get(start..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mode, whether it clears set-id bits, owner, group, whether times are kept.
    type Read = (u32, bool, Option<u32>, Option<u32>, bool);

    fn options(text: &str) -> Option<Read> {
        match Installer::parse("doins", OsStr::new(text), Words::Quoted) {
            Ok(Installer::Native(o)) => Some((
                o.mode,
                o.clears_setid,
                o.owner,
                o.group,
                o.preserve_timestamps,
            )),
            Ok(Installer::Program(_)) => None,
            Err(e) => panic!("{e}"),
        }
    }

    #[test]
    fn options_are_read_as_getopt_does() {
        assert_eq!(options(""), Some((0o755, true, None, None, false)));
        assert_eq!(options("-m0644"), Some((0o644, false, None, None, false)));
        assert_eq!(
            options("-m 00644 -p"),
            Some((0o644, true, None, None, true))
        );
        assert_eq!(options("-pm 4711"), Some((0o4711, false, None, None, true)));
        assert_eq!(
            options("--mode=600 --owner 12"),
            Some((0o600, false, Some(12), None, false))
        );
        assert_eq!(
            options("-o root -g '13'"),
            Some((0o755, true, Some(0), Some(13), false))
        );
        assert_eq!(
            options("-pp --preserve-timestamps"),
            Some((0o755, true, None, None, true))
        );
        for text in [
            "-m u=rw",
            "-v",
            "-D",
            "--mod=600",
            "-m 9",
            "file",
            "-",
            "--",
            "-m 10000",
            "-pv",
        ] {
            assert_eq!(options(text), None, "{text}");
        }
    }

    #[test]
    fn quotes_are_those_of_a_shell() {
        let split = |text: &str| {
            let words = split_quoted(OsStr::new(text))?;
            Some(
                words
                    .into_iter()
                    .map(|w| w.into_string().unwrap())
                    .collect::<Vec<_>>(),
            )
        };
        let words = |list: &[&str]| Some(list.iter().map(|w| (*w).to_owned()).collect());
        assert_eq!(
            split(r#" a 'b c'  "d\"e\f" g\ h '' "#),
            words(&["a", "b c", "d\"e\\f", "g h", ""])
        );
        assert_eq!(split("'a"), None);
        assert_eq!(split("a\\"), None);
        assert_eq!(split(""), words(&[]));
    }

    #[test]
    fn the_umask_is_not_asked_for_install_directories() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().join("top");
        fs::create_dir(&top).unwrap();
        fs::set_permissions(&top, Permissions::from_mode(0o2755)).unwrap();
        let made = top.join("a/./b/../c/");
        install_directory(&made, &InstallOptions::with_mode(0o700)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        // The set-group-id bit is inherited, and left alone by a mode of few digits.
        assert_eq!(mode(&top.join("a")), 0o2755);
        assert_eq!(mode(&top.join("a/c")), 0o2700);
        ensure_directory(&top.join("a/d")).unwrap();
        assert_eq!(mode(&top.join("a/d")), 0o755);
    }

    #[test]
    fn attributes_are_copied_but_for_excluded_ones() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("a"), directory.path().join("b"));
        fs::write(&from, "").unwrap();
        fs::write(&to, "").unwrap();
        if xattr::set(&from, "user.ebd.one", b"1").is_err() {
            return; // this file system has none
        }
        xattr::set(&from, "user.two", b"2").unwrap();
        copy_xattrs(&from, &to, "security.* user.t*").unwrap();
        assert_eq!(
            xattr::get(&to, "user.ebd.one").unwrap(),
            Some(b"1".to_vec())
        );
        assert_eq!(xattr::get(&to, "user.two").unwrap(), None);
    }
}
