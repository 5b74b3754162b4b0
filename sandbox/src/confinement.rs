//! Confining a program from its start: where it may read and write, no other programs, no network.
//!
//! The process that is to become the program closes the doors behind itself and then becomes it:
//! Landlock restricts what files are opened, a seccomp filter refuses sockets and `execve`. The
//! program itself is started with `execveat`, which the filter lets pass and which no shell uses.
//! What is refused fails with EACCES.
//!
//! What neither can see stays allowed: whether a file exists, and what descriptors that are open
//! already lead to.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use crate::signals::leave_pipes_to_program;

/// The hidden first argument by which the `ebd` program becomes a confined one.
pub const ARGUMENT: &str = "__confined";

/// The newest set of rights that is asked for; older kernels enforce what they know.
const RIGHTS: ABI = ABI::V5;

/// What every program needs to start: its libraries, and where it looks up its own user.
const SYSTEM: [&str; 10] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/passwd",
];

/// Why a program could not be confined.
#[derive(Debug, thiserror::Error)]
pub enum ConfinementError {
    /// The kernel does not know Landlock, or something around us forbids it.
    #[error("this kernel has no Landlock, or a container forbids it")]
    NoLandlock,
    /// The rules were refused.
    #[error("Landlock refused the rules")]
    Landlock(#[from] RulesetError),
    /// There is no filter for this machine's kind.
    #[error("seccomp: no filter can be made for {}", std::env::consts::ARCH)]
    Machine,
    /// The filter was refused.
    #[error("seccomp refused the filter")]
    Seccomp(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The arguments are not those that [`Confinement::arguments`] gives.
    #[error("__confined: unexpected argument {0:?}")]
    Argument(OsString),
    /// The program is a script, whose interpreter could start nothing.
    #[error(
        "{}: is a script, and once it is confined it may start nothing: name the program that it starts, \
         or do without confinement (ebd regen --unconfined)", program.display()
    )]
    Script {
        /// The script.
        program: PathBuf,
    },
    /// The program cannot be started.
    #[error("{}: cannot be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

/// Where a program may read and write; directories stand for all that is below them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Readable, besides the system's libraries.
    pub read: Vec<PathBuf>,
    /// Readable and writable.
    pub write: Vec<PathBuf>,
}

impl Confinement {
    /// The arguments with which the `ebd` program runs `program`, confined. The program is found by
    /// its path alone.
    #[must_use]
    pub fn arguments(&self, program: &Path) -> Vec<OsString> {
        let mut arguments = vec![ARGUMENT.into()];
        for (option, paths) in [("--read", &self.read), ("--write", &self.write)] {
            for path in paths {
                arguments.push(option.into());
                arguments.push(path.into());
            }
        }
        arguments.push("--".into());
        arguments.push(program.into());
        arguments
    }

    /// Takes apart what [`arguments`](Self::arguments) gave, behind the first.
    fn parse(arguments: &[OsString]) -> Result<(Self, &[OsString]), ConfinementError> {
        let mut confinement = Self::default();
        let mut rest = arguments;
        loop {
            match rest {
                [] => return Ok((confinement, &[])),
                [end, command @ ..] if end == "--" => return Ok((confinement, command)),
                [option, path, more @ ..] if option == "--read" => {
                    confinement.read.push(path.into());
                    rest = more;
                }
                [option, path, more @ ..] if option == "--write" => {
                    confinement.write.push(path.into());
                    rest = more;
                }
                [other, ..] => return Err(ConfinementError::Argument(other.clone())),
            }
        }
    }

    /// Confines this process, for good.
    fn apply(&self) -> Result<(), ConfinementError> {
        let all = AccessFs::from_all(RIGHTS) & !AccessFs::Execute;
        let read = AccessFs::from_read(RIGHTS) & !AccessFs::Execute;
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .create()?;
        let system = SYSTEM.iter().map(Path::new);
        let readable = self.read.iter().map(PathBuf::as_path).chain(system);
        let devices = [Path::new("/dev/null")];
        let writable = self.write.iter().map(PathBuf::as_path).chain(devices);
        for (path, rights) in readable
            .map(|path| (path, read))
            .chain(writable.map(|path| (path, all)))
        {
            // What does not exist needs no rule.
            let Ok(place) = PathFd::new(path) else {
                continue;
            };
            let rights = match path.is_dir() {
                true => rights,
                false => rights & AccessFs::from_file(RIGHTS),
            };
            rules = rules.add_rule(PathBeneath::new(place, rights))?;
        }
        if rules.restrict_self()?.ruleset == RulesetStatus::NotEnforced {
            return Err(ConfinementError::NoLandlock);
        }
        refuse_calls()
    }
}

/// Has the kernel refuse sockets, and programs but for `execveat`.
fn refuse_calls() -> Result<(), ConfinementError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| ConfinementError::Seccomp(error);
    let machine =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|_| ConfinementError::Machine)?;
    let refused = [
        libc::SYS_socket,
        libc::SYS_execve,
        // It opens sockets without the call for it.
        libc::SYS_io_uring_setup,
    ];
    let rules: BTreeMap<_, _> = refused.map(|call| (call, Vec::new())).into();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EACCES as u32),
        machine,
    )
    .map_err(|error| failed(error.into()))?;
    let program = BpfProgram::try_from(filter).map_err(|error| failed(error.into()))?;
    seccompiler::apply_filter(&program).map_err(|error| failed(error.into()))
}

/// Becomes the program that the arguments behind [`ARGUMENT`] name, confined as they say. Without a
/// program it only sees whether this can be done.
///
/// # Errors
/// A [`ConfinementError`] if it cannot.
pub fn run(arguments: &[OsString]) -> Result<Option<Infallible>, ConfinementError> {
    let (mut confinement, command) = Confinement::parse(arguments)?;
    let Some(program) = command.first() else {
        confinement.apply()?;
        return Ok(None);
    };
    let failed = |source: io::Error| ConfinementError::Start {
        program: program.into(),
        source,
    };
    let file = File::open(program).map_err(failed)?;
    let mut start = [0; 2];
    if file.read_at(&mut start, 0).map_err(failed)? == 2 && start == *b"#!" {
        return Err(ConfinementError::Script {
            program: program.into(),
        });
    }
    // The kernel reads it as anybody does.
    confinement.read.push(program.into());
    let text =
        |word: &OsString| CString::new(word.as_bytes()).map_err(|error| failed(error.into()));
    let words = command.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let mut variable = name;
        variable.push("=");
        variable.push(value);
        variables.push(text(&variable)?);
    }
    confinement.apply()?;
    leave_pipes_to_program();
    let errno: Errno = match nix::unistd::execveat(
        file.as_fd(),
        c"",
        &words,
        &variables,
        AtFlags::AT_EMPTY_PATH,
    ) {
        Err(errno) => errno,
        Ok(never) => return Ok(Some(never)),
    };
    Err(failed(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_back() {
        let confinement = Confinement {
            read: vec!["/a".into(), "--".into()],
            write: vec!["/b c".into()],
        };
        let arguments = confinement.arguments(Path::new("/bin/x"));
        let (first, rest) = arguments.split_first().unwrap();
        assert_eq!(first, ARGUMENT);
        let (parsed, command) = Confinement::parse(rest).unwrap();
        assert_eq!(parsed, confinement);
        assert_eq!(command, ["/bin/x"]);
        let wrong = ["--what".into()];
        assert!(Confinement::parse(&wrong).is_err());
        assert_eq!(Confinement::parse(&[]).unwrap().1, [""; 0]);
    }
}
