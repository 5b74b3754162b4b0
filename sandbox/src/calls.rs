//! The system calls that name a path or change something, and where their arguments stand.
//!
//! One table for all machines: what a call is called, its number on each, and its shape. The filter
//! is made from it, and what the filter hands over is taken apart by it.

use std::sync::LazyLock;

/// Which argument is what. A place is a directory's descriptor, if the call takes one, and a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The argument with the directory's descriptor; none means the working directory.
    pub(crate) dir: Option<usize>,
    /// The argument with the path's address.
    pub(crate) path: usize,
}

/// A place relative to the working directory.
const fn cwd(path: usize) -> Place {
    Place { dir: None, path }
}

/// A place relative to a descriptor.
const fn at(dir: usize) -> Place {
    Place {
        dir: Some(dir),
        path: dir + 1,
    }
}

/// Whose attributes a call changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// What a path names; `flags` is the argument with `AT_` flags, `follow` whether a link at its
    /// end is followed when there are none.
    Path {
        place: Place,
        flags: Option<usize>,
        follow: bool,
    },
    /// What the descriptor in this argument is open for.
    Descriptor(usize),
}

/// A path whose last link is followed.
const fn followed(place: Place) -> Subject {
    Subject::Path {
        place,
        flags: None,
        follow: true,
    }
}

/// A path whose last link is the subject itself.
const fn unfollowed(place: Place) -> Subject {
    Subject::Path {
        place,
        flags: None,
        follow: false,
    }
}

/// A path with flags.
const fn flagged(place: Place, flags: usize) -> Subject {
    Subject::Path {
        place,
        flags: Some(flags),
        follow: true,
    }
}

/// How times are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// Two whole seconds.
    Seconds,
    /// Two pairs of seconds and microseconds.
    Micro,
    /// Two pairs of seconds and nanoseconds.
    Nano,
}

/// What a call reads of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Its metadata.
    Stat,
    /// Whether it may be used.
    Access,
    /// Where a link leads.
    Readlink,
    /// Extended attributes.
    Xattr,
    /// It becomes the working directory.
    Chdir,
    /// Its file system, or a watch on it.
    Other,
}

/// What a call does, with the numbers of its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Opens; for writing or reading, as the flags say.
    Open {
        place: Place,
        flags: usize,
        mode: usize,
    },
    /// `openat2`: flags and mode stand in memory.
    Openat2,
    /// `creat`.
    Creat,
    Mkdir {
        place: Place,
        mode: usize,
    },
    Mknod {
        place: Place,
        mode: usize,
    },
    /// The first argument is the text of the link.
    Symlink {
        place: Place,
    },
    Unlink {
        place: Place,
        flags: Option<usize>,
    },
    Rmdir,
    Link {
        old: Place,
        new: Place,
        flags: Option<usize>,
    },
    Rename {
        old: Place,
        new: Place,
        flags: Option<usize>,
    },
    Chmod {
        subject: Subject,
        mode: usize,
    },
    /// The group stands behind the owner; `short` if both are 16 bits wide.
    Chown {
        subject: Subject,
        owner: usize,
        short: bool,
    },
    Truncate {
        /// Whether the length takes two arguments.
        split: bool,
    },
    Utime {
        subject: Subject,
        times: usize,
        kind: Times,
        /// Whether the seconds are 64 bits wide on a 32-bit machine too.
        wide: bool,
    },
    /// Sets (`name`, `value`, `size`, `flags` from here on) or removes an extended attribute.
    Setxattr {
        subject: Subject,
        name: usize,
    },
    Removexattr {
        subject: Subject,
        name: usize,
    },
    /// `ioctl` that sets the flags of an inode.
    SetFlags,
    /// `bind`: makes a socket at a path.
    Bind,
    /// `connect`: uses a socket at a path.
    Connect,
    Sendto,
    Sendmsg,
    Sendmmsg,
    /// The calls for sockets of 32-bit machines, all in one.
    Socketcall,
    /// Changes mounts or the machine: never allowed.
    Refused,
    /// Not there, as far as the program can tell.
    Missing,
    /// Changes what paths mean to the program.
    Root,
    /// Changes whose rights the program has.
    Identity,
    /// `prctl`: a program may not hide its memory.
    Prctl,
    /// Only looks.
    Look {
        subject: Subject,
        look: Look,
    },
    /// `execve`, `execveat`.
    Execute {
        place: Place,
        flags: Option<usize>,
    },
    /// Reads the names in a directory.
    List,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The name, as in the manual.
    pub(crate) name: &'static str,
    /// The number on `x86_64`, the i386 and the newer machines (aarch64, riscv64); -1 for none.
    numbers: [i32; 3],
    /// What it does.
    pub(crate) shape: Shape,
}

const fn row(name: &'static str, numbers: [i32; 3], shape: Shape) -> Row {
    Row {
        name,
        numbers,
        shape,
    }
}

/// The calls, each at the place of its number.
type ByNumber = Vec<Option<&'static Row>>;

fn by_number(abi: Abi) -> ByNumber {
    let mut table = ByNumber::new();
    for row in CALLS {
        if let Some(number) = row.number(abi) {
            let at = number as usize;
            table.resize(table.len().max(at + 1), None);
            if let Some(place) = table.get_mut(at) {
                *place = Some(row);
            }
        }
    }
    table
}

/// Which numbers a call came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abi {
    /// This machine's own.
    Native,
    /// The 32-bit one beside it.
    I386,
}

impl Row {
    /// The number by which programs of that kind call it.
    pub(crate) fn number(&self, abi: Abi) -> Option<u32> {
        let column = match abi {
            Abi::I386 => 1,
            Abi::Native if cfg!(target_arch = "x86_64") => 0,
            Abi::Native => 2,
        };
        u32::try_from(self.numbers[column]).ok()
    }

    /// The call with this number.
    pub(crate) fn find(abi: Abi, number: u32) -> Option<&'static Self> {
        static NATIVE: LazyLock<ByNumber> = LazyLock::new(|| by_number(Abi::Native));
        static I386: LazyLock<ByNumber> = LazyLock::new(|| by_number(Abi::I386));
        let table = match abi {
            Abi::Native => &NATIVE,
            Abi::I386 => &I386,
        };
        table.get(number as usize).copied().flatten()
    }
}

const fn open(place: Place, flags: usize) -> Shape {
    Shape::Open {
        place,
        flags,
        mode: flags + 1,
    }
}

const fn look(subject: Subject, look: Look) -> Shape {
    Shape::Look { subject, look }
}

const fn utime(subject: Subject, times: usize, kind: Times) -> Shape {
    Shape::Utime {
        subject,
        times,
        kind,
        wide: false,
    }
}

const fn chmod(subject: Subject, mode: usize) -> Shape {
    Shape::Chmod { subject, mode }
}

const fn chown(subject: Subject, owner: usize, short: bool) -> Shape {
    Shape::Chown {
        subject,
        owner,
        short,
    }
}

const fn setxattr(subject: Subject) -> Shape {
    Shape::Setxattr { subject, name: 1 }
}

const fn removexattr(subject: Subject) -> Shape {
    Shape::Removexattr { subject, name: 1 }
}

use Look::{Access, Chdir, Other, Readlink, Stat, Xattr};
use Shape::{Identity, Missing, Refused, Root};

/// All of them, those that are called most first.
#[rustfmt::skip]
pub(crate) static CALLS: &[Row] = &[
    row("openat", [257, 295, 56], open(at(0), 2)),
    row("open", [2, 5, -1], open(cwd(0), 1)),
    row("openat2", [437, 437, 437], Shape::Openat2),
    row("creat", [85, 8, -1], Shape::Creat),
    row("unlink", [87, 10, -1], Shape::Unlink { place: cwd(0), flags: None }),
    row("unlinkat", [263, 301, 35], Shape::Unlink { place: at(0), flags: Some(2) }),
    row("rmdir", [84, 40, -1], Shape::Rmdir),
    row("rename", [82, 38, -1], Shape::Rename { old: cwd(0), new: cwd(1), flags: None }),
    row("renameat", [264, 302, 38], Shape::Rename { old: at(0), new: at(2), flags: None }),
    row("renameat2", [316, 353, 276], Shape::Rename { old: at(0), new: at(2), flags: Some(4) }),
    row("mkdir", [83, 39, -1], Shape::Mkdir { place: cwd(0), mode: 1 }),
    row("mkdirat", [258, 296, 34], Shape::Mkdir { place: at(0), mode: 2 }),
    row("link", [86, 9, -1], Shape::Link { old: cwd(0), new: cwd(1), flags: None }),
    row("linkat", [265, 303, 37], Shape::Link { old: at(0), new: at(2), flags: Some(4) }),
    row("symlink", [88, 83, -1], Shape::Symlink { place: cwd(1) }),
    row("symlinkat", [266, 304, 36], Shape::Symlink { place: at(1) }),
    row("mknod", [133, 14, -1], Shape::Mknod { place: cwd(0), mode: 1 }),
    row("mknodat", [259, 297, 33], Shape::Mknod { place: at(0), mode: 2 }),
    row("chmod", [90, 15, -1], chmod(followed(cwd(0)), 1)),
    row("fchmod", [91, 94, 52], chmod(Subject::Descriptor(0), 1)),
    row("fchmodat", [268, 306, 53], chmod(followed(at(0)), 2)),
    row("fchmodat2", [452, 452, 452], chmod(flagged(at(0), 3), 2)),
    row("chown", [92, 212, -1], chown(followed(cwd(0)), 1, false)),
    row("chown", [-1, 182, -1], chown(followed(cwd(0)), 1, true)),
    row("fchown", [93, 207, 55], chown(Subject::Descriptor(0), 1, false)),
    row("fchown", [-1, 95, -1], chown(Subject::Descriptor(0), 1, true)),
    row("lchown", [94, 198, -1], chown(unfollowed(cwd(0)), 1, false)),
    row("lchown", [-1, 16, -1], chown(unfollowed(cwd(0)), 1, true)),
    row("fchownat", [260, 298, 54], chown(flagged(at(0), 4), 2, false)),
    row("truncate", [76, 92, 45], Shape::Truncate { split: false }),
    row("truncate64", [-1, 193, -1], Shape::Truncate { split: true }),
    row("utime", [132, 30, -1], utime(followed(cwd(0)), 1, Times::Seconds)),
    row("utimes", [235, 271, -1], utime(followed(cwd(0)), 1, Times::Micro)),
    row("futimesat", [261, 299, -1], utime(followed(at(0)), 2, Times::Micro)),
    row("utimensat", [280, 320, 88], utime(flagged(at(0), 3), 2, Times::Nano)),
    row("utimensat", [-1, 412, -1], Shape::Utime {
        subject: flagged(at(0), 3), times: 2, kind: Times::Nano, wide: true,
    }),
    row("setxattr", [188, 226, 5], setxattr(followed(cwd(0)))),
    row("lsetxattr", [189, 227, 6], setxattr(unfollowed(cwd(0)))),
    row("fsetxattr", [190, 228, 7], setxattr(Subject::Descriptor(0))),
    row("removexattr", [197, 235, 14], removexattr(followed(cwd(0)))),
    row("lremovexattr", [198, 236, 15], removexattr(unfollowed(cwd(0)))),
    row("fremovexattr", [199, 237, 16], removexattr(Subject::Descriptor(0))),
    row("ioctl", [16, 54, 29], Shape::SetFlags),
    row("bind", [49, 361, 200], Shape::Bind),
    row("connect", [42, 362, 203], Shape::Connect),
    row("sendto", [44, 369, 206], Shape::Sendto),
    row("sendmsg", [46, 370, 211], Shape::Sendmsg),
    row("sendmmsg", [307, 345, 269], Shape::Sendmmsg),
    row("socketcall", [-1, 102, -1], Shape::Socketcall),
    row("mount", [165, 21, 40], Refused),
    row("umount", [-1, 22, -1], Refused),
    row("umount2", [166, 52, 39], Refused),
    row("pivot_root", [155, 217, 41], Refused),
    row("open_tree", [428, 428, 428], Refused),
    row("move_mount", [429, 429, 429], Refused),
    row("fsopen", [430, 430, 430], Refused),
    row("fsconfig", [431, 431, 431], Refused),
    row("fsmount", [432, 432, 432], Refused),
    row("fspick", [433, 433, 433], Refused),
    row("mount_setattr", [442, 442, 442], Refused),
    row("open_tree_attr", [467, 467, 467], Refused),
    row("open_by_handle_at", [304, 342, 265], Refused),
    row("swapon", [167, 87, 224], Refused),
    row("swapoff", [168, 115, 225], Refused),
    row("acct", [163, 51, 89], Refused),
    row("reboot", [169, 88, 142], Refused),
    row("kexec_load", [246, 283, 104], Refused),
    row("kexec_file_load", [320, -1, 294], Refused),
    row("init_module", [175, 128, 105], Refused),
    row("finit_module", [313, 350, 273], Refused),
    row("delete_module", [176, 129, 106], Refused),
    row("settimeofday", [164, 79, 170], Refused),
    row("clock_settime", [227, 264, 112], Refused),
    row("clock_settime64", [-1, 404, -1], Refused),
    row("sethostname", [170, 74, 161], Refused),
    row("setdomainname", [171, 121, 162], Refused),
    row("bpf", [321, 357, 280], Refused),
    row("iopl", [172, 110, -1], Refused),
    row("ioperm", [173, 101, -1], Refused),
    // Newer than what programs can do without, and their arguments stand in memory.
    row("setxattrat", [463, 463, 463], Missing),
    row("removexattrat", [466, 466, 466], Missing),
    row("file_setattr", [469, 469, 469], Missing),
    row("io_uring_setup", [425, 425, 425], Missing),
    row("io_uring_enter", [426, 426, 426], Missing),
    row("io_uring_register", [427, 427, 427], Missing),
    row("prctl", [157, 172, 167], Shape::Prctl),
    row("chroot", [161, 61, 51], Root),
    row("setns", [308, 346, 268], Root),
    row("setuid", [105, 213, 146], Identity),
    row("setuid16", [-1, 23, -1], Identity),
    row("setgid", [106, 214, 144], Identity),
    row("setgid16", [-1, 46, -1], Identity),
    row("setreuid", [113, 203, 145], Identity),
    row("setreuid16", [-1, 70, -1], Identity),
    row("setregid", [114, 204, 143], Identity),
    row("setregid16", [-1, 71, -1], Identity),
    row("setresuid", [117, 208, 147], Identity),
    row("setresuid16", [-1, 164, -1], Identity),
    row("setresgid", [119, 210, 149], Identity),
    row("setresgid16", [-1, 170, -1], Identity),
    row("setfsuid", [122, 215, 151], Identity),
    row("setfsuid16", [-1, 138, -1], Identity),
    row("setfsgid", [123, 216, 152], Identity),
    row("setfsgid16", [-1, 139, -1], Identity),
    row("newfstatat", [262, -1, 79], look(flagged(at(0), 3), Stat)),
    row("fstatat64", [-1, 300, -1], look(flagged(at(0), 3), Stat)),
    row("statx", [332, 383, 291], look(flagged(at(0), 2), Stat)),
    row("stat", [4, 106, -1], look(followed(cwd(0)), Stat)),
    row("stat64", [-1, 195, -1], look(followed(cwd(0)), Stat)),
    row("oldstat", [-1, 18, -1], look(followed(cwd(0)), Stat)),
    row("lstat", [6, 107, -1], look(unfollowed(cwd(0)), Stat)),
    row("lstat64", [-1, 196, -1], look(unfollowed(cwd(0)), Stat)),
    row("oldlstat", [-1, 84, -1], look(unfollowed(cwd(0)), Stat)),
    row("access", [21, 33, -1], look(followed(cwd(0)), Access)),
    row("faccessat", [269, 307, 48], look(followed(at(0)), Access)),
    row("faccessat2", [439, 439, 439], look(flagged(at(0), 3), Access)),
    row("readlink", [89, 85, -1], look(unfollowed(cwd(0)), Readlink)),
    row("readlinkat", [267, 305, 78], look(unfollowed(at(0)), Readlink)),
    row("execve", [59, 11, 221], Shape::Execute { place: cwd(0), flags: None }),
    row("execveat", [322, 358, 281], Shape::Execute { place: at(0), flags: Some(4) }),
    row("chdir", [80, 12, 49], look(followed(cwd(0)), Chdir)),
    row("statfs", [137, 99, 43], look(followed(cwd(0)), Other)),
    row("statfs64", [-1, 268, -1], look(followed(cwd(0)), Other)),
    row("getxattr", [191, 229, 8], look(followed(cwd(0)), Xattr)),
    row("lgetxattr", [192, 230, 9], look(unfollowed(cwd(0)), Xattr)),
    row("getxattrat", [464, 464, 464], look(flagged(at(0), 2), Xattr)),
    row("listxattr", [194, 232, 11], look(followed(cwd(0)), Xattr)),
    row("llistxattr", [195, 233, 12], look(unfollowed(cwd(0)), Xattr)),
    row("listxattrat", [465, 465, 465], look(flagged(at(0), 2), Xattr)),
    row("file_getattr", [468, 468, 468], look(flagged(at(0), 4), Stat)),
    row("inotify_add_watch", [254, 292, 27], look(followed(cwd(1)), Other)),
    row("name_to_handle_at", [303, 341, 264], look(flagged(at(0), 4), Stat)),
    row("uselib", [134, 86, -1], look(followed(cwd(0)), Other)),
    row("getdents64", [217, 220, 61], Shape::List),
    row("getdents", [78, 141, -1], Shape::List),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn calls_are_found_by_their_numbers() {
        for abi in [Abi::Native, Abi::I386] {
            for row in CALLS {
                if let Some(number) = row.number(abi) {
                    assert_eq!(Row::find(abi, number).map(|row| row.name), Some(row.name));
                }
            }
            assert!(Row::find(abi, 9999).is_none());
        }
    }

    #[test]
    fn no_number_stands_twice() {
        for abi in [Abi::Native, Abi::I386] {
            let mut seen = HashSet::new();
            for row in CALLS {
                if let Some(number) = row.number(abi) {
                    assert!(seen.insert(number), "{} {abi:?} {number}", row.name);
                }
            }
        }
    }

    /// The names and numbers in one of the kernel's headers.
    fn header(path: &str) -> Option<HashMap<String, u32>> {
        let text = std::fs::read_to_string(path).ok()?;
        let define = |line: &str| {
            let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
            Some((name.to_owned(), number.trim().parse().ok()?))
        };
        Some(text.lines().filter_map(define).collect())
    }

    #[test]
    fn the_numbers_are_the_kernels() {
        let base = "/usr/include/x86_64-linux-gnu/asm";
        let other = "/usr/include/asm";
        let i386_names = HashMap::from([
            ("setuid16", "setuid"),
            ("setgid16", "setgid"),
            ("setreuid16", "setreuid"),
            ("setregid16", "setregid"),
            ("setresuid16", "setresuid"),
            ("setresgid16", "setresgid"),
            ("setfsuid16", "setfsuid"),
            ("setfsgid16", "setfsgid"),
        ]);
        let mut compared = 0;
        for (column, file) in [(0, "unistd_64.h"), (1, "unistd_32.h")] {
            let Some(known) =
                header(&format!("{base}/{file}")).or_else(|| header(&format!("{other}/{file}")))
            else {
                eprintln!("not compared: there is no {file}");
                continue;
            };
            for row in CALLS.iter().filter(|row| row.numbers[column] >= 0) {
                let names: Vec<String> = if column == 0 {
                    vec![row.name.into()]
                } else {
                    // The plain name is the narrow variant's where there are two.
                    let plain = i386_names.get(row.name).copied().unwrap_or(row.name);
                    vec![
                        plain.into(),
                        format!("{plain}32"),
                        format!("{plain}_time64"),
                    ]
                };
                let numbers: Vec<u32> =
                    names.iter().filter_map(|n| known.get(n).copied()).collect();
                if numbers.is_empty() {
                    // The headers may be older than the call.
                    assert!(
                        row.numbers[column] > 420 || row.name.starts_with("old"),
                        "{} is in no header",
                        row.name
                    );
                    continue;
                }
                assert!(
                    numbers.contains(&(row.numbers[column] as u32)),
                    "{}: {} is none of {numbers:?}",
                    row.name,
                    row.numbers[column]
                );
                compared += 1;
            }
        }
        eprintln!("{compared} numbers compared");
    }
}
