//! The seccomp filter: which system calls are handed to the monitor, which are refused at once.
//!
//! It is a program of the classic BPF kind that the kernel runs at each call (seccomp(2)). It sees
//! the call's number and arguments but no memory, so it can tell an open for reading by its flags
//! and lets it pass at full speed, while what stands in memory is looked at by the monitor.

use nix::libc::{self, sock_filter};

use crate::calls::{Abi, CALLS, Row, Shape, Subject};

/// What is handed to the monitor besides changes, which always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Watch {
    /// Nothing else: reading is free.
    #[default]
    Changes,
    /// Opens for reading, programs and listings too, as some reading is refused.
    Reads,
    /// Every call that names a path.
    Everything,
}

/// Where `seccomp_data` has what.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_*` (linux/audit.h).
const I386: u32 = 0x4000_0003;
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
const NATIVE: u32 = 0xc000_00f3;

/// Whether a call came by this machine's own numbers.
pub(crate) fn is_native(architecture: u32) -> bool {
    architecture == NATIVE
}

/// Whether an open with these flags may change something.
pub(crate) fn changes(flags: i32) -> bool {
    flags.cast_unsigned() & CHANGING != 0
}

/// Numbers from here on are those of the x32 kind, which nothing uses.
const X32: u32 = 0x4000_0000;

/// The flags of an open that may change something: write access, making, truncating, unnamed files.
const CHANGING: u32 =
    (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY))
        as u32;

/// `TIOCSTI` and `TIOCLINUX` (asm-generic/ioctls.h): typing into a terminal in its user's place.
pub(crate) const TYPING: [u32; 2] = [0x5412, 0x541c];

/// `FS_IOC_SETFLAGS`, `FS_IOC32_SETFLAGS` and `FS_IOC_FSSETXATTR` (linux/fs.h), and typing.
const REQUESTS: [u32; 5] = [0x4008_6602, 0x4004_6602, 0x401c_5820, TYPING[0], TYPING[1]];

/// One argument or other of `socketcall` (linux/net.h): bind, connect, sendto, sendmsg, sendmmsg.
const SOCKET_CALLS: [u32; 5] = [2, 3, 11, 16, 20];

/// A program under construction.
struct Program {
    code: Vec<sock_filter>,
}

impl Program {
    fn push(&mut self, code: u32, jt: u8, jf: u8, k: u32) {
        self.code.push(sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        });
    }

    /// Loads a word of the call's data.
    fn load(&mut self, offset: u32) {
        self.push(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    }

    /// Loads the lower or the upper half of an argument.
    fn argument(&mut self, number: usize, upper: bool) {
        let high = cfg!(target_endian = "big") != upper;
        self.load(ARGUMENTS + 8 * number as u32 + 4 * u32::from(high));
    }

    /// Skips `skip` instructions unless the loaded word is `value`.
    fn unless_equal(&mut self, value: u32, skip: u8) {
        self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, skip, value);
    }

    /// Skips `skip` instructions if the loaded word is `value`.
    fn if_equal(&mut self, value: u32, skip: u8) {
        self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skip, 0, value);
    }

    fn answer(&mut self, action: u32) {
        self.push(libc::BPF_RET | libc::BPF_K, 0, 0, action);
    }
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
const GONE: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
/// The call is not made and the program is told that it was.
const PRETENDED: u32 = libc::SECCOMP_RET_ERRNO;

/// What the filter says to one call.
enum Answer {
    /// Always the same.
    Always(u32),
    /// Handed over if the argument has one of these bits.
    Bits(usize, u32),
    /// Handed over if the argument is one of these.
    OneOf(usize, &'static [u32]),
    /// Handed over if the argument is not zero.
    NotZero(usize),
    /// Handed over but for the form by which the C library asks for an open descriptor's metadata:
    /// the directory in argument 0 is a descriptor, the flags in this one are `AT_EMPTY_PATH` and
    /// nothing else that matters.
    NamesPath(usize),
    /// Pretended if the first argument is this.
    Pretended(u32),
}

/// What is to be done with a call, none if it is free.
fn answer(row: &Row, watch: Watch) -> Option<Answer> {
    use Answer::{Always, Bits, NamesPath, NotZero, OneOf, Pretended};
    Some(match row.shape {
        Shape::Open { .. } if watch >= Watch::Reads => Always(NOTIFY),
        Shape::Open { flags, .. } => Bits(flags, CHANGING),
        Shape::Sendto => NotZero(4),
        Shape::Socketcall => OneOf(0, &SOCKET_CALLS),
        Shape::SetFlags => OneOf(1, &REQUESTS),
        Shape::Missing => Always(GONE),
        Shape::Prctl => Pretended(libc::PR_SET_DUMPABLE as u32),
        Shape::Execute { .. } | Shape::List if watch >= Watch::Reads => Always(NOTIFY),
        Shape::Look {
            subject: Subject::Path {
                flags: Some(flags), ..
            },
            look: crate::calls::Look::Stat,
        } if watch == Watch::Everything => NamesPath(flags),
        Shape::Look { .. } if watch == Watch::Everything => Always(NOTIFY),
        Shape::Look {
            subject: Subject::Path { place, .. },
            look: crate::calls::Look::Access,
        } if watch == Watch::Changes => Bits(place.path + 1, libc::W_OK as u32),
        Shape::Look {
            look: crate::calls::Look::Access,
            ..
        } => Always(NOTIFY),
        Shape::Execute { .. } | Shape::List | Shape::Look { .. } => return None,
        _ => Always(NOTIFY),
    })
}

/// The instructions for one call, to be skipped as a whole by all others. The call's number is
/// loaded, and is again when they have been passed.
fn block(number: u32, answer: &Answer) -> Vec<sock_filter> {
    let mut body = Program { code: Vec::new() };
    match *answer {
        Answer::Always(action) => body.answer(action),
        Answer::Bits(argument, mask) => {
            body.argument(argument, false);
            body.push(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, mask);
            body.answer(NOTIFY);
            body.answer(ALLOW);
        }
        Answer::OneOf(argument, values) => {
            body.argument(argument, false);
            for (at, &value) in values.iter().enumerate() {
                let left = (values.len() - at) as u8;
                body.if_equal(value, left);
            }
            body.answer(ALLOW);
            body.answer(NOTIFY);
        }
        Answer::NotZero(argument) => {
            body.argument(argument, false);
            body.unless_equal(0, 2);
            body.argument(argument, true);
            body.if_equal(0, 1);
            body.answer(NOTIFY);
            body.answer(ALLOW);
        }
        Answer::NamesPath(flags) => {
            body.argument(0, false);
            body.if_equal(libc::AT_FDCWD as u32, 3);
            body.argument(flags, false);
            body.unless_equal(libc::AT_EMPTY_PATH as u32, 1);
            body.answer(ALLOW);
            body.answer(NOTIFY);
        }
        Answer::Pretended(value) => {
            body.argument(0, false);
            body.unless_equal(value, 1);
            body.answer(PRETENDED);
            body.answer(ALLOW);
        }
    }
    let mut whole = Program { code: Vec::new() };
    whole.unless_equal(number, body.code.len() as u8);
    whole.code.extend(body.code);
    whole.code
}

/// All blocks for programs of one kind, ended by what is said to all other calls.
fn blocks(abi: Abi, watch: Watch, identities: bool) -> Vec<sock_filter> {
    let mut program = Program { code: Vec::new() };
    program.load(NUMBER);
    if abi == Abi::Native && cfg!(target_arch = "x86_64") {
        program.push(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32);
        program.answer(GONE);
    }
    for row in CALLS {
        if row.shape == Shape::Identity && !identities {
            continue;
        }
        if let (Some(number), Some(answer)) = (row.number(abi), answer(row, watch)) {
            program.code.extend(block(number, &answer));
        }
    }
    program.answer(ALLOW);
    program.code
}

/// The filter that watches what is asked for. `identities` says whether changes of a program's user
/// matter, as they do below a monitor that is root.
///
/// Programs of another kind than this machine's and the 32-bit one beside it find no system calls.
pub(crate) fn program(watch: Watch, identities: bool) -> Vec<sock_filter> {
    let native = blocks(Abi::Native, watch, identities);
    let mut program = Program { code: Vec::new() };
    program.load(ARCHITECTURE);
    program.if_equal(NATIVE, 1);
    program.push(libc::BPF_JMP | libc::BPF_JA, 0, 0, native.len() as u32);
    program.code.extend(native);
    if cfg!(target_arch = "x86_64") {
        let compat = blocks(Abi::I386, watch, identities);
        program.unless_equal(I386, 1);
        program.push(libc::BPF_JMP | libc::BPF_JA, 0, 0, 1);
        program.answer(GONE);
        program.code.extend(compat);
    } else {
        program.answer(GONE);
    }
    program.code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel does, and gives its answer.
    fn run(program: &[sock_filter], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let word = |offset: u32| match offset {
            NUMBER => number,
            ARCHITECTURE => arch,
            offset => {
                let at = (offset - ARGUMENTS) as usize;
                (arguments[at / 8] >> (8 * (at % 8))) as u32
            }
        };
        let mut loaded = 0;
        let mut at = 0;
        loop {
            let step = &program[at];
            let code = u32::from(step.code);
            let jump = |yes: bool| if yes { step.jt } else { step.jf };
            at += 1;
            match code & 7 {
                libc::BPF_LD => loaded = word(step.k),
                libc::BPF_RET => return step.k,
                libc::BPF_JMP => {
                    at += match code & 0xf0 {
                        libc::BPF_JA => step.k as usize,
                        libc::BPF_JEQ => jump(loaded == step.k).into(),
                        libc::BPF_JGE => jump(loaded >= step.k).into(),
                        libc::BPF_JSET => jump(loaded & step.k != 0).into(),
                        other => panic!("{other}"),
                    }
                }
                other => panic!("{other}"),
            }
        }
    }

    const NOTHING: [u64; 6] = [0; 6];

    #[test]
    fn opens_are_told_apart_by_their_flags() {
        let filter = program(Watch::Changes, false);
        let openat = |flags: i32| {
            let arguments = [libc::AT_FDCWD as u64, 0, flags as u64, 0, 0, 0];
            run(&filter, NATIVE, libc::SYS_openat as u32, arguments)
        };
        for free in [0, libc::O_CLOEXEC | libc::O_DIRECTORY, libc::O_PATH] {
            assert_eq!(openat(free), ALLOW, "{free:x}");
        }
        for watched in [
            libc::O_WRONLY,
            libc::O_RDWR,
            libc::O_CREAT,
            libc::O_TRUNC,
            libc::O_TMPFILE,
        ] {
            assert_eq!(openat(watched), NOTIFY, "{watched:x}");
        }
        let reads = program(Watch::Reads, false);
        assert_eq!(
            run(&reads, NATIVE, libc::SYS_openat as u32, NOTHING),
            NOTIFY
        );
    }

    #[test]
    fn every_row_gets_its_answer_for_both_kinds() {
        for watch in [Watch::Changes, Watch::Reads, Watch::Everything] {
            let filter = program(watch, true);
            assert!(filter.len() < 4096, "{}", filter.len());
            for (abi, arch) in [(Abi::Native, NATIVE), (Abi::I386, I386)] {
                for row in CALLS {
                    let Some(number) = row.number(abi) else {
                        continue;
                    };
                    let given = run(&filter, arch, number, [u64::MAX; 6]);
                    let expected = match answer(row, watch) {
                        None => ALLOW,
                        Some(Answer::Always(action)) => action,
                        Some(Answer::Pretended(_) | Answer::OneOf(..)) => ALLOW,
                        Some(_) => NOTIFY,
                    };
                    assert_eq!(given, expected, "{} {abi:?} {watch:?}", row.name);
                }
            }
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_free_and_other_machines_have_nothing() {
        let filter = program(Watch::Everything, true);
        assert_eq!(run(&filter, NATIVE, libc::SYS_read as u32, NOTHING), ALLOW);
        assert_eq!(run(&filter, NATIVE, libc::SYS_write as u32, NOTHING), ALLOW);
        assert_eq!(run(&filter, I386, 3, NOTHING), ALLOW);
        assert_eq!(run(&filter, 0x1234, libc::SYS_read as u32, NOTHING), GONE);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(
            run(&filter, NATIVE, X32 | libc::SYS_read as u32, NOTHING),
            GONE
        );
    }

    #[test]
    fn conditions_look_at_the_right_argument() {
        let filter = program(Watch::Everything, false);
        let fstat = [3, 1, 1, libc::AT_EMPTY_PATH as u64, 0, 0];
        let stat = [libc::AT_FDCWD as u64, 1, 1, 0, 0, 0];
        let newfstatat = |arguments| run(&filter, NATIVE, libc::SYS_newfstatat as u32, arguments);
        assert_eq!(newfstatat(fstat), ALLOW);
        assert_eq!(newfstatat(stat), NOTIFY);
        let mut empty = stat;
        empty[3] = libc::AT_EMPTY_PATH as u64;
        assert_eq!(newfstatat(empty), NOTIFY);
        let sendto = |address| {
            let arguments = [3, 1, 1, 0, address, 0];
            run(&filter, NATIVE, libc::SYS_sendto as u32, arguments)
        };
        assert_eq!(sendto(0), ALLOW);
        assert_eq!(sendto(1), NOTIFY);
        assert_eq!(sendto(1 << 40), NOTIFY);
        let ioctl = |request| {
            let arguments = [3, request, 0, 0, 0, 0];
            run(&filter, NATIVE, libc::SYS_ioctl as u32, arguments)
        };
        assert_eq!(ioctl(0x4008_6602), NOTIFY);
        assert_eq!(ioctl(0x401c_5820), NOTIFY);
        assert_eq!(ioctl(0x5401), ALLOW);
        let prctl = |option| {
            let arguments = [option, 0, 0, 0, 0, 0];
            run(&filter, NATIVE, libc::SYS_prctl as u32, arguments)
        };
        assert_eq!(prctl(libc::PR_SET_DUMPABLE as u64), PRETENDED);
        assert_eq!(prctl(libc::PR_SET_NAME as u64), ALLOW);
        assert_eq!(
            run(&filter, NATIVE, libc::SYS_setuid as u32, NOTHING),
            ALLOW
        );
    }
}
