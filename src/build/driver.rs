//! Running the phases of one package in its shell, with a checkpoint behind each.
//!
//! The environment is written down by a fork of the shell while the next phase already runs; what
//! it wrote is filtered here and kept beside the progress that it belongs to. A phase counts as
//! finished when its environment is kept, so a build that is killed at any moment is taken up
//! from a state that was whole.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use sandbox::{Guard, Policy, Violation};

use super::event::{Event, Events};
use super::state::{Progress, StateError};
use crate::processor::environment::{Environment, EnvironmentError, Filter};
use crate::processor::frame::{Death, Message};
use crate::processor::library::quote;
use crate::processor::{self, Shell, ShellError};
use crate::util::anew::write_anew;
use crate::util::causes::causes;
use crate::util::printable::printable;

/// How long the shell may take for what it does between phases.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// How long a fork that writes an environment may outlive its shell.
const AFTERLIFE: Duration = Duration::from_secs(30);

/// A limit that is no limit.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Why a phase did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum PhaseError {
    /// The ebuild, an eclass or a command called `die`.
    #[error("{}", .0.message)]
    Died(Box<Death>),
    /// The shell ended although no phase may end it.
    #[error(
        "the phase ended its shell with status {0}, by `exit` or `exec`; a phase function must return or die"
    )]
    Exited(i32),
    /// A signal ended the shell.
    #[error("the phase was killed by {}", signal_name(*.0))]
    Killed(i32),
    /// The phase took longer than it may.
    #[error("the phase took longer than {} seconds", .0.as_secs())]
    Slow(Duration),
    /// The conversation with the shell broke.
    #[error(transparent)]
    Shell(#[from] ShellError),
    /// The sandbox refused something, each of which was told as an event.
    #[error("the sandbox refused {}, listed above and in the log; what a build changes outside of its own folders is lost or harms the system: {CURE}", accesses(*.0))]
    Refused(u64),
    /// A message came that has no place here.
    #[error("the shell said {0:?}, which has no place here")]
    Unexpected(Box<Message>),
    /// The environment that the shell wrote cannot be read.
    #[error("{}: the environment after the {phase} phase cannot be kept", path.display())]
    Environment {
        /// The file that the shell wrote.
        path: PathBuf,
        /// The phase.
        phase: String,
        /// The reason.
        #[source]
        source: EnvironmentError,
    },
    /// The environment's file cannot be read or written.
    #[error("{}: cannot be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The progress cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// A thread of ours ended early.
    #[error("the checkpoint of the {0} phase was not finished")]
    Checkpoint(String),
}

/// A signal's name as people write it.
fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |s| s.to_string())
}

/// What to do about what the sandbox refused.
const CURE: &str = "correct the ebuild, or have it say addwrite or addpredict where that is right";

/// The words that a program was started with, as a person reads them.
fn command_line(violation: &Violation) -> Vec<String> {
    let mut words = violation.command.iter().map(|word| word.as_encoded_bytes());
    let bash = words
        .next()
        .is_some_and(|word| word == b"bash" || word.ends_with(b"/bash"));
    match bash && words.next() == Some(b"--noprofile") {
        true => vec!["(shell code of the ebuild or an eclass)".into()],
        false => violation
            .command
            .iter()
            .map(|word| printable(word))
            .collect(),
    }
}

/// What the sandbox refused, as lines for people.
#[must_use]
pub fn violation_text(violation: &Violation) -> String {
    format!(
        " * sandbox: {} ({}) of {}\n *   by {}: {}\n",
        violation.call,
        violation.access.word(),
        printable(violation.path.as_os_str()),
        printable(violation.program.as_os_str()),
        command_line(violation).join(" "),
    )
}

/// A number of accesses in words.
fn accesses(count: u64) -> String {
    match count {
        1 => "an access".to_owned(),
        count => format!("{count} accesses"),
    }
}

/// What stays the same of a build, whichever shell its phases run in.
#[derive(Debug)]
pub struct Site {
    /// Where to tell what happens.
    pub events: Events,
    /// `category/pf`.
    pub package: String,
    /// The build's private directory.
    pub private: PathBuf,
    /// Where people look for the environment (`${T}/environment`).
    pub visible_environment: PathBuf,
    /// The file that everything the build prints is appended to.
    pub log: PathBuf,
    /// How long one phase may take.
    pub phase_limit: Option<Duration>,
    /// Whether the user has hooks, which may do anything in phases that do nothing themselves.
    pub hooked: bool,
}

/// The shell of one package, and how far it has come.
#[derive(Debug)]
pub struct Driver {
    shell: Shell,
    guard: Option<Arc<dyn Guard>>,
    site: Site,
    progress: Progress,
    /// The phases since the last one whose environment was asked for.
    passed: Vec<String>,
    /// The phase whose environment is being written by a fork of the shell.
    saving: Option<String>,
    /// The phase whose environment is being filtered and kept.
    keeping: Option<(String, JoinHandle<Result<(), PhaseError>>)>,
}

/// What a [`Driver`] is made of.
#[derive(Debug)]
pub struct DriverSetup {
    /// The started shell.
    pub shell: Shell,
    /// The sandbox around it, if there is one.
    pub guard: Option<Arc<dyn Guard>>,
    /// The build.
    pub site: Site,
    /// What is finished already.
    pub progress: Progress,
}

/// A build between two shells.
#[derive(Debug)]
pub struct Pause {
    site: Site,
    progress: Progress,
    passed: Vec<String>,
}

impl Pause {
    /// Whether the phase was finished and its environment kept.
    #[must_use]
    pub fn has(&self, phase: &str) -> bool {
        self.progress.has(phase)
    }

    /// The last phase whose environment is kept, if there is one.
    #[must_use]
    pub fn last_environment(&self) -> Option<String> {
        last_environment(&self.site.private, &self.progress)
    }

    /// Goes on in `shell`, which was started from that environment.
    #[must_use]
    pub fn go_on(self, shell: Shell) -> Driver {
        let mut driver = Driver::new(DriverSetup {
            guard: shell.guard().cloned(),
            shell,
            site: self.site,
            progress: self.progress,
        });
        driver.passed = self.passed;
        driver
    }
}

/// The last phase whose environment is kept: those that had nothing to do have none of their own.
#[must_use]
pub fn last_environment(private: &Path, progress: &Progress) -> Option<String> {
    let mut kept = progress.finished.iter();
    kept.rfind(|phase| kept_environment(private, phase).exists())
        .cloned()
}

/// The file that keeps the environment after `phase`.
#[must_use]
pub fn kept_environment(private: &Path, phase: &str) -> PathBuf {
    private.join(format!("environment.{phase}"))
}

impl Driver {
    /// A driver of a shell that was just started.
    #[must_use]
    pub fn new(setup: DriverSetup) -> Self {
        let DriverSetup {
            shell,
            guard,
            site,
            progress,
        } = setup;
        Self {
            shell,
            guard,
            site,
            progress,
            passed: Vec::new(),
            saving: None,
            keeping: None,
        }
    }

    /// Whether the phase was finished, by this build or the one that it takes up.
    #[must_use]
    pub fn has_finished(&self, phase: &str) -> bool {
        self.progress.has(phase)
    }

    /// Waits until the shell has sourced the ebuild or loaded its environment.
    ///
    /// # Errors
    /// A [`PhaseError`] if it did not.
    pub async fn ready(&mut self) -> Result<(), PhaseError> {
        self.until(&Message::ReadyForPhases, None).await
    }

    /// Runs shell text that ends with the message that `phase` is done, and keeps the environment
    /// behind it if `checkpoint`; without, it counts as finished when a later one does. No process
    /// that it started is left.
    ///
    /// # Errors
    /// A [`PhaseError`]; the driver must then be ended.
    pub async fn run(
        &mut self,
        phase: &str,
        text: &[u8],
        checkpoint: bool,
    ) -> Result<(), PhaseError> {
        self.site.events.tell(Event::Phase {
            package: self.site.package.clone(),
            phase: phase.to_owned(),
        });
        self.shell.command(text).await?;
        let done = Message::PhaseDone(phase.to_owned());
        let result = self.until(&done, self.site.phase_limit).await;
        // The environment of the phase before belongs to a state that was whole, even if this
        // phase failed.
        let settled = self.settle().await;
        if let (Err(_), Err(lost)) = (&result, &settled) {
            self.site.events.tell(Event::Notice {
                text: format!(
                    "{}: --resume will run the phase before again: {}",
                    self.site.package,
                    causes(lost).join(": ")
                ),
            });
        }
        if result.is_err() && settled.is_ok() && !self.site.hooked {
            self.count_passed()?;
        }
        self.shell.kill_leftovers();
        let refused = self.tell_violations(phase);
        result?;
        settled?;
        if refused > 0 {
            return Err(PhaseError::Refused(refused));
        }
        if checkpoint {
            let raw = self.site.private.join("environment.raw");
            // A child of a child, so that neither `wait` and `jobs` in a phase nor the shell's own
            // reports have anything to do with it.
            let mut command = b"( __ebd_save_environment ".to_vec();
            command.extend(quote(raw.as_os_str().as_encoded_bytes()));
            command.extend_from_slice(b" & )");
            self.shell.command(&command).await?;
            self.saving = Some(phase.to_owned());
        } else {
            self.passed.push(phase.to_owned());
        }
        Ok(())
    }

    /// Counts the phases that did nothing as finished, although no other comes behind them.
    fn count_passed(&mut self) -> Result<(), PhaseError> {
        if self.passed.is_empty() {
            return Ok(());
        }
        for passed in self.passed.drain(..) {
            if !self.progress.has(&passed) {
                self.progress.finished.push(passed);
            }
        }
        Ok(self.progress.store(&self.site.private)?)
    }

    /// Says what the shell, and all that it started, may do from now on; `token` is the word by which
    /// the shell adds to that, or asks what was traced.
    pub fn confine(&self, policy: Policy, token: Option<&str>) {
        if let Some(guard) = &self.guard {
            guard.set_policy(policy, token.map(str::to_owned));
        }
    }

    /// Tells what the sandbox refused since the last call, here and in the log, and gives how much
    /// it was.
    fn tell_violations(&self, phase: &str) -> u64 {
        let Some(guard) = &self.guard else {
            return 0;
        };
        let violations = guard.take_violations();
        let mut text = String::new();
        for violation in violations.kept() {
            let command = command_line(violation);
            text.push_str(&violation_text(violation));
            self.site.events.tell(Event::Violation {
                package: self.site.package.clone(),
                phase: phase.to_owned(),
                call: violation.call,
                access: violation.access.word(),
                path: violation.path.clone(),
                program: violation.program.clone(),
                command,
            });
        }
        if !violations.is_empty() {
            // For those who read the log later; that it cannot be written changes nothing.
            let log = std::fs::OpenOptions::new()
                .append(true)
                .custom_flags(nix::libc::O_NOFOLLOW)
                .open(&self.site.log);
            let _ = log.and_then(|mut log| log.write_all(text.as_bytes()));
        }
        violations.count()
    }

    /// Ends the shell in good order so that another can go on. Gives its processor.
    ///
    /// # Errors
    /// A [`PhaseError`] if the last environment could not be kept.
    pub async fn pause(mut self) -> Result<(Option<processor::Processor>, Pause), PhaseError> {
        self.settle().await?;
        let processor = self.shell.finish().await?;
        let pause = Pause {
            site: self.site,
            progress: self.progress,
            passed: self.passed,
        };
        Ok((processor, pause))
    }

    /// Waits until the environment of the last phase is kept.
    ///
    /// # Errors
    /// A [`PhaseError`] if it cannot be.
    pub async fn settle(&mut self) -> Result<(), PhaseError> {
        if self.saving.is_some() {
            let ended = Instant::now();
            let deadline = ended + HOUSEKEEPING;
            let mut gone = false;
            while self.saving.is_some() {
                match timeout_at(deadline, self.shell.next()).await {
                    Err(_) => return Err(PhaseError::Slow(HOUSEKEEPING)),
                    Ok(event) => match event? {
                        processor::Event::Message(Message::Saved(_)) => self.saved().await?,
                        processor::Event::Message(Message::Elog { level, phase, text }) => {
                            self.elog(level, phase, text);
                        }
                        // Where one dies others do: why the shell ended is known already.
                        processor::Event::Message(Message::Died(_) | Message::HelperFailed(_))
                            if self.shell.has_ended() => {}
                        processor::Event::Message(Message::Died(death)) => {
                            return Err(PhaseError::Died(Box::new(death)));
                        }
                        processor::Event::Message(other) => {
                            return Err(PhaseError::Unexpected(Box::new(other)));
                        }
                        processor::Event::Ended(_) => {
                            // The fork that writes outlives the shell for a moment. Once it is
                            // gone too, what it has said is in the pipe, to be read once more.
                            if gone || Instant::now() > ended + AFTERLIFE {
                                return Err(PhaseError::Checkpoint(
                                    self.saving.take().unwrap_or_default(),
                                ));
                            }
                            gone = !self.shell.has_leftovers();
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    },
                }
            }
        }
        self.kept().await
    }

    /// Ends everything, so that another shell can go on behind `phase`, which has failed in this one.
    pub async fn give_up(mut self, phase: &str) -> Pause {
        self.shell.end().await;
        self.passed.push(phase.to_owned());
        Pause {
            site: self.site,
            progress: self.progress,
            passed: self.passed,
        }
    }

    /// Ends everything.
    pub async fn end(self) {
        self.shell.end().await;
    }

    /// Ends the shell in good order and gives back its processor.
    ///
    /// # Errors
    /// A [`PhaseError`] if the last environment could not be kept.
    pub async fn finish(mut self) -> Result<Option<processor::Processor>, PhaseError> {
        self.settle().await?;
        Ok(self.shell.finish().await?)
    }

    /// Waits for `wanted`, minding what else is said meanwhile.
    async fn until(&mut self, wanted: &Message, limit: Option<Duration>) -> Result<(), PhaseError> {
        let deadline = Instant::now() + limit.unwrap_or(FOREVER);
        let mut death = None;
        let mut helper_failure = None;
        loop {
            let event = match timeout_at(deadline, self.shell.next()).await {
                Err(_) => return Err(PhaseError::Slow(limit.unwrap_or(FOREVER))),
                Ok(event) => event?,
            };
            match event {
                processor::Event::Message(message) if message == *wanted => return Ok(()),
                processor::Event::Message(Message::Hello(_)) => {}
                processor::Event::Message(Message::Died(told)) => {
                    // The first is the cause; what dies because of it tells less.
                    death.get_or_insert(told);
                }
                processor::Event::Message(Message::HelperFailed(text)) => {
                    helper_failure.get_or_insert(text);
                }
                processor::Event::Message(Message::Saved(_)) => self.saved().await?,
                processor::Event::Message(Message::Elog { level, phase, text }) => {
                    self.elog(level, phase, text);
                }
                processor::Event::Message(other) => {
                    return Err(PhaseError::Unexpected(Box::new(other)));
                }
                processor::Event::Ended(status) => {
                    let death = death.or_else(|| {
                        helper_failure.map(|message| Death {
                            message,
                            ..Death::default()
                        })
                    });
                    return Err(match (death, status) {
                        (Some(death), _) => PhaseError::Died(Box::new(death)),
                        (None, 129..=192) => PhaseError::Killed(status - 128),
                        (None, status) => PhaseError::Exited(status),
                    });
                }
            }
        }
    }

    /// Tells what an ebuild has to say.
    fn elog(&self, level: String, phase: String, text: String) {
        self.site.events.tell(Event::Elog {
            package: self.site.package.clone(),
            phase,
            level,
            text,
        });
    }

    /// The fork has written the environment: filters and keeps it in a thread.
    async fn saved(&mut self) -> Result<(), PhaseError> {
        self.kept().await?;
        let Some(phase) = self.saving.take() else {
            return Ok(());
        };
        for finished in self.passed.drain(..).chain([phase.clone()]) {
            if !self.progress.has(&finished) {
                self.progress.finished.push(finished);
            }
        }
        let progress = self.progress.clone();
        let private = self.site.private.clone();
        let visible = self.site.visible_environment.clone();
        let name = phase.clone();
        let raw = self.site.private.join("environment.raw");
        let kept = kept_environment(&self.site.private, &phase);
        // Renamed at once, so that the next phase's environment has the name for itself.
        let taken = self.site.private.join(format!("environment.{phase}.raw"));
        std::fs::rename(&raw, &taken).map_err(|source| PhaseError::File { path: raw, source })?;
        self.keeping = Some((
            phase,
            tokio::task::spawn_blocking(move || {
                keep(&taken, &kept, &visible, &name)?;
                progress.store(&private)?;
                Ok(())
            }),
        ));
        Ok(())
    }

    /// Waits for the thread that keeps an environment.
    async fn kept(&mut self) -> Result<(), PhaseError> {
        if let Some((phase, task)) = self.keeping.take() {
            task.await.map_err(|_| PhaseError::Checkpoint(phase))??;
        }
        Ok(())
    }
}

/// Filters the environment in `raw` into `kept`, and shows it to people as `visible`.
fn keep(raw: &Path, kept: &Path, visible: &Path, phase: &str) -> Result<(), PhaseError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PhaseError::File { path, source }
    };
    let environment = read_environment(raw, phase)?;
    write_environment(kept, &environment)?;
    std::fs::remove_file(raw).map_err(failed(raw))?;
    let _ = std::fs::remove_file(visible);
    // Only for people to look at: a build directory without hard links is no failure.
    let _ = std::fs::hard_link(kept, visible);
    Ok(())
}

/// What a shell of a build wrote into `raw` in or after `phase`, as it is kept.
///
/// # Errors
/// [`PhaseError::File`] and [`PhaseError::Environment`].
pub fn read_environment(raw: &Path, phase: &str) -> Result<Environment, PhaseError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PhaseError::File { path, source }
    };
    // What the build put in its place is not followed.
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(raw)
        .map_err(failed(raw))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(failed(raw))?;
    let mut environment = Environment::parse(&text).map_err(|source| PhaseError::Environment {
        path: raw.to_owned(),
        phase: phase.to_owned(),
        source,
    })?;
    environment.filter(&Filter::for_save());
    Ok(environment)
}

/// Keeps an environment as `path`, at once.
///
/// # Errors
/// [`PhaseError::File`].
pub fn write_environment(path: &Path, environment: &Environment) -> Result<(), PhaseError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PhaseError::File { path, source }
    };
    let beside = path.with_extension("new");
    write_anew(&beside, &environment.to_bash(), 0o644).map_err(failed(&beside))?;
    std::fs::rename(&beside, path).map_err(failed(path))
}
