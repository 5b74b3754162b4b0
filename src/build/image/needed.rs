//! `NEEDED` and `NEEDED.ELF.2`: which ELF files the image holds and what each asks for.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::elf::{ElfInfo, Kind};
use super::{Image, ImageError, Level, Notice, machine, walk};

/// One line of `NEEDED.ELF.2`, and the file it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededEntry {
    /// The file in the image.
    pub path: PathBuf,
    /// Its name as installed, absolute.
    pub name: Vec<u8>,
    /// Its soname; the file's own name for a shared object that has none.
    pub soname: Vec<u8>,
    /// The run-time search path, `:` between directories.
    pub rpath: Vec<u8>,
    /// The multilib category, when Portage knows one.
    pub category: Option<String>,
    /// Everything else about the file.
    pub elf: ElfInfo,
}

impl NeededEntry {
    /// The line of `NEEDED`, without its newline.
    pub fn needed_line(&self) -> Vec<u8> {
        [&self.name[..], b" ", &self.elf.needed.join(&b","[..])].concat()
    }

    /// The line of `NEEDED.ELF.2`, without its newline.
    pub fn elf2_line(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let runpaths: Vec<_> = self.runpaths().map(text).collect();
        let needed: Vec<_> = self
            .elf
            .needed
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| text(name))
            .collect();
        [
            machine::name(self.elf.machine).to_owned(),
            text(&self.name),
            text(&self.soname),
            runpaths.join(":"),
            needed.join(","),
            self.category.clone().unwrap_or_default(),
        ]
        .join(";")
    }

    /// The directories of the run-time search path.
    pub fn runpaths(&self) -> impl Iterator<Item = &[u8]> {
        self.rpath
            .split(|&byte| byte == b':')
            .filter(|path| !path.is_empty())
    }
}

/// Finds the ELF files of the image, in the order in which scanelf meets them: as the file system
/// lists them, a directory's content at its place.
///
/// A file whose name or dynamic strings cannot stand in the two files (`;` or a newline in them)
/// is left out, with a notice; so is one that may not be read.
///
/// # Errors
///
/// When the image cannot be read.
pub fn scan(image: &Image, notices: &mut Vec<Notice>) -> Result<Vec<NeededEntry>, ImageError> {
    let mut found = Vec::new();
    for entry in walk::walk(&image.d)? {
        if !entry.metadata.is_file() {
            continue;
        }
        let elf = match ElfInfo::read(&entry.path) {
            Ok(Some(elf)) => elf,
            Ok(None) => continue,
            Err(ImageError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                notices.push(Notice::new(
                    Level::Warn,
                    format!(
                        "{}: may not be read, so it is neither recorded in NEEDED.ELF.2 nor stripped",
                        image.shown(&entry.path)
                    ),
                ));
                continue;
            }
            Err(error) => return Err(error),
        };
        let inside = entry.path.strip_prefix(&image.d).unwrap_or(&entry.path);
        let name = [b"/", inside.as_os_str().as_bytes()].concat();
        let soname = match &elf.soname {
            Some(soname) if !soname.is_empty() => soname.clone(),
            _ if elf.kind == Kind::SharedObject => inside
                .file_name()
                .map(|name| name.as_bytes().to_vec())
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        let rpath = elf.search_path();
        let writable = |bytes: &[u8]| !bytes.iter().any(|byte| matches!(byte, b';' | b'\n'));
        if ![&name, &soname, &rpath].into_iter().all(|b| writable(b))
            || !elf.needed.iter().all(|needed| writable(needed))
        {
            notices.push(Notice::new(
                Level::Qa,
                format!(
                    "QA Notice: {}: not recorded in NEEDED.ELF.2, whose format cannot hold its name or dynamic strings",
                    image.shown(&entry.path)
                ),
            ));
            continue;
        }
        found.push(NeededEntry {
            category: machine::multilib_category(&elf),
            path: entry.path,
            name,
            soname,
            rpath,
            elf,
        });
    }
    Ok(found)
}

/// Writes `NEEDED` and `NEEDED.ELF.2` into build-info; removes them when there is no ELF file.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(image: &Image, entries: &[NeededEntry]) -> Result<(), ImageError> {
    let needed = image.build_info.join("NEEDED");
    let elf2 = image.build_info.join("NEEDED.ELF.2");
    if entries.is_empty() {
        for path in [&needed, &elf2] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ImageError::io("remove", path)(error));
                }
                _ => {}
            }
        }
        return Ok(());
    }
    let mut needed_text = Vec::new();
    let mut elf2_text = String::new();
    for entry in entries {
        needed_text.extend(entry.needed_line());
        needed_text.push(b'\n');
        elf2_text.push_str(&entry.elf2_line());
        elf2_text.push('\n');
    }
    fs::write(&needed, needed_text).map_err(ImageError::io("write", &needed))?;
    fs::write(&elf2, elf2_text).map_err(ImageError::io("write", &elf2))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Gcc, TestImage};
    use super::*;

    #[test]
    fn lines_as_scanelf_and_portage_write_them() {
        let gcc = Gcc::new();
        let test = TestImage::new();
        test.copy(
            &gcc.shared(
                "a.so",
                &["-Wl,-soname,liba.so.1", "-Wl,-rpath,/opt/x::/opt/y"],
            ),
            "usr/lib64/liba.so.1.0",
        );
        let mut notices = Vec::new();
        let entries = scan(&test.image, &mut notices).unwrap();
        write(&test.image, &entries).unwrap();
        let read = |name| fs::read_to_string(test.image.build_info.join(name)).unwrap();
        let libc = String::from_utf8(entries[0].elf.needed.join(&b","[..])).unwrap();
        assert_eq!(read("NEEDED"), format!("/usr/lib64/liba.so.1.0 {libc}\n"));
        let line = read("NEEDED.ELF.2");
        assert!(
            line.contains(&format!(
                ";/usr/lib64/liba.so.1.0;liba.so.1;/opt/x:/opt/y;{libc};"
            )),
            "{line}"
        );
        assert!(notices.is_empty());
    }

    #[test]
    fn a_shared_object_without_soname_goes_by_its_file_name() {
        let gcc = Gcc::new();
        let test = TestImage::new();
        test.copy(&gcc.shared("p.so", &[]), "usr/lib/plugin.so");
        test.copy(&gcc.program("prog", &["-pie", "-fPIE"]), "usr/bin/prog");
        test.copy(&gcc.object("o.o"), "usr/lib/crt.o");
        let entries = scan(&test.image, &mut Vec::new()).unwrap();
        let soname = |name: &str| {
            let entry = entries.iter().find(|e| e.name == name.as_bytes()).unwrap();
            String::from_utf8(entry.soname.clone()).unwrap()
        };
        assert_eq!(soname("/usr/lib/plugin.so"), "plugin.so");
        assert_eq!(soname("/usr/bin/prog"), "");
        assert_eq!(soname("/usr/lib/crt.o"), "");
    }

    #[test]
    fn nothing_is_written_without_elf_files() {
        let test = TestImage::new();
        test.file("usr/share/x", "text");
        fs::write(test.image.build_info.join("NEEDED"), "stale").unwrap();
        write(&test.image, &scan(&test.image, &mut Vec::new()).unwrap()).unwrap();
        assert!(!test.image.build_info.join("NEEDED").exists());
    }

    #[test]
    fn names_the_format_cannot_hold_are_told() {
        let gcc = Gcc::new();
        let test = TestImage::new();
        test.copy(&gcc.shared("p.so", &[]), "usr/lib/a;b.so");
        let mut notices = Vec::new();
        assert!(scan(&test.image, &mut notices).unwrap().is_empty());
        assert!(notices[0].text.contains("/usr/lib/a;b.so"));
    }
}
