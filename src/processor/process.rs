//! One processor: a bash below its warden, with the library loaded, serving one job at a time.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Pid;
use sandbox::confinement::Confinement;
use sandbox::launch::SandboxError;
use sandbox::{Guard, Policy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::bash::{self, Bashes};
use super::frame::{FrameError, Message, Reader, counted};
use super::launch::{self, Started};
use super::library;
use crate::pms::eapi::{BashVersion, Eapi, UnsupportedEapi};

/// How long a new processor may take to load the library.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long an ended processor's warden may take to end what was below it.
const END_LIMIT: Duration = Duration::from_secs(5);

/// The most bytes of a processor's own error output that an error message shows.
const COMPLAINT_LIMIT: u64 = 2000;

/// The first thing bash is told: read the library from standard input and evaluate it. The text
/// does not end before bash does, so it is dropped in there, lest it be part of every environment.
const BOOT: &str = "LC_ALL=C IFS= read -r -N 10 n && LC_ALL=C IFS= read -r -N $((10#$n)) t && \
                    eval \"unset -v n t\n$t\"";

/// What processors are started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The bash to run, the usual one.
    pub bashes: Bashes,
    /// The `ebd` program, which becomes the warden.
    pub program: PathBuf,
    /// What bash, and all that it starts, is confined to, if it is.
    pub confinement: Option<Confinement>,
    /// The sandbox around bash and all that it starts.
    pub sandbox: sandbox::launch::Settings,
    /// A folder of the processor's, to be removed when everything in it has ended, even if this
    /// program is killed.
    pub temporary: Option<PathBuf>,
}

/// Where programs are looked for.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Settings {
    /// The bash that is usual, as a path.
    #[must_use]
    pub fn bash_path(&self) -> PathBuf {
        bash::located(self.bashes.usual())
    }

    /// The same for ebuilds of that EAPI.
    ///
    /// # Errors
    /// There is no bash for it.
    pub fn for_eapi(&self, eapi: Eapi) -> Result<Self, UnsupportedEapi> {
        Ok(Self {
            bashes: Bashes::only(self.bashes.for_eapi(eapi)?),
            ..self.clone()
        })
    }

    /// Why this bash cannot be confined here, if it cannot. The answer costs the start of a program.
    pub async fn unconfinable(&self) -> Option<String> {
        let path = self.bash_path();
        let mut magic = [0; 4];
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut magic));
        if read.is_ok() && magic != *b"\x7fELF" {
            return Some(format!(
                "{} is a script, which would start another program",
                path.display()
            ));
        }
        let output = Command::new(&self.program)
            .arg(sandbox::confinement::ARGUMENT)
            .stdin(Stdio::null())
            .output()
            .await;
        match output {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Why a processor failed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessorError {
    /// The warden could not be started.
    #[error("{}: cannot be started", program.display())]
    Start {
        /// The program that was to become the warden.
        program: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// Bash ended, or said something else, before it had loaded the library.
    #[error("{}: did not become a processor{}", bash.display(), complaint(stderr))]
    NotReady {
        /// The bash that was run.
        bash: PathBuf,
        /// What it printed to its standard error.
        stderr: String,
        /// What was read instead.
        #[source]
        source: FrameError,
    },
    /// Bash took too long to load the library.
    #[error("{}: did not become a processor within {} seconds", bash.display(), START_LIMIT.as_secs())]
    Slow {
        /// The bash that was run.
        bash: PathBuf,
    },
    /// Bash is older than [`BashVersion::OLDEST`].
    #[error("{}: is bash {version}, but {} or newer is needed; name another one with --bash", bash.display(), BashVersion::OLDEST)]
    TooOld {
        /// The bash that was run.
        bash: PathBuf,
        /// Its version as it says.
        version: String,
    },
    /// There is no bash for the ebuild.
    #[error(transparent)]
    Eapi(#[from] UnsupportedEapi),
    /// A job could not be handed over.
    #[error("processor: cannot hand over a job")]
    Write(#[source] io::Error),
    /// There is no sandbox around it.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// What came back was not what the protocol allows.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message came that has no place in the conversation.
    #[error("processor: unexpected message {0:?}")]
    Unexpected(Box<Message>),
}

/// `stderr` as the end of a sentence.
fn complaint(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        text => format!(" and said: {text}"),
    }
}

/// A running processor. Dropping it ends it and everything that it started.
#[derive(Debug)]
pub struct Processor {
    warden: Child,
    commands: ChildStdin,
    replies: Reader<ChildStdout>,
    _stderr: ChildStderr,
    /// Bash itself.
    pid: Pid,
    /// Bash, and the first process of its own process numbers if it has them.
    residents: Vec<Pid>,
    bash: PathBuf,
    version: BashVersion,
    confined: bool,
    sandbox: sandbox::launch::Settings,
    guard: Option<Arc<dyn Guard>>,
}

impl Processor {
    /// Starts bash below a warden and waits until it has loaded the library.
    ///
    /// # Errors
    /// A [`ProcessorError`] if the programs cannot be run or bash is too old.
    pub async fn start(settings: &Settings) -> Result<Self, ProcessorError> {
        let bash = match &settings.confinement {
            None => vec![settings.bashes.usual().into()],
            Some(confinement) => {
                let mut command = vec![settings.program.clone().into_os_string()];
                command.extend(confinement.arguments(&settings.bash_path()));
                command
            }
        };
        let mut command = std::process::Command::new(&settings.program);
        command
            .args(sandbox::warden::arguments(settings.temporary.as_deref()))
            .env_clear()
            .env("PATH", PATH)
            // Bash allocates and frees the same small pieces all the time. It forgets this setting
            // at once, so no build sees it; another C library than glibc never does.
            .env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=2000")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let words = bash
            .into_iter()
            .chain(["--noprofile", "--norc", "-c", BOOT, "ebd"].map(Into::into));
        let Started { mut warden, guard } =
            launch::start(command, &settings.sandbox, Policy::free(), words.collect()).await?;
        let (Some(mut commands), Some(stdout), Some(mut stderr)) = (
            warden.stdin.take(),
            warden.stdout.take(),
            warden.stderr.take(),
        ) else {
            return Err(ProcessorError::Frame(FrameError::Closed));
        };
        let library = counted(library::processor_text().as_bytes());
        let mut replies = Reader::new(stdout, None);
        let conversation = async {
            // A bash that ended already is told by what it said, not by the broken pipe.
            let _ = commands.write_all(&library).await;
            replies.next().await
        };
        let ready = match timeout(START_LIMIT, conversation).await {
            Err(_) => {
                return Err(ProcessorError::Slow {
                    bash: settings.bashes.usual().to_owned(),
                });
            }
            Ok(Ok(message)) => message,
            Ok(Err(source)) => {
                drop(commands);
                let mut said = Vec::new();
                let _ = timeout(
                    END_LIMIT,
                    (&mut stderr).take(COMPLAINT_LIMIT).read_to_end(&mut said),
                )
                .await;
                return Err(ProcessorError::NotReady {
                    bash: settings.bashes.usual().to_owned(),
                    stderr: String::from_utf8_lossy(&said).into_owned(),
                    source,
                });
            }
        };
        let Message::Ready { pid, version } = ready else {
            return Err(ProcessorError::Unexpected(Box::new(ready)));
        };
        let parsed = BashVersion::parse(&version).filter(|v| *v >= BashVersion::OLDEST);
        let Some(version) = parsed else {
            return Err(ProcessorError::TooOld {
                bash: settings.bashes.usual().to_owned(),
                version,
            });
        };
        let mut started = Self {
            warden,
            commands,
            replies,
            _stderr: stderr,
            pid: Pid::from_raw(pid),
            residents: Vec::new(),
            bash: settings.bashes.usual().to_owned(),
            version,
            confined: settings.confinement.is_some(),
            sandbox: settings.sandbox.clone(),
            guard,
        };
        started.pid = started.here(pid);
        started.residents = vec![started.pid];
        if settings.sandbox.namespaces.pid {
            started
                .residents
                .extend(sandbox::process::parent(started.pid));
        }
        Ok(started)
    }

    /// The bash that it runs, as it was named.
    #[must_use]
    pub fn bash(&self) -> &Path {
        &self.bash
    }

    /// The sandbox that it was started in.
    #[must_use]
    pub fn sandbox(&self) -> &sandbox::launch::Settings {
        &self.sandbox
    }

    /// The sandbox at work, if there is one.
    #[must_use]
    pub fn guard(&self) -> Option<&Arc<dyn Guard>> {
        self.guard.as_ref()
    }

    /// The process that bash knows by this number.
    #[must_use]
    pub fn here(&self, number: i32) -> Pid {
        let inner = || sandbox::process::known_as(self.warden()?, number);
        match self.sandbox.namespaces.pid {
            true => inner().unwrap_or(Pid::from_raw(number)),
            false => Pid::from_raw(number),
        }
    }

    /// Its own processes, and the spared ones.
    fn spared(&self, spare: &[Pid]) -> Vec<Pid> {
        let residents = self.residents.iter();
        residents.chain(spare).copied().collect()
    }

    /// Whether it is confined, so that what it may not do fails with EACCES.
    #[must_use]
    pub fn is_confined(&self) -> bool {
        self.confined
    }

    /// The version of the bash that runs.
    #[must_use]
    pub fn version(&self) -> BashVersion {
        self.version
    }

    /// The pid of the warden, which is there until everything below it has ended.
    #[must_use]
    pub fn warden(&self) -> Option<Pid> {
        self.warden.id().map(|pid| Pid::from_raw(pid.cast_signed()))
    }

    /// Whether processes are below the warden besides bash itself and `spare`.
    #[must_use]
    pub fn has_leftovers(&self, spare: &[Pid]) -> bool {
        let spared = self.spared(spare);
        self.warden().is_some_and(|warden| {
            let below = sandbox::process::descendants(warden);
            below.iter().any(|pid| !spared.contains(pid))
        })
    }

    /// Hands over a job: shell text that is evaluated at top level in a fork.
    ///
    /// # Errors
    /// [`ProcessorError::Write`] if the processor is gone.
    pub async fn begin(&mut self, job: &[u8]) -> Result<(), ProcessorError> {
        let frame = counted(job);
        self.commands
            .write_all(&frame)
            .await
            .map_err(ProcessorError::Write)?;
        self.commands.flush().await.map_err(ProcessorError::Write)
    }

    /// Waits for the job's end and gives its status. Cancel safe.
    ///
    /// # Errors
    /// A [`ProcessorError`]; the processor must not be used again.
    pub async fn ended(&mut self) -> Result<i32, ProcessorError> {
        match self.replies.next().await? {
            Message::Exited(status) => Ok(status),
            other => Err(ProcessorError::Unexpected(Box::new(other))),
        }
    }

    /// Kills every process below the warden but bash itself and `spare`.
    pub fn kill_leftovers(&self, spare: &[Pid]) {
        let Some(warden) = self.warden() else {
            return;
        };
        let spared = self.spared(spare);
        if sandbox::process::has_only(warden, &spared) {
            return;
        }
        let _ = sandbox::process::kill_descendants(warden, &spared, END_LIMIT);
    }

    /// Ends the processor and everything that it started, and waits until that is done.
    pub async fn end(self) {
        let Self {
            mut warden,
            commands,
            pid,
            residents,
            ..
        } = self;
        drop(commands);
        let ended = timeout(END_LIMIT, warden.wait()).await;
        if !ended.is_ok_and(|status| status.is_ok_and(|status| status.code().is_some())) {
            // A build that kills its own warden has nobody who ends it but this process, which
            // reaches the first of its own process numbers, with whom all of them end, or else what
            // has stayed in the processor's group.
            for resident in residents {
                let _ = nix::sys::signal::kill(resident, nix::sys::signal::Signal::SIGKILL);
            }
            let _ = nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}
