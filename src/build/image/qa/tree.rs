//! Checks of where things are, who owns them and who may write to them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::{Settings, refuse, tell};
use crate::build::image::{Image, ImageError, Notice, walk};

/// 05double-D: files below `D` inside `D`.
pub(super) fn double_d(image: &Image, notices: &mut Vec<Notice>) -> Result<(), ImageError> {
    let inner = match image.d.strip_prefix("/") {
        Ok(inside) if inside.as_os_str().is_empty() => return Ok(()),
        Ok(inside) => image.d.join(inside),
        Err(_) => return Ok(()),
    };
    if !inner.is_dir() {
        return Ok(());
    }
    let mut lines = vec!["/".to_owned()];
    for entry in walk::walk(&inner)? {
        let path = entry.path.strip_prefix(&inner).unwrap_or(&entry.path);
        lines.push(format!("/{}", path.display()));
    }
    tell(notices, "files installed in ${D}/${D}:", &lines);
    Err(refuse(
        "05double-D",
        format!("{} files installed in {}", lines.len(), inner.display()),
    ))
}

/// 05prefix, of which only the trivial case, no prefix, is known.
pub(super) fn prefix(image: &Image) -> Result<(), ImageError> {
    if image.eprefix.trim_matches('/').is_empty() {
        return Ok(());
    }
    Err(ImageError::UnsupportedPrefix {
        prefix: image.eprefix.clone(),
        step: "the check 05prefix",
    })
}

/// 20deprecated-directories.
pub(super) fn deprecated_directories(image: &Image, notices: &mut Vec<Notice>) {
    let ed = image.ed();
    let found: Vec<_> = [
        "etc/app-defaults",
        "usr/man",
        "usr/info",
        "usr/X11R6",
        "usr/doc",
        "usr/locale",
    ]
    .into_iter()
    .filter(|name| ed.join(name).is_dir())
    .map(str::to_owned)
    .collect();
    tell(
        notices,
        "This ebuild installs into the following deprecated directories:",
        &found,
    );
}

/// 20runtime-directories: things in directories that exist only while the system runs.
pub(super) fn runtime_directories(
    image: &Image,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let ed = image.ed();
    let mut lines = Vec::new();
    for name in ["var/cache", "var/lock", "var/run", "var/tmp", "run"] {
        let path = ed.join(name);
        if path.is_symlink() {
            continue;
        }
        let below = walk::walk(&path)?;
        if !below.is_empty() && path.is_dir() {
            lines.push(name.to_owned());
            lines.extend(
                below
                    .iter()
                    .filter_map(|entry| entry.path.strip_prefix(&ed).ok())
                    .map(|path| path.display().to_string()),
            );
        }
    }
    tell(
        notices,
        "This ebuild installs into paths that should be created at runtime:",
        &lines,
    );
    Ok(())
}

/// 90bad-bin-group-write: programs that a group other than root's may change.
pub(super) fn group_writable_programs(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let found = programs(image, settings, |metadata| {
        metadata.mode() & 0o020 != 0 && metadata.gid() != 0
    })?;
    tell(
        notices,
        "system executables group-writable by nonzero gid:",
        &found,
    );
    Ok(())
}

/// 90bad-bin-owner: programs that somebody other than root may change.
pub(super) fn program_owners(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let found = programs(image, settings, |metadata| metadata.uid() != 0)?;
    tell(notices, "system executables owned by nonzero uid:", &found);
    Ok(())
}

/// The programs in the search path of the system that are as `bad` says; none unless root
/// installs for root.
fn programs(
    image: &Image,
    settings: &Settings,
    bad: impl Fn(&fs::Metadata) -> bool,
) -> Result<Vec<String>, ImageError> {
    let mut found = Vec::new();
    if !nix::unistd::geteuid().is_root() || settings.inst_uid != 0 {
        return Ok(found);
    }
    for name in ["opt/bin", "bin", "usr/bin", "sbin", "usr/sbin"] {
        for path in walk::list(&image.ed().join(name))? {
            // Links count for what they point to.
            if fs::metadata(&path).is_ok_and(|metadata| metadata.is_file() && bad(&metadata)) {
                found.push(image.shown(&path));
            }
        }
    }
    Ok(found)
}

/// 90world-writable; refuses files that are both set-id and writable for everybody.
pub(super) fn world_writable(image: &Image, notices: &mut Vec<Notice>) -> Result<(), ImageError> {
    let mut writable = Vec::new();
    let mut set_id = Vec::new();
    for entry in walk::walk(&image.ed())? {
        let mode = entry.metadata.mode();
        if entry.metadata.is_file() && mode & 0o002 != 0 {
            writable.push(image.shown(&entry.path));
            if mode & 0o6000 != 0 {
                set_id.push(image.shown(&entry.path));
            }
        }
    }
    tell(notices, "world writable file(s):", &writable);
    if set_id.is_empty() {
        return Ok(());
    }
    Err(refuse(
        "90world-writable",
        format!(
            "set-id files that everybody may write to: {}",
            set_id.join(" ")
        ),
    ))
}

/// 95empty-dirs: tells of empty directories in `/var` and, with EAPI 8 or
/// FEATURES=strict-keepdir, removes all.
pub(super) fn empty_directories(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let remove = settings.strict_keepdir
        || image
            .features
            .iter()
            .any(|feature| feature.contains("strict-keepdir"));
    let var = image.ed().join("var");
    let mut told = Vec::new();
    let directories = walk::walk(&image.ed())?
        .into_iter()
        .filter(|entry| entry.metadata.is_dir());
    // From the inside out, so that a directory of empty ones is empty too.
    for entry in directories.rev() {
        let empty = fs::read_dir(&entry.path)
            .map_err(ImageError::io("list the directory", &entry.path))?
            .next()
            .is_none();
        if !empty {
            continue;
        }
        if entry.path.starts_with(&var) && entry.path != var {
            told.push(image.shown(&entry.path));
        }
        if remove {
            fs::remove_dir(&entry.path).map_err(ImageError::io("remove", &entry.path))?;
        }
    }
    told.sort();
    tell(
        notices,
        "One or more empty directories installed to /var; keep them with keepdir:",
        &told,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::build::image::testing::TestImage;

    #[test]
    fn an_image_inside_the_image_is_refused() {
        let test = TestImage::new();
        double_d(&test.image, &mut Vec::new()).unwrap();
        let inner = test.image.d.strip_prefix("/").unwrap().join("usr/bin/x");
        test.file(inner.to_str().unwrap(), "x");
        let mut notices = Vec::new();
        let error = double_d(&test.image, &mut notices).unwrap_err();
        assert!(
            error.to_string().starts_with("05double-D: 4 files"),
            "{error}"
        );
        assert!(notices[0].text.contains("/usr/bin/x"));
    }

    #[test]
    fn directories_that_tell() {
        let test = TestImage::new();
        test.file("usr/man/x", "x");
        test.file("run/foo/x", "x");
        fs::create_dir_all(test.path("var/tmp")).unwrap();
        let mut notices = Vec::new();
        deprecated_directories(&test.image, &mut notices);
        runtime_directories(&test.image, &mut notices).unwrap();
        assert!(notices[0].text.ends_with("\n  usr/man"));
        assert!(notices[1].text.ends_with("\n  run\n  run/foo\n  run/foo/x"));
    }

    #[test]
    fn programs_belong_to_root() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let test = TestImage::new();
        let path = test.file("usr/bin/x", "x");
        std::os::unix::fs::chown(&path, Some(12), Some(34)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o775)).unwrap();
        let mut notices = Vec::new();
        program_owners(&test.image, &Settings::default(), &mut notices).unwrap();
        group_writable_programs(&test.image, &Settings::default(), &mut notices).unwrap();
        assert_eq!(notices.len(), 2);
        assert!(notices.iter().all(|n| n.text.ends_with("\n  /usr/bin/x")));
    }

    #[test]
    fn writable_set_id_files_are_refused() {
        let test = TestImage::new();
        let path = test.file("usr/bin/x", "x");
        let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let mut notices = Vec::new();
        chmod(0o757);
        world_writable(&test.image, &mut notices).unwrap();
        assert!(notices[0].text.contains("/usr/bin/x"));
        chmod(0o2757);
        assert!(matches!(
            world_writable(&test.image, &mut notices),
            Err(ImageError::Qa { .. })
        ));
    }

    #[test]
    fn empty_directories_go_from_eapi_8_on() {
        let test = TestImage::new();
        fs::create_dir_all(test.path("usr/share/a/b/c")).unwrap();
        fs::create_dir_all(test.path("var/lib/x")).unwrap();
        test.file("etc/.keep", "");
        let mut notices = Vec::new();
        let mut settings = Settings::default();
        empty_directories(&test.image, &settings, &mut notices).unwrap();
        assert!(test.path("usr/share/a/b/c").exists());
        assert!(notices[0].text.ends_with("\n  /var/lib/x"));
        settings.strict_keepdir = true;
        empty_directories(&test.image, &settings, &mut notices).unwrap();
        assert!(!test.path("usr").exists() && !test.path("var").exists());
        assert!(test.path("etc/.keep").exists());
    }
}
