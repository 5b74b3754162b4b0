//! What is put right in the image first: names that are not UTF-8, libtool archives, owners; and
//! later the `dir` files of info pages and the link to HTML documentation.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Image, ImageError, Level, Notice, lafile, walk};

/// Whose files become whose.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The user the build runs as (`PORTAGE_USERNAME`).
    pub portage_uid: u32,
    /// The group the build runs as (`PORTAGE_GRPNAME`).
    pub portage_gid: u32,
    /// `PORTAGE_INST_UID`: the user that the build user's files are given to.
    pub inst_uid: u32,
    /// `PORTAGE_INST_GID`.
    pub inst_gid: u32,
    /// Whether absolute links into `D` lose that part (PMS 13.4).
    pub symlinks_rewritten: bool,
}

/// The variables that ask for a link to HTML documentation.
#[derive(Debug, Clone, Default)]
pub struct HtmlDocs {
    /// `DOC_SYMLINKS_DIR`; nothing is done when it is empty.
    pub symlinks_dir: String,
    /// `HTMLDOC_DIR`.
    pub htmldoc_dir: String,
}

/// Makes names UTF-8 (each byte that is not becomes `?`), rewrites libtool archives when
/// FEATURES has fixlafiles, gives the build user's files to the install user without losing
/// set-id bits, writes `SIZE` and gives its number: bytes in regular files, hard links once.
///
/// # Errors
///
/// When something cannot be read, renamed or changed.
pub fn fix(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<u64, ImageError> {
    fix_names(image, notices)?;
    if settings.symlinks_rewritten {
        fix_links(image, notices)?;
    }
    let mut size = 0;
    let mut counted = BTreeSet::new();
    let mut fixed = Vec::new();
    for entry in walk::walk(&image.d)? {
        let mut metadata = entry.metadata;
        let path = entry.path;
        if image.feature("fixlafiles")
            && path.extension() == Some(OsStr::new("la"))
            && path.is_file()
            && fix_lafile(image, &path, notices)?
        {
            fixed.push(image.shown(&path));
            metadata = fs::symlink_metadata(&path).map_err(ImageError::io("look at it", &path))?;
        }
        if metadata.is_file() && counted.insert(metadata.ino()) {
            size += metadata.len();
        }
        give(&path, &metadata, settings)?;
    }
    if !fixed.is_empty() {
        notices.push(Notice::new(
            Level::Info,
            format!("Fixing .la files\n   {}", fixed.join("\n   ")),
        ));
    }
    let path = image.build_info.join("SIZE");
    fs::write(&path, format!("{size}\n")).map_err(ImageError::io("write", &path))?;
    Ok(size)
}

/// Takes `D` away from the beginning of links' targets. Portage does so when it merges, but only
/// where it has built the package itself: in one from elsewhere it no longer knows that `D`.
fn fix_links(image: &Image, notices: &mut Vec<Notice>) -> Result<(), ImageError> {
    let mut changed = Vec::new();
    for entry in walk::walk(&image.d)? {
        if !entry.metadata.is_symlink() {
            continue;
        }
        let link = entry.path;
        let target = fs::read_link(&link).map_err(ImageError::io("read the link", &link))?;
        let Ok(rest) = target.strip_prefix(&image.d) else {
            continue;
        };
        let target = Path::new("/").join(rest);
        fs::remove_file(&link).map_err(ImageError::io("replace", &link))?;
        std::os::unix::fs::symlink(&target, &link)
            .map_err(ImageError::io("create the link", &link))?;
        changed.push(format!("{} -> {}", image.shown(&link), target.display()));
    }
    if !changed.is_empty() {
        notices.push(Notice::qa_list(
            "absolute symbolic links into the image were changed to:",
            &changed,
        ));
    }
    Ok(())
}

/// Renames what has bytes in its name that are not UTF-8.
fn fix_names(image: &Image, notices: &mut Vec<Notice>) -> Result<(), ImageError> {
    let mut renamed = Vec::new();
    loop {
        let bad = walk::walk(&image.d)?.into_iter().find_map(|entry| {
            let name = entry.path.file_name()?;
            let new = utf8_name(name.as_bytes())?;
            Some((entry.path.clone(), entry.path.with_file_name(new)))
        });
        let Some((old, new)) = bad else { break };
        if fs::symlink_metadata(&new).is_ok() {
            return Err(ImageError::io(
                "rename to a name in UTF-8, which is taken,",
                &old,
            )(io::ErrorKind::AlreadyExists.into()));
        }
        fs::rename(&old, &new).map_err(ImageError::io("rename to UTF-8", &old))?;
        renamed.push(image.shown(&new));
    }
    if !renamed.is_empty() {
        notices.push(Notice::qa_list(
            "file names that are not valid UTF-8 were changed to:",
            &renamed,
        ));
    }
    Ok(())
}

/// The name with `?` for every byte that does not belong to UTF-8; `None` when all do.
fn utf8_name(name: &[u8]) -> Option<String> {
    if std::str::from_utf8(name).is_ok() {
        return None;
    }
    let mut out = String::new();
    for chunk in name.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| '?'));
    }
    Some(out)
}

/// Rewrites one libtool archive; tells whether it was changed.
fn fix_lafile(image: &Image, path: &Path, notices: &mut Vec<Notice>) -> Result<bool, ImageError> {
    let contents = fs::read(path).map_err(ImageError::io("read", path))?;
    match lafile::rewrite(&contents) {
        Ok(None) => Ok(false),
        Ok(Some(new)) => {
            replace(path, &new)?;
            Ok(true)
        }
        Err(error) => {
            let first = contents
                .split(|&byte| byte == b'\n')
                .next()
                .unwrap_or_default();
            let header = b".la - a libtool library file";
            // Without the header it may be something else of that name.
            if first.windows(header.len()).any(|window| window == header) {
                notices.push(Notice::new(
                    Level::Qa,
                    format!(
                        "QA Notice: invalid .la file found: {}, {error}",
                        image.shown(path)
                    ),
                ));
            }
            Ok(false)
        }
    }
}

/// Replaces a file's content, keeping owner and mode.
fn replace(path: &Path, contents: &[u8]) -> Result<(), ImageError> {
    let path = path
        .canonicalize()
        .map_err(ImageError::io("resolve", path))?;
    let metadata = fs::metadata(&path).map_err(ImageError::io("look at it", &path))?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::NamedTempFile::new_in(directory)
        .map_err(ImageError::io("create a file in", directory))?;
    new.write_all(contents)
        .map_err(ImageError::io("write", &path))?;
    let now = new
        .as_file()
        .metadata()
        .map_err(ImageError::io("look at it", &path))?;
    if (now.uid(), now.gid()) != (metadata.uid(), metadata.gid()) {
        std::os::unix::fs::chown(new.path(), Some(metadata.uid()), Some(metadata.gid()))
            .map_err(ImageError::io("change the owner of", &path))?;
    }
    new.as_file()
        .set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))
        .map_err(ImageError::io("set the mode of", &path))?;
    new.persist(&path)
        .map(drop)
        .map_err(|error| ImageError::io("replace", &path)(error.error))
}

/// Gives a file of the build user or group to the install user or group.
fn give(path: &Path, metadata: &fs::Metadata, settings: &Settings) -> Result<(), ImageError> {
    let change = |is: u32, from: u32, to: u32| (is == from && from != to).then_some(to);
    let uid = change(metadata.uid(), settings.portage_uid, settings.inst_uid);
    let gid = change(metadata.gid(), settings.portage_gid, settings.inst_gid);
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    std::os::unix::fs::lchown(path, uid, gid)
        .map_err(ImageError::io("change the owner of", path))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    // Changing the owner takes set-id bits away.
    let mode = metadata.mode() & 0o7777;
    let now = fs::symlink_metadata(path).map_err(ImageError::io("look at it", path))?;
    if now.mode() & 0o7777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(ImageError::io("set the mode of", path))?;
    }
    Ok(())
}

/// Removes the index of info pages, which belongs to the system and not to one package.
///
/// # Errors
///
/// When one cannot be removed.
pub fn remove_info_dir(image: &Image) -> Result<(), ImageError> {
    let info = image.ed().join("usr/share/info");
    if !info.is_dir() {
        return Ok(());
    }
    for name in ["dir", "dir.info"] {
        for suffix in ["", ".Z", ".gz", ".bz2", ".lzma", ".lz", ".xz", ".zst"] {
            let path = info.join(format!("{name}{suffix}"));
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ImageError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Makes the link to the package's HTML documentation that `DOC_SYMLINKS_DIR` asks for.
///
/// # Errors
///
/// When it cannot be made.
pub fn link_html_docs(
    image: &Image,
    docs: &HtmlDocs,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    if docs.symlinks_dir.is_empty() {
        return Ok(());
    }
    let ed = image.ed();
    let names = [
        docs.htmldoc_dir.clone(),
        format!("{}/html", image.pf),
        format!("{}/HTML", image.pf),
        format!("{}/html", image.p),
        format!("{}/HTML", image.p),
    ];
    let found = names
        .iter()
        .filter(|name| !name.is_empty())
        .map(|name| format!("usr/share/doc/{name}"))
        .rfind(|path| ed.join(path).is_dir());
    let Some(found) = found else {
        return Ok(());
    };
    let slot = image.slot.split('/').next().unwrap_or_default();
    let name = match slot {
        "" | "0" => image.pn.clone(),
        slot => format!("{}-{slot}", image.pn),
    };
    let directory: PathBuf = ed
        .join(docs.symlinks_dir.trim_start_matches('/'))
        .join(&image.category);
    fs::create_dir_all(&directory).map_err(ImageError::io("create", &directory))?;
    let link = directory.join(name);
    match fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(ImageError::io("replace", &link)(error));
        }
        _ => {}
    }
    std::os::unix::fs::symlink(format!("{}/{found}", image.eprefix), &link)
        .map_err(ImageError::io("create the link", &link))?;
    notices.push(Notice::new(
        Level::Info,
        format!(
            "Symlinking {} to the HTML documentation",
            image.shown(&link)
        ),
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::claim::rows;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::super::testing::TestImage;
    use super::*;

    fn me() -> Settings {
        let uid = nix::unistd::geteuid().as_raw();
        let gid = nix::unistd::getegid().as_raw();
        Settings {
            portage_uid: uid,
            portage_gid: gid,
            inst_uid: uid,
            inst_gid: gid,
            symlinks_rewritten: true,
        }
    }

    #[test]
    fn size_counts_hard_links_once_and_no_links() {
        let test = TestImage::new();
        let path = test.file("a/b", "12345");
        fs::hard_link(&path, test.path("a/c")).unwrap();
        test.link("a/d", "b");
        test.file("e", "67");
        assert_eq!(fix(&test.image, &me(), &mut Vec::new()).unwrap(), 7);
        let size = fs::read_to_string(test.image.build_info.join("SIZE")).unwrap();
        assert_eq!(size, "7\n");
    }

    #[test]
    fn names_become_utf8() {
        let test = TestImage::new();
        let dir = test
            .path("usr")
            .join(OsString::from_vec(b"d\xff\xfer".to_vec()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(OsString::from_vec(b"f\xe9.txt".to_vec())), "x").unwrap();
        let mut notices = Vec::new();
        fix(&test.image, &me(), &mut notices).unwrap();
        assert!(test.path("usr/d??r/f?.txt").exists());
        assert_eq!(notices.len(), 1);
        assert!(notices[0].text.contains("/usr/d??r/f?.txt"));
    }

    #[test]
    fn libtool_archives_are_rewritten_on_request() {
        let mut test = TestImage::new();
        let text = "# libx.la - a libtool library file\ndependency_libs=' /usr/lib/libm.la'\n";
        let path = test.file("usr/lib/libx.la", text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        test.file("usr/lib/bad.la", "# bad.la - a libtool library file\n");
        fix(&test.image, &me(), &mut Vec::new()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        test.image.features.insert("fixlafiles".into());
        let mut notices = Vec::new();
        fix(&test.image, &me(), &mut notices).unwrap();
        assert!(
            fs::read_to_string(&path)
                .unwrap()
                .ends_with("=' -L/usr/lib -lm'\n")
        );
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert!(notices.iter().any(|n| n.text.contains("/usr/lib/bad.la")));
    }

    #[test]
    fn owners_are_mapped_and_set_id_bits_survive() {
        let _rows = rows(&[182]);
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let test = TestImage::new();
        let path = test.file("usr/bin/su", "x");
        let link = test.link("usr/bin/l", "su");
        std::os::unix::fs::lchown(&path, Some(250), Some(7)).unwrap();
        std::os::unix::fs::lchown(&link, Some(250), Some(250)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4711)).unwrap();
        let settings = Settings {
            portage_uid: 250,
            portage_gid: 250,
            inst_uid: 0,
            inst_gid: 0,
            symlinks_rewritten: false,
        };
        fix(&test.image, &settings, &mut Vec::new()).unwrap();
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (0, 7));
        assert_eq!(metadata.mode() & 0o7777, 0o4711);
        let metadata = fs::symlink_metadata(&link).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (0, 0));
    }

    #[test]
    fn info_index_and_html_link() {
        let test = TestImage::new();
        test.file("usr/share/info/dir", "x");
        test.file("usr/share/info/dir.gz", "x");
        test.file("usr/share/info/foo.info", "x");
        remove_info_dir(&test.image).unwrap();
        assert!(!test.path("usr/share/info/dir").exists());
        assert!(!test.path("usr/share/info/dir.gz").exists());
        assert!(test.path("usr/share/info/foo.info").exists());

        test.file("usr/share/doc/foo-1/html/index.html", "x");
        let docs = HtmlDocs {
            symlinks_dir: "/usr/share/htmldocs".into(),
            htmldoc_dir: String::new(),
        };
        link_html_docs(&test.image, &docs, &mut Vec::new()).unwrap();
        let link = test.path("usr/share/htmldocs/app-misc/foo");
        assert_eq!(
            fs::read_link(link).unwrap(),
            Path::new("/usr/share/doc/foo-1/html")
        );
    }
}
