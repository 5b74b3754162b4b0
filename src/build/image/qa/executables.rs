//! 10executable-issues: run-time search paths that lead into the build directory, text
//! relocations, executable stacks.

use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use super::{Settings, refuse, tell};
use crate::build::image::elf::{Class, ElfInfo};
use crate::build::image::{Image, ImageError, Level, Notice, glob, walk};

const CHECK: &str = "10executable-issues";

/// An ELF file of the image.
struct Found {
    path: PathBuf,
    shown: String,
    elf: ElfInfo,
}

pub(super) fn check(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    if image.restricted("binchecks") {
        return Ok(());
    }
    let mut files = Vec::new();
    for entry in walk::walk(&image.ed())? {
        if entry.metadata.is_file()
            && let Some(elf) = ElfInfo::read_permitted(&entry.path)?
        {
            files.push(Found {
                shown: image.shown(&entry.path),
                path: entry.path,
                elf,
            });
        }
    }
    run_paths(image, &files, notices)?;
    relocations_and_stacks(image, settings, &files, notices)
}

/// Takes directories of the build out of run-time search paths, and empty entries, which stand for
/// the working directory.
fn run_paths(image: &Image, files: &[Found], notices: &mut Vec<Notice>) -> Result<(), ImageError> {
    let stricter = image.feature("stricter");
    let mut forbidden = vec![image.build_dir.as_os_str().as_bytes().to_vec()];
    if image
        .root
        .as_os_str()
        .as_bytes()
        .iter()
        .any(|&byte| byte != b'/')
    {
        forbidden.push(image.root.as_os_str().as_bytes().to_vec());
    }
    let mut told = Vec::new();
    let mut set_id = Vec::new();
    for file in files {
        let path = file.elf.search_path();
        let line = [b":", &path[..]].concat();
        let contains = |needle: &[u8]| line.windows(needle.len()).any(|window| window == needle);
        let mut insecure = false;
        for dir in &forbidden {
            let here = [b":", &dir[..]].concat();
            if path.is_empty() && !has_run_path(&file.elf)
                || !(contains(&here) || contains(b"::") || contains(b": "))
            {
                continue;
            }
            insecure = true;
            if !stricter {
                clean(file, dir)?;
            }
        }
        if insecure {
            told.push(format!(
                "{}: {}",
                file.shown,
                String::from_utf8_lossy(&path)
            ));
        }
        let metadata =
            fs::symlink_metadata(&file.path).map_err(ImageError::io("look at it", &file.path))?;
        if metadata.mode() & 0o6000 != 0 && path.windows(7).any(|window| window == b"$ORIGIN") {
            set_id.push(format!(
                "{}: {}",
                file.shown,
                String::from_utf8_lossy(&path)
            ));
        }
    }
    let bad = stricter && !told.is_empty() || !set_id.is_empty();
    told.extend(set_id);
    if told.is_empty() {
        return Ok(());
    }
    tell(
        notices,
        "The following files contain insecure RUNPATHs:",
        &told,
    );
    if bad {
        return Err(refuse(
            CHECK,
            format!(
                "serious QA concerns with RUNPATH/RPATH: {}",
                told.join("; ")
            ),
        ));
    }
    notices.push(Notice::new(
        Level::Info,
        "insecure RUNPATHs have been fixed automatically, but this should be fixed in the package itself",
    ));
    Ok(())
}

fn has_run_path(elf: &ElfInfo) -> bool {
    elf.rpath.is_some() || elf.runpath.is_some()
}

/// Writes the search paths of one file without the entries that begin with `dir`.
fn clean(file: &Found, dir: &[u8]) -> Result<(), ImageError> {
    let io = || ImageError::io("fix the RUNPATH of", &file.path);
    let writer = OpenOptions::new()
        .write(true)
        .open(&file.path)
        .map_err(io())?;
    // An earlier directory may have changed the text.
    let Some(now) = ElfInfo::read(&file.path)? else {
        return Ok(());
    };
    for found in [&now.rpath, &now.runpath].into_iter().flatten() {
        match cleaned(&found.text, dir) {
            Some(bytes) => writer.write_all_at(&bytes, found.offset).map_err(io())?,
            None => {
                let zeros = vec![0; found.text.len()];
                writer.write_all_at(&zeros, found.offset).map_err(io())?;
                writer
                    .write_all_at(&empty_entry(&now), found.entry_offset)
                    .map_err(io())?;
            }
        }
    }
    Ok(())
}

/// The bytes to write over a search path and its NUL, as scanelf leaves them: what remains is
/// moved to the front, and bytes behind its new end are not touched. `None` when nothing remains.
fn cleaned(text: &[u8], dir: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = text.to_vec();
    bytes.push(0);
    let mut start = 0;
    loop {
        let end = bytes[start..]
            .iter()
            .position(|&byte| byte == b':' || byte == 0)
            .map_or(bytes.len() - 1, |at| at + start);
        let last = bytes.get(end).is_none_or(|&byte| byte == 0);
        let begins = bytes[start..].starts_with(dir);
        if !last && (end == start || begins) {
            // The rest, with its NUL, moves over this entry.
            let stop = bytes[end..]
                .iter()
                .position(|&byte| byte == 0)
                .map_or(bytes.len(), |at| at + end + 1);
            bytes.copy_within(end + 1..stop, start);
            continue;
        }
        if last {
            if begins {
                if start == 0 {
                    return None;
                }
                bytes[start - 1] = 0;
            }
            break;
        }
        start = end + 1;
    }
    (bytes[0] != 0).then_some(bytes)
}

/// A dynamic entry that means nothing (`DT_DEBUG` with no value).
fn empty_entry(elf: &ElfInfo) -> Vec<u8> {
    const DT_DEBUG: u64 = 21;
    let words = [DT_DEBUG, 0];
    match (elf.class, elf.little_endian) {
        (Class::Elf64, true) => words.iter().flat_map(|word| word.to_le_bytes()).collect(),
        (Class::Elf64, false) => words.iter().flat_map(|word| word.to_be_bytes()).collect(),
        (Class::Elf32, true) => words
            .iter()
            .flat_map(|&word| (word as u32).to_le_bytes())
            .collect(),
        (Class::Elf32, false) => words
            .iter()
            .flat_map(|&word| (word as u32).to_be_bytes())
            .collect(),
    }
}

fn relocations_and_stacks(
    image: &Image,
    settings: &Settings,
    files: &[Found],
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let variables = &settings.variables;
    let excused = |name: &str, strict: &str| {
        let mut words = if variables.scalar(strict).is_empty() {
            variables.words_for_arch(name, &image.arch)
        } else {
            Vec::new()
        };
        words.push("lib*/modules/*.ko".to_owned());
        move |path: &[u8]| {
            words
                .iter()
                .any(|pattern| glob::matches(pattern.as_bytes(), path))
        }
    };
    let textrels = excused("QA_TEXTRELS", "QA_STRICT_TEXTRELS");
    let stacks = excused("QA_EXECSTACK", "QA_STRICT_EXECSTACK");
    let loads = excused("QA_WX_LOAD", "QA_STRICT_WX_LOAD");
    let target = settings.ctarget.as_deref().unwrap_or(&image.chost);
    let with_stacks = target.contains("-linux-gnu")
        && ["arm", "ia64", "m68k", "s390", "sh", "x86_64"]
            .iter()
            .any(|arch| target.starts_with(arch))
        || target.contains("-linux-gnu") && glob::matches(b"i?86*", target.as_bytes());
    let mut relocated = Vec::new();
    let mut executable = Vec::new();
    for file in files {
        let path = image.below_ed(&file.path);
        if path.windows(14).any(|window| window == b"usr/lib/debug/") {
            continue;
        }
        if file.elf.textrel && !textrels(&path) {
            relocated.push(file.shown.clone());
        }
        if with_stacks
            && (file.elf.executable_stack && !stacks(&path)
                || file.elf.writable_code && !loads(&path))
        {
            executable.push(file.shown.clone());
        }
    }
    tell(
        notices,
        "The following files contain runtime text relocations:",
        &relocated,
    );
    tell(
        notices,
        "The following files contain writable and executable sections:",
        &executable,
    );
    if image.feature("stricter") && !(relocated.is_empty() && executable.is_empty()) {
        return Err(refuse(
            CHECK,
            format!(
                "text relocations or executable stacks: {}",
                [relocated, executable].concat().join(" ")
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::build::image::testing::{Gcc, TestImage};

    fn text(text: &str) -> Option<String> {
        cleaned(text.as_bytes(), b"/build").map(|bytes| {
            let end = bytes.iter().position(|&byte| byte == 0).unwrap();
            assert_eq!(bytes.len(), text.len() + 1);
            String::from_utf8(bytes[..end].to_vec()).unwrap()
        })
    }

    #[test]
    fn entries_of_the_build_and_empty_ones_go() {
        assert_eq!(text("/build/lib:/usr/lib").as_deref(), Some("/usr/lib"));
        assert_eq!(text("/usr/lib:/build/lib").as_deref(), Some("/usr/lib"));
        assert_eq!(text("/a::/b:/build:/c").as_deref(), Some("/a:/b:/c"));
        assert_eq!(text(":/a").as_deref(), Some("/a"));
        assert_eq!(text("/a:").as_deref(), Some("/a:"));
        assert_eq!(text("/build"), None);
        assert_eq!(text(""), None);
        assert_eq!(text("/build:/build/x:"), None);
    }

    #[test]
    fn files_are_fixed_in_place() {
        let gcc = Gcc::new();
        let test = TestImage::new();
        let build = test.image.build_dir.display().to_string();
        let both = format!("-Wl,-rpath,{build}/work:/usr/lib64/foo");
        let only = format!("-Wl,-rpath,{build}/work");
        let a = test.copy(&gcc.program("a", &[&both]), "usr/bin/a");
        let b = test.copy(&gcc.program("b", &[&only]), "usr/bin/b");
        let mut notices = Vec::new();
        check(&test.image, &Settings::default(), &mut notices).unwrap();
        let path = |path| ElfInfo::read(path).unwrap().unwrap().search_path();
        assert_eq!(path(&a), b"/usr/lib64/foo");
        assert_eq!(path(&b), b"");
        assert!(notices[0].text.contains("/usr/bin/a: "));
        // It still runs.
        let output = std::process::Command::new(&b).output().unwrap();
        assert_eq!(output.stdout, b"main\n");
    }

    #[test]
    fn stricter_and_set_id_files_refuse() {
        let gcc = Gcc::new();
        let mut test = TestImage::new();
        let a = test.copy(
            &gcc.program("a", &["-Wl,-rpath,$ORIGIN/../lib"]),
            "usr/bin/a",
        );
        check(&test.image, &Settings::default(), &mut Vec::new()).unwrap();
        fs::set_permissions(&a, fs::Permissions::from_mode(0o4755)).unwrap();
        assert!(matches!(
            check(&test.image, &Settings::default(), &mut Vec::new()),
            Err(ImageError::Qa { .. })
        ));
        fs::remove_file(&a).unwrap();
        test.copy(&gcc.program("x", &["-Wl,-z,execstack"]), "usr/bin/x");
        let mut notices = Vec::new();
        check(&test.image, &Settings::default(), &mut notices).unwrap();
        assert!(notices[0].text.ends_with("\n  /usr/bin/x"), "{notices:?}");
        test.image.features.insert("stricter".into());
        assert!(check(&test.image, &Settings::default(), &mut Vec::new()).is_err());
    }
}
