//! The files in DISTDIR. Everything here blocks, and belongs into a thread where that is allowed.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};

use crate::fetch::error::FetchError;
use crate::fetch::expected::{Expected, Mismatch};
use crate::fetch::identity::FetchUser;
use crate::util::digest::{Digests, HashName, hash_file};

/// What is added to the name of a distfile while it is being fetched.
pub(super) const PARTIAL_SUFFIX: &str = ".partial";

/// What Portage puts between the name of a file with wrong content and some random characters.
const CHECKSUM_FAILURE: &str = "._checksum_failure_.";

/// The hashes of a file of which the Manifest knows nothing: those that a new Manifest entry has.
const USUAL_HASHES: [HashName; 2] = [HashName::Blake2b, HashName::Sha512];

/// What stands under the name of a distfile.
#[derive(Debug)]
pub(super) enum Found {
    /// The right file.
    Good(Digests),
    /// Nothing.
    Missing,
    /// A link that leads nowhere or to a wrong file.
    BadLink,
    /// A file with wrong content.
    Bad(Option<Mismatch>),
}

/// The hashes to compute for a file.
pub(super) fn wanted(expected: Option<&Expected>) -> Vec<HashName> {
    expected.map_or_else(|| USUAL_HASHES.to_vec(), Expected::names)
}

/// Refuses a name that would lead out of DISTDIR, or to a lock or an unfinished download.
pub(super) fn check_name(file: &str) -> Result<(), FetchError> {
    let reason = if file.is_empty() {
        "it is empty"
    } else if file.starts_with('.') {
        "it starts with a dot"
    } else if file.contains('/') {
        "it contains a slash"
    } else if file.contains(char::is_control) {
        "it contains a control character"
    } else if file.ends_with(PARTIAL_SUFFIX) {
        "unfinished downloads end in `.partial`"
    } else {
        return Ok(());
    };
    Err(FetchError::BadName {
        file: file.to_owned(),
        reason,
    })
}

/// Makes a function that wraps what the system says of `path`.
pub(super) fn local(path: &Path, step: &'static str) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Local { path, step, source }
}

/// Creates DISTDIR when it is missing; it is the fetch user's, if there is one.
pub(super) fn ensure(
    distdir: &Path,
    user: Option<FetchUser>,
    group: Option<u32>,
) -> Result<(), FetchError> {
    let fail = |source| FetchError::Distdir {
        path: distdir.to_owned(),
        source,
    };
    if distdir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(distdir).map_err(fail)?;
    // Portage lets the group write; the sticky bit and others keep what the umask gave.
    if let Ok(metadata) = distdir.metadata() {
        if user.is_some() || group.is_some() {
            let group = group.or(user.map(|user| user.gid));
            let _ = chown(distdir, user.map(|user| user.uid), group);
        }
        let mode = (metadata.mode() | 0o070) & !0o002;
        let _ = fs::set_permissions(distdir, Permissions::from_mode(mode & 0o7777));
    }
    Ok(())
}

/// Whether this thread may make files in the directory. That is tried: rights do not tell it of a network file system.
pub(super) fn may_write(directory: &Path) -> bool {
    tempfile::Builder::new()
        .prefix(".ebd-trial-")
        .tempfile_in(directory)
        .is_ok()
}

/// How a file from another directory got into DISTDIR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    /// By a hard link.
    Linked,
    /// By a copy, which may share its blocks.
    Copied,
}

/// Brings the distfile at `candidate`, if it is right, to `target`, where nothing is. `None` if it is not right.
pub(super) fn bring(
    candidate: &Path,
    target: &Path,
    expected: Option<&Expected>,
    group: Option<u32>,
) -> Result<Option<(Shared, Digests)>, FetchError> {
    // A directory that is broken is not worse than one that lacks the file.
    let Ok(candidate) = fs::canonicalize(candidate) else {
        return Ok(None);
    };
    let Ok(Found::Good(digests)) = inspect(&candidate, expected) else {
        return Ok(None);
    };
    if fs::hard_link(&candidate, target).is_ok() {
        return Ok(Some((Shared::Linked, digests)));
    }
    // On another file system, or not allowed.
    let mut name = target.as_os_str().to_owned();
    name.push(PARTIAL_SUFFIX);
    let partial = PathBuf::from(name);
    remove_link(&partial)?;
    let copied = reflink_copy::reflink_or_copy(&candidate, &partial);
    if let Err(error) = copied {
        let _ = fs::remove_file(&partial);
        return Err(match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FetchError::NoSpace {
                path: target.to_owned(),
                missing: digests.size(),
            },
            _ => local(&partial, "made a copy")(error),
        });
    }
    // It may have changed meanwhile.
    let Found::Good(digests) = inspect(&partial, expected)? else {
        let _ = fs::remove_file(&partial);
        return Ok(None);
    };
    share_existing(&partial, group);
    fs::rename(&partial, target).map_err(local(&partial, "renamed into place"))?;
    Ok(Some((Shared::Copied, digests)))
}

/// Looks what stands at `path` and verifies it.
pub(super) fn inspect(path: &Path, expected: Option<&Expected>) -> Result<Found, FetchError> {
    let absent = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    };
    let is_link = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_symlink(),
        Err(error) if absent(&error) => return Ok(Found::Missing),
        Err(error) => return Err(local(path, "examined")(error)),
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_link && absent(&error) => return Ok(Found::BadLink),
        // The other holder of the lock may have just renamed it.
        Err(error) if absent(&error) => return Ok(Found::Missing),
        Err(error) if is_link => {
            tracing::debug!("{}: {error}", path.display());
            return Ok(Found::BadLink);
        }
        Err(error) => return Err(local(path, "examined")(error)),
    };
    if !metadata.is_file() {
        return Err(FetchError::InTheWay {
            path: path.to_owned(),
        });
    }
    let bad = |mismatch| {
        if is_link {
            Found::BadLink
        } else {
            Found::Bad(mismatch)
        }
    };
    if let Some(expected) = expected {
        // Hashing is spared where the size tells already.
        if let Err(mismatch) = expected.verify_size(metadata.len()) {
            return Ok(bad(Some(mismatch)));
        }
    } else if metadata.len() == 0 {
        return Ok(bad(None));
    }
    let digests = hash_file(path, &wanted(expected))
        .map_err(|error| local(&error.path, "read")(error.source))?;
    if let Some(Err(mismatch)) = expected.map(|expected| expected.verify(&digests)) {
        return Ok(bad(Some(mismatch)));
    }
    Ok(Found::Good(digests))
}

/// Renames a file with wrong content to `<name>._checksum_failure_.<random>`, beside it, and gives the new path.
///
/// When the same content was set aside before, the file is removed, and the old path given.
pub(super) fn set_aside(path: &Path, name: &str) -> Result<PathBuf, FetchError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let prefix = format!("{name}{CHECKSUM_FAILURE}");
    let size = fs::symlink_metadata(path)
        .map_err(local(path, "examined"))?
        .len();
    let entries = fs::read_dir(directory).map_err(local(directory, "read"))?;
    for entry in entries.flatten() {
        if !entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(prefix.as_bytes())
        {
            continue;
        }
        let same_size = entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == size);
        if same_size && same_content(path, &entry.path()).unwrap_or(false) {
            fs::remove_file(path).map_err(local(path, "removed"))?;
            return Ok(entry.path());
        }
    }
    let temporary = tempfile::Builder::new()
        .prefix(&prefix)
        .rand_bytes(8)
        .tempfile_in(directory)
        .map_err(local(path, "renamed aside"))?
        .into_temp_path();
    fs::rename(path, &temporary).map_err(local(path, "renamed aside"))?;
    temporary
        .keep()
        .map_err(|error| local(path, "renamed aside")(error.error))
}

fn same_content(first: &Path, second: &Path) -> io::Result<bool> {
    let (mut first, mut second) = (File::open(first)?, File::open(second)?);
    let mut one = vec![0; 1 << 16];
    let mut other = vec![0; 1 << 16];
    loop {
        let count = first.read(&mut one)?;
        let Some((one, other)) = one.get(..count).zip(other.get_mut(..count)) else {
            return Ok(false);
        };
        if count == 0 {
            return Ok(second.read(&mut [0])? == 0);
        }
        if let Err(error) = second.read_exact(other) {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof => Ok(false),
                _ => Err(error),
            };
        }
        if one != other {
            return Ok(false);
        }
    }
}

/// Removes a link, and finds it no failure when it is gone already.
pub(super) fn remove_link(path: &Path) -> Result<(), FetchError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(local(path, "removed")(error)),
        _ => Ok(()),
    }
}

/// Gives a distfile the group and the permissions that Portage gives: 0664, and nothing for others to write.
/// It is no failure when that is not allowed.
pub(super) fn share(file: &File, group: Option<u32>) {
    let Ok(metadata) = file.metadata() else {
        return;
    };
    if group.is_some_and(|group| group != metadata.gid()) {
        let _ = fchown(file, None, group);
    }
    let mode = metadata.mode() & 0o7777;
    let wanted = (mode | 0o664) & !0o002;
    if mode != wanted {
        let _ = file.set_permissions(Permissions::from_mode(wanted));
    }
}

/// Does the same for a distfile that was there already, unless it is a link to somewhere else, or has a further name
/// there.
pub(super) fn share_existing(path: &Path, group: Option<u32>) {
    if fs::symlink_metadata(path).is_ok_and(|it| it.is_file() && it.nlink() == 1)
        && let Ok(file) = File::open(path)
    {
        share(&file, group);
    }
}

/// Fails early when the file system cannot take `missing` more bytes.
pub(super) fn check_space(path: &Path, missing: u64) -> Result<(), FetchError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let Ok(facts) = nix::sys::statvfs::statvfs(directory) else {
        return Ok(());
    };
    // Some network file systems do not know.
    if facts.blocks() == 0 {
        return Ok(());
    }
    let blocks = if nix::unistd::geteuid().is_root() {
        facts.blocks_free()
    } else {
        facts.blocks_available()
    };
    let free = u128::from(blocks) * u128::from(facts.fragment_size());
    if u128::from(missing) > free {
        return Err(FetchError::NoSpace {
            path: path.to_owned(),
            missing,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "../a",
            "a\nb",
            "a\0",
            "a.partial",
        ] {
            let error = check_name(name).unwrap_err();
            assert!(matches!(error, FetchError::BadName { .. }), "{name:?}");
        }
        for name in ["a", "a b", "foo-1.0.tar.gz", "ä", "a..b", "-x"] {
            check_name(name).unwrap();
        }
    }

    #[test]
    fn wrong_content_is_kept_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "wrong").unwrap();
        let first = set_aside(&path, "a").unwrap();
        let name = first.file_name().unwrap().to_str().unwrap();
        assert_eq!(name.strip_prefix("a._checksum_failure_.").unwrap().len(), 8);
        assert_eq!(fs::read(&first).unwrap(), b"wrong");
        assert!(!path.exists());

        fs::write(&path, "wrong").unwrap();
        assert_eq!(set_aside(&path, "a").unwrap(), first);
        assert!(!path.exists());

        fs::write(&path, "Wrong").unwrap();
        assert_ne!(set_aside(&path, "a").unwrap(), first);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_stands_there_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let entry = Expected::new(3, [("SHA1", HashName::Sha1.hex(b"abc"))]);
        let look = || inspect(&path, Some(&entry)).unwrap();
        assert!(matches!(look(), Found::Missing));
        fs::write(&path, "abcd").unwrap();
        assert!(matches!(look(), Found::Bad(Some(Mismatch::Size { .. }))));
        fs::write(&path, "abd").unwrap();
        assert!(matches!(look(), Found::Bad(Some(Mismatch::Hash { .. }))));
        fs::write(&path, "abc").unwrap();
        assert!(matches!(look(), Found::Good(_)));
        let target = directory.path().join("target");
        fs::rename(&path, &target).unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(look(), Found::Good(_)));
        fs::write(&target, "no").unwrap();
        assert!(matches!(look(), Found::BadLink));
        fs::remove_file(&target).unwrap();
        assert!(matches!(look(), Found::BadLink));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(
            inspect(&path, Some(&entry)),
            Err(FetchError::InTheWay { .. })
        ));
        let below_file = Path::new("/etc/passwd/a");
        assert!(matches!(inspect(below_file, None), Ok(Found::Missing)));
    }

    #[test]
    fn without_an_entry_anything_but_nothing_will_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "").unwrap();
        assert!(matches!(inspect(&path, None), Ok(Found::Bad(None))));
        fs::write(&path, "x").unwrap();
        assert!(matches!(inspect(&path, None), Ok(Found::Good(_))));
    }

    #[test]
    fn a_full_disk_is_seen_beforehand() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        check_space(&path, 1).unwrap();
        assert!(matches!(
            check_space(&path, u64::MAX),
            Err(FetchError::NoSpace { .. })
        ));
    }
}
