//! Checks of library directories.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Settings, refuse, tell};
use crate::build::image::elf::ElfInfo;
use crate::build::image::pattern::{self, PathPatterns};
use crate::build::image::{Image, ImageError, Level, Notice, walk};

/// 80libraries: makes shared libraries executable and static ones not, and refuses what would
/// break linking.
pub(super) fn check(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    if !image.restricted("binchecks") {
        sonames(image, settings, notices)?;
    }
    modes_and_links(image, notices)?;
    linker_scripts(image)?;
    root_partition(image)?;
    soiled_archives(image)
}

/// Directories `lib*` directly in `top`.
fn library_dirs(top: &Path) -> Result<Vec<PathBuf>, ImageError> {
    Ok(walk::list(top)?
        .into_iter()
        .filter(|path| {
            path.is_dir()
                && path
                    .file_name()
                    .is_some_and(|name| name.as_bytes().starts_with(b"lib"))
        })
        .collect())
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Whether a name has `.stem` at its end, or `.stem.` in it.
fn has_stem(name: &str, stem: &str) -> bool {
    name.ends_with(&format!(".{stem}")) || name.contains(&format!(".{stem}."))
}

fn sonames(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let ed = image.ed();
    let mut lack_soname = Vec::new();
    let mut lack_needed = Vec::new();
    for top in [ed.clone(), ed.join("usr")] {
        for path in library_dirs(&top)?
            .iter()
            .map(|dir| walk::list(dir))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
        {
            let file_name = name(&path);
            if path.is_symlink()
                || !path.is_file()
                || !file_name.starts_with("lib")
                || !file_name.contains(".so")
            {
                continue;
            }
            let Some(elf) = ElfInfo::read_permitted(&path)? else {
                continue;
            };
            if elf.soname.as_ref().is_none_or(Vec::is_empty) {
                lack_soname.push(path.clone());
            }
            if elf.needed.is_empty() && elf.undefined_symbols {
                lack_needed.push(path);
            }
        }
    }
    for (variable, strict, found, heading) in [
        (
            "QA_SONAME",
            "QA_STRICT_SONAME",
            lack_soname,
            "The following shared libraries lack a SONAME",
        ),
        (
            "QA_DT_NEEDED",
            "QA_STRICT_DT_NEEDED",
            lack_needed,
            "The following shared libraries lack NEEDED entries",
        ),
    ] {
        let words = if settings.variables.is_strict(strict) {
            Vec::new()
        } else {
            settings.variables.words_for_arch(variable, &image.arch)
        };
        let excused = PathPatterns::basic(variable, words.iter().map(String::as_str))?;
        let lines: Vec<_> = found
            .iter()
            .map(|path| image.below_ed(path))
            .filter(|path| !excused.matches(path))
            .map(|path| format!("/{}", String::from_utf8_lossy(&path)))
            .collect();
        tell(notices, heading, &lines);
    }
    Ok(())
}

fn modes_and_links(image: &Image, notices: &mut Vec<Notice>) -> Result<(), ImageError> {
    let ed = image.ed();
    let mut dirs = Vec::new();
    for package in walk::list(&ed.join("opt"))? {
        dirs.extend(library_dirs(&package)?);
    }
    dirs.extend(library_dirs(&ed)?);
    dirs.extend(library_dirs(&ed.join("usr"))?);
    for path in dirs
        .iter()
        .map(|dir| walk::list(dir))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
    {
        let file_name = name(&path);
        // Names with a leading dot are out of the reach of a shell's `*`.
        if file_name.starts_with('.') {
            continue;
        }
        let metadata = fs::symlink_metadata(&path).map_err(ImageError::io("look at it", &path))?;
        if metadata.is_symlink() {
            absolute_link(image, &path, &file_name, notices)?;
            continue;
        }
        let mode = metadata.mode() & 0o7777;
        let executable = mode & 0o111 != 0;
        let new = if has_stem(&file_name, "so") && !executable {
            Some(mode | 0o111)
        } else if (file_name.ends_with(".a") || file_name.ends_with(".la")) && executable {
            Some(mode & !0o111)
        } else {
            None
        };
        if let Some(new) = new {
            fs::set_permissions(&path, fs::Permissions::from_mode(new))
                .map_err(ImageError::io("set the mode of", &path))?;
            let what = if new & 0o111 != 0 {
                "making executable"
            } else {
                "removing executable bit"
            };
            notices.push(Notice::new(
                Level::Info,
                format!("{what}: {}", image.shown(&path)),
            ));
        }
    }
    Ok(())
}

fn absolute_link(
    image: &Image,
    path: &Path,
    file_name: &str,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let library = ["a", "dll", "dylib", "sl", "so"]
        .iter()
        .any(|stem| has_stem(file_name, stem));
    let target = fs::read_link(path).map_err(ImageError::io("read the link", path))?;
    if library && path.exists() && target.is_absolute() {
        notices.push(Notice::new(
            Level::Qa,
            format!(
                "QA Notice: Found an absolute symlink in a library directory:\n  {} -> {}",
                image.shown(path),
                target.display()
            ),
        ));
    }
    Ok(())
}

/// A static library in `/usr/lib` whose shared one is in `/lib` hides the latter.
fn linker_scripts(image: &Image) -> Result<(), ImageError> {
    let ed = image.ed();
    let suffix = if image.chost.contains("-darwin") {
        "dylib"
    } else {
        "so"
    };
    let mut missing = BTreeSet::new();
    for dir in library_dirs(&ed.join("usr"))? {
        for path in walk::list(&dir)? {
            if path.extension().is_none_or(|extension| extension != "a") {
                continue;
            }
            let shared = path.with_extension(suffix);
            let (Some(dir), Some(shared_name)) = (dir.file_name(), shared.file_name()) else {
                continue;
            };
            if !shared.exists() && ed.join(dir).join(shared_name).exists() {
                missing.insert(name(&shared));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.into_iter().collect();
    Err(refuse(
        "80libraries",
        format!("missing gen_usr_ldscript for {}", names.join(" ")),
    ))
}

fn root_partition(image: &Image) -> Result<(), ImageError> {
    let mut found = Vec::new();
    for dir in library_dirs(&image.ed())? {
        found.extend(walk::list(&dir)?.iter().filter_map(|path| {
            let extension = path.extension()?;
            (extension == "a" || extension == "la").then(|| image.shown(path))
        }));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(refuse(
        "80libraries",
        format!(
            "static archives (*.a) and libtool library files (*.la) belong in /usr/lib*, not /lib*: {}",
            found.join(" ")
        ),
    ))
}

fn soiled_archives(image: &Image) -> Result<(), ImageError> {
    let ed = image.ed();
    let needle = ed.as_os_str().as_bytes();
    let mut soiled = Vec::new();
    for dir in library_dirs(&ed.join("usr"))? {
        for path in walk::list(&dir)? {
            if path.extension().is_none_or(|extension| extension != "la") || !path.is_file() {
                continue;
            }
            let content = fs::read(&path).map_err(ImageError::io("read", &path))?;
            if content.windows(needle.len()).any(|window| window == needle) {
                soiled.push(image.shown(&path));
            }
        }
    }
    if soiled.is_empty() {
        return Ok(());
    }
    Err(refuse(
        "80libraries",
        format!(
            "libtool library files contain PORTAGE_TMPDIR paths: {}",
            soiled.join(" ")
        ),
    ))
}

/// 80multilib-strict: ELF files of another word size than their directory is for.
pub(super) fn multilib_strict(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    if !image.feature("multilib-strict")
        || settings.multilib_strict_dirs.is_empty()
        || settings.multilib_strict_deny.is_empty()
    {
        return Ok(());
    }
    let deny = pattern::search("MULTILIB_STRICT_DENY", &settings.multilib_strict_deny)?;
    let words = if settings.variables.is_strict("QA_STRICT_MULTILIB_PATHS") {
        Vec::new()
    } else {
        settings.variables.words("QA_MULTILIB_PATHS")
    };
    let excused = PathPatterns::basic("QA_MULTILIB_PATHS", words.iter().map(String::as_str))?;
    let mut found = Vec::new();
    for dir in settings.multilib_strict_dirs.split_whitespace() {
        for path in walk::list(&image.ed().join(dir.trim_start_matches('/')))? {
            if path.is_symlink() || !path.is_file() {
                continue;
            }
            let Some(elf) = ElfInfo::read_permitted(&path)? else {
                continue;
            };
            let line = format!("{}: {}", path.display(), elf.describe());
            if deny.is_match(line.as_bytes()) && !excused.matches(&image.below_ed(&path)) {
                found.push(image.shown(&path));
            }
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    notices.push(Notice::new(
        Level::Error,
        format!(
            "Files matching a file type that is not allowed:\n   {}",
            found.join("\n   ")
        ),
    ));
    Err(refuse(
        "80multilib-strict",
        format!(
            "files of a type that is not allowed in their directory: {}",
            found.join(" ")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::image::qa::Variables;
    use crate::build::image::testing::{Gcc, TestImage};

    fn run(test: &TestImage) -> (Result<(), ImageError>, Vec<Notice>) {
        let mut notices = Vec::new();
        let result = check(&test.image, &Settings::default(), &mut notices);
        (result, notices)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn modes_are_put_right() {
        let test = TestImage::new();
        let chmod = |path: PathBuf, mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let so = chmod(test.file("usr/lib64/libx.so.1", "x"), 0o644);
        let opt = chmod(test.file("opt/foo/lib/libx.so", "x"), 0o644);
        let la = chmod(test.file("usr/lib64/libx.la", "x"), 0o755);
        let deep = chmod(test.file("usr/lib64/sub/liby.so", "x"), 0o644);
        let (result, notices) = run(&test);
        result.unwrap();
        assert_eq!(
            [mode(&so), mode(&opt), mode(&la), mode(&deep)],
            [0o755, 0o755, 0o644, 0o644]
        );
        assert_eq!(notices.len(), 3);
    }

    #[test]
    fn what_breaks_linking_is_refused() {
        let test = TestImage::new();
        test.file("lib64/libx.so", "x");
        test.file("usr/lib64/libx.a", "x");
        assert!(
            run(&test)
                .0
                .unwrap_err()
                .to_string()
                .contains("gen_usr_ldscript for libx.so")
        );
        test.file("usr/lib64/libx.so", "GROUP ( /lib64/libx.so )");
        run(&test).0.unwrap();
        test.file("lib64/liby.a", "x");
        assert!(
            run(&test)
                .0
                .unwrap_err()
                .to_string()
                .contains("/lib64/liby.a")
        );
        fs::remove_file(test.path("lib64/liby.a")).unwrap();
        test.file(
            "usr/lib64/libx.la",
            format!("libdir='{}/usr'", test.image.d.display()),
        );
        assert!(
            run(&test)
                .0
                .unwrap_err()
                .to_string()
                .contains("/usr/lib64/libx.la")
        );
    }

    #[test]
    fn libraries_without_soname_or_needed_are_told() {
        let gcc = Gcc::new();
        let test = TestImage::new();
        test.copy(&gcc.shared("a.so", &["-nostdlib"]), "usr/lib64/liba.so");
        test.copy(
            &gcc.shared("b.so", &["-Wl,-soname,libb.so.1"]),
            "usr/lib64/libb.so.1",
        );
        let (result, notices) = run(&test);
        result.unwrap();
        assert_eq!(notices.len(), 2);
        assert!(
            notices
                .iter()
                .all(|n| n.text.ends_with("\n  /usr/lib64/liba.so")),
            "{notices:?}"
        );
    }

    #[test]
    fn word_sizes_in_their_directories() {
        let gcc = Gcc::new();
        let mut test = TestImage::new();
        test.image.features.insert("multilib-strict".into());
        test.copy(&gcc.shared("a.so", &[]), "usr/lib/liba.so");
        let mut settings = Settings {
            multilib_strict_dirs: "/lib32 /usr/lib".into(),
            multilib_strict_deny: "(32|64)-bit.*shared object".into(),
            ..Settings::default()
        };
        let error = multilib_strict(&test.image, &settings, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().ends_with("/usr/lib/liba.so"), "{error}");
        settings.variables = Variables::from_iter([(
            "QA_MULTILIB_PATHS".to_owned(),
            vec!["usr/lib/.*".to_owned()],
        )]);
        multilib_strict(&test.image, &settings, &mut Vec::new()).unwrap();
    }
}
