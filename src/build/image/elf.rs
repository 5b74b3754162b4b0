//! What the image steps need to know of an ELF file, read so that a damaged or hostile one costs
//! bounded time and memory and never more than its own facts.
//!
//! Dynamic strings are looked up where scanelf looks them up, in the section `.dynstr`: a file
//! without section headers shows no dependencies.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, elf::FileHeader32, elf::FileHeader64};

use super::ImageError;

/// String tables and dynamic sections larger than this are cut off.
const MAX_TABLE: u64 = 64 << 20;
/// More entries than this in a dynamic section are ignored.
const MAX_DYNAMIC: u64 = 4 << 20;

/// `ELFCLASS32` or `ELFCLASS64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 32-bit.
    Elf32,
    /// 64-bit.
    Elf64,
}

/// The kinds of file told apart by `e_type`, with position-independent executables set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `ET_REL`: an object file or a kernel module.
    Relocatable,
    /// `ET_EXEC`.
    Executable,
    /// `ET_DYN` with `DF_1_PIE`.
    PieExecutable,
    /// Any other `ET_DYN`.
    SharedObject,
    /// Core files and whatever else there is.
    Other,
}

/// A string of the dynamic section and where in the file its bytes begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynString {
    /// The string without its NUL.
    pub text: Vec<u8>,
    /// Offset of its first byte.
    pub offset: u64,
    /// Offset of the dynamic entry that names it.
    pub entry_offset: u64,
}

/// The facts of one ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfInfo {
    /// Word size.
    pub class: Class,
    /// Whether numbers are stored least significant byte first.
    pub little_endian: bool,
    /// `e_machine`.
    pub machine: u16,
    /// `e_flags`.
    pub flags: u32,
    /// What kind of file it is.
    pub kind: Kind,
    /// `DT_NEEDED`, in the file's order.
    pub needed: Vec<Vec<u8>>,
    /// `DT_SONAME` of a shared object.
    pub soname: Option<Vec<u8>>,
    /// The last `DT_RPATH`.
    pub rpath: Option<DynString>,
    /// The last `DT_RUNPATH`.
    pub runpath: Option<DynString>,
    /// Whether there is a section `.symtab`, that is, the file is not stripped.
    pub has_symtab: bool,
    /// Whether there is a section `.dynsym`.
    pub has_dynsym: bool,
    /// Whether there is a `DT_TEXTREL`.
    pub textrel: bool,
    /// Whether it asks for an executable stack, or lets the linker choose one.
    pub executable_stack: bool,
    /// Whether a segment is to be loaded both writable and executable.
    pub writable_code: bool,
    /// Whether a dynamic symbol is undefined and not weak.
    pub undefined_symbols: bool,
}

impl ElfInfo {
    /// Reads the file at `path`; `None` when it is no ELF file.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or read.
    pub fn read(path: &Path) -> Result<Option<Self>, ImageError> {
        let io = || ImageError::io("read", path);
        let mut file = File::open(path).map_err(io())?;
        let mut ident = [0; 16];
        if let Err(error) = file.read_exact(&mut ident) {
            return match error.kind() {
                std::io::ErrorKind::UnexpectedEof => Ok(None),
                _ => Err(io()(error)),
            };
        }
        if ident[..4] != elf::ELFMAG || !matches!(ident[5], 1 | 2) || ident[6] != 1 {
            return Ok(None);
        }
        let cache = ReadCache::new(file);
        Ok(match ident[4] {
            1 => parse::<FileHeader32<Endianness>, _>(&cache, Class::Elf32),
            2 => parse::<FileHeader64<Endianness>, _>(&cache, Class::Elf64),
            _ => None,
        })
    }

    /// The same, but a file that may not be read counts as none.
    pub(crate) fn read_permitted(path: &Path) -> Result<Option<Self>, ImageError> {
        match Self::read(path) {
            Err(ImageError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Ok(None)
            }
            result => result,
        }
    }

    /// The run-time search path as scanelf shows it: the one there is, `{rpath,runpath}` when both
    /// are there and differ, nothing when none is.
    pub fn search_path(&self) -> Vec<u8> {
        match (&self.rpath, &self.runpath) {
            (Some(rpath), Some(runpath)) if rpath.text != runpath.text => {
                [b"{", &rpath.text[..], b",", &runpath.text, b"}"].concat()
            }
            (_, Some(path)) | (Some(path), None) => path.text.clone(),
            (None, None) => Vec::new(),
        }
    }

    /// The start of the line that file(1) prints for such a file.
    pub fn describe(&self) -> String {
        let bits = match self.class {
            Class::Elf32 => "32",
            Class::Elf64 => "64",
        };
        let order = if self.little_endian { "LSB" } else { "MSB" };
        let kind = match self.kind {
            Kind::Relocatable => "relocatable",
            Kind::Executable => "executable",
            Kind::PieExecutable => "pie executable",
            Kind::SharedObject => "shared object",
            Kind::Other => "core file",
        };
        let machine = match self.machine {
            2 | 18 | 43 => "SPARC",
            3 => "Intel 80386",
            4 => "Motorola m68k",
            8 => "MIPS",
            15 => "PA-RISC",
            20 => "PowerPC or cisco 4500",
            21 => "64-bit PowerPC or cisco 7500",
            22 => "IBM S/390",
            40 => "ARM",
            42 => "Renesas SH",
            50 => "IA-64",
            62 => "x86-64",
            183 => "ARM aarch64",
            243 => "UCB RISC-V",
            258 => "LoongArch",
            0x9026 => "Alpha (unofficial)",
            _ => "unknown arch",
        };
        format!("ELF {bits}-bit {order} {kind}, {machine}, version 1")
    }
}

/// Reads the facts of a file whose identification has been checked.
fn parse<'data, Elf, R>(data: R, class: Class) -> Option<ElfInfo>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let header = Elf::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, data).unwrap_or_default();
    let sections = header.section_headers(endian, data).unwrap_or_default();
    let names = sections
        .get(usize::from(header.e_shstrndx(endian).0))
        .map(|section| table(section, endian, data))
        .unwrap_or_default();
    let named = |name: &[u8]| {
        // The last of several of the same name counts.
        sections.iter().rev().find(|section| {
            usize::try_from(section.sh_name(endian))
                .ok()
                .and_then(|at| string_at(names, at))
                == Some(name)
        })
    };
    let e_type = header.e_type(endian);
    let mut info = ElfInfo {
        class,
        little_endian: endian == Endianness::Little,
        machine: header.e_machine(endian).0,
        flags: header.e_flags(endian).0,
        kind: match e_type {
            elf::ET_REL => Kind::Relocatable,
            elf::ET_EXEC => Kind::Executable,
            elf::ET_DYN => Kind::SharedObject,
            _ => Kind::Other,
        },
        needed: Vec::new(),
        soname: None,
        rpath: None,
        runpath: None,
        has_symtab: named(b".symtab").is_some(),
        has_dynsym: named(b".dynsym").is_some(),
        textrel: false,
        executable_stack: false,
        writable_code: false,
        undefined_symbols: false,
    };
    stack(
        &mut info,
        segments,
        sections,
        endian,
        named(b".note.GNU-stack"),
    );
    if let Some(dynstr) = named(b".dynstr") {
        dynamic::<Elf, R>(
            &mut info,
            segments,
            dynstr,
            endian,
            data,
            e_type == elf::ET_DYN,
        );
    } else {
        // Without it the strings cannot be found; the flags still can.
        flags::<Elf, R>(&mut info, segments, endian, data);
    }
    if let Some(dynsym) = named(b".dynsym") {
        info.undefined_symbols = undefined::<Elf, R>(dynsym, endian, data);
    }
    Some(info)
}

fn stack<P, S>(
    info: &mut ElfInfo,
    segments: &[P],
    sections: &[S],
    endian: Endianness,
    note: Option<&S>,
) where
    P: ProgramHeader<Endian = Endianness>,
    S: SectionHeader<Endian = Endianness>,
{
    for segment in segments {
        let flags = segment.p_flags(endian).0;
        match segment.p_type(endian) {
            elf::PT_GNU_STACK | elf::PT_GNU_RELRO => info.executable_stack |= flags & 1 != 0,
            elf::PT_LOAD => info.writable_code |= flags & 3 == 3,
            _ => {}
        }
    }
    if segments.is_empty() && !sections.is_empty() {
        info.executable_stack = match note {
            Some(note) => note.sh_flags(endian).0 & u64::from(SHF_EXECINSTR) != 0,
            None => true,
        };
    }
}

/// `SHF_EXECINSTR`, the third bit of a section's flags.
const SHF_EXECINSTR: u32 = 4;

/// Offset and entries of the first dynamic segment.
fn dynamic_entries<'data, Elf, R>(
    segments: &[Elf::ProgramHeader],
    endian: Endianness,
    data: R,
) -> Option<(u64, &'data [Elf::Dyn])>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let segment = segments
        .iter()
        .find(|segment| segment.p_type(endian) == elf::PT_DYNAMIC)?;
    let (offset, size) = segment.file_range(endian);
    let left = data.len().ok()?.checked_sub(offset)?;
    let entry = std::mem::size_of::<Elf::Dyn>() as u64;
    let count = size.min(left).min(MAX_DYNAMIC) / entry;
    let entries = data
        .read_slice_at::<Elf::Dyn>(offset, usize::try_from(count).ok()?)
        .ok()?;
    let end = entries
        .iter()
        .position(|entry| entry.tag(endian) == elf::DT_NULL)
        .unwrap_or(entries.len());
    Some((offset, &entries[..end]))
}

fn flags<'data, Elf, R>(
    info: &mut ElfInfo,
    segments: &[Elf::ProgramHeader],
    endian: Endianness,
    data: R,
) where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let Some((_, entries)) = dynamic_entries::<Elf, R>(segments, endian, data) else {
        return;
    };
    for entry in entries {
        match entry.tag(endian) {
            elf::DT_TEXTREL => info.textrel = true,
            elf::DT_FLAGS_1
                if info.kind == Kind::SharedObject && entry.val(endian) & DF_1_PIE != 0 =>
            {
                info.kind = Kind::PieExecutable;
            }
            _ => {}
        }
    }
}

/// The bit of `DT_FLAGS_1` that marks a position-independent executable.
const DF_1_PIE: u64 = 0x0800_0000;

fn dynamic<'data, Elf, R>(
    info: &mut ElfInfo,
    segments: &[Elf::ProgramHeader],
    dynstr: &Elf::SectionHeader,
    endian: Endianness,
    data: R,
    is_dyn: bool,
) where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    flags::<Elf, R>(info, segments, endian, data);
    let Some((offset, entries)) = dynamic_entries::<Elf, R>(segments, endian, data) else {
        return;
    };
    let strings = table(dynstr, endian, data);
    let strings_offset: u64 = dynstr.sh_offset(endian).into();
    // Repeating one long name in every entry would multiply the file's size.
    let mut budget = MAX_TABLE;
    for (index, entry) in entries.iter().enumerate() {
        let tag = entry.tag(endian);
        if !matches!(
            tag,
            elf::DT_NEEDED | elf::DT_SONAME | elf::DT_RPATH | elf::DT_RUNPATH
        ) {
            continue;
        }
        let at = entry.val(endian);
        let Some(text) = usize::try_from(at)
            .ok()
            .and_then(|at| string_at(strings, at))
        else {
            continue;
        };
        budget = budget.saturating_sub(text.len() as u64 + 1);
        if budget == 0 {
            return;
        }
        match tag {
            elf::DT_NEEDED => info.needed.push(text.to_vec()),
            elf::DT_SONAME => {
                if is_dyn && info.soname.is_none() {
                    info.soname = Some(text.to_vec());
                }
            }
            tag => {
                let found = Some(DynString {
                    text: text.to_vec(),
                    offset: strings_offset.saturating_add(at),
                    entry_offset: offset + index as u64 * std::mem::size_of::<Elf::Dyn>() as u64,
                });
                if tag == elf::DT_RPATH {
                    info.rpath = found;
                } else {
                    info.runpath = found;
                }
            }
        }
    }
}

/// Tells whether a dynamic symbol table holds an undefined symbol that is not weak.
fn undefined<'data, Elf, R>(section: &Elf::SectionHeader, endian: Endianness, data: R) -> bool
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    use object::read::elf::Sym;
    let offset: u64 = section.sh_offset(endian).into();
    let size: u64 = section.sh_size(endian).into();
    let count = size.min(MAX_TABLE) / std::mem::size_of::<Elf::Sym>() as u64;
    let Ok(count) = usize::try_from(count) else {
        return false;
    };
    data.read_slice_at::<Elf::Sym>(offset, count)
        .is_ok_and(|symbols| {
            symbols.iter().skip(1).any(|symbol| {
                symbol.st_shndx(endian) == elf::SHN_UNDEF && symbol.st_bind() != elf::STB_WEAK
            })
        })
}

/// The bytes of a string table, as far as the file and [`MAX_TABLE`] allow.
fn table<'data, S, R>(section: &S, endian: Endianness, data: R) -> &'data [u8]
where
    S: SectionHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let offset: u64 = section.sh_offset(endian).into();
    let size: u64 = section.sh_size(endian).into();
    let left = data.len().unwrap_or(0).saturating_sub(offset);
    data.read_bytes_at(offset, size.min(left).min(MAX_TABLE))
        .unwrap_or_default()
}

/// The NUL-terminated string at `at`.
fn string_at(table: &[u8], at: usize) -> Option<&[u8]> {
    let rest = table.get(at..)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    rest.get(..end)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Gcc;
    use super::*;

    #[test]
    fn facts_of_what_gcc_makes() {
        let gcc = Gcc::new();
        let lib = gcc.shared(
            "libp.so",
            &["-Wl,-soname,libp.so.1", "-Wl,-rpath,/opt/a:/opt/b"],
        );
        let info = ElfInfo::read(&lib).unwrap().unwrap();
        assert_eq!(info.kind, Kind::SharedObject);
        assert_eq!(info.soname.as_deref(), Some(&b"libp.so.1"[..]));
        assert_eq!(info.search_path(), b"/opt/a:/opt/b");
        assert!(info.has_symtab && info.has_dynsym && !info.textrel);

        let pie = ElfInfo::read(&gcc.program("pie", &["-pie", "-fPIE"]))
            .unwrap()
            .unwrap();
        assert_eq!(pie.kind, Kind::PieExecutable);
        assert!(pie.needed.iter().any(|n| n.starts_with(b"libc.")));
        assert_eq!(pie.soname, None);

        let object = ElfInfo::read(&gcc.object("p.o")).unwrap().unwrap();
        assert_eq!(object.kind, Kind::Relocatable);
        assert!(object.describe().contains("relocatable"));
    }

    #[test]
    fn what_is_no_elf_is_none() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "",
            "\x7fELF",
            "#!/bin/sh\necho long enough to have sixteen bytes\n",
        ] {
            let path = dir.path().join("f");
            std::fs::write(&path, text).unwrap();
            assert_eq!(ElfInfo::read(&path).unwrap(), None);
        }
    }

    #[test]
    fn damage_neither_panics_nor_hangs() {
        let gcc = Gcc::new();
        let good = std::fs::read(gcc.shared("lib.so", &["-Wl,-soname,x"])).unwrap();
        let path = gcc.dir().join("bad");
        // Every header byte set to its extreme, and the file cut at many places.
        for at in 4..64 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                std::fs::write(&path, &bad).unwrap();
                let _ = ElfInfo::read(&path).unwrap();
            }
        }
        for len in (0..good.len()).step_by(97) {
            std::fs::write(&path, &good[..len]).unwrap();
            let _ = ElfInfo::read(&path).unwrap();
        }
        let mut state = 1u32;
        for _ in 0..300 {
            let mut bad = good.clone();
            for _ in 0..40 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state as usize >> 8) % bad.len();
                bad[at] = (state & 0xff) as u8;
            }
            bad[..16].copy_from_slice(&good[..16]);
            std::fs::write(&path, &bad).unwrap();
            let _ = ElfInfo::read(&path).unwrap();
        }
    }
}
