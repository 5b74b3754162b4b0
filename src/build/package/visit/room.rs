//! Opening the shell, and listening to it until it is left.

use std::collections::VecDeque;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sandbox::{List, Policy};

use super::super::{Build, BuildError, Prepared};
use super::{End, Manner, Place, Visit, VisitError};
use crate::build::candidate::Candidate;
use crate::build::console::{Greeting, Lease};
use crate::build::driver::{
    kept_environment, last_environment, read_environment, violation_text, write_environment,
};
use crate::build::failure::Point;
use crate::build::runtime;
use crate::build::state::Progress;
use crate::build::variables::Sources;
use crate::pms::atom::PackageFacts;
use crate::pms::phase::Phase;
use crate::processor::environment::Environment;
use crate::processor::frame::Message;
use crate::processor::library::{self, assignments, quote};
use crate::processor::{Event as Heard, Input, Interactive, InteractiveSetup};
use crate::util::causes::causes;
use crate::util::token;

/// The most bytes of a package's history that are kept.
const HISTORY_LIMIT: u64 = 1 << 20;

/// How many answers are kept for those who asked.
const ANSWERS: usize = 512;

/// A shell that somebody is in, and what was done there.
pub(super) struct Room<'a> {
    pub(super) build: &'a Build<'a>,
    pub(super) prepared: &'a Prepared,
    pub(super) sources: &'a Sources<'a>,
    pub(super) token: &'a str,
    pub(super) visit: &'a Visit,
    /// What the build had finished before.
    pub(super) progress: Progress,
    /// The phase that the shell is in.
    pub(super) phase: Phase,
    /// The phase that was begun here and has not come to its end.
    pub(super) running: Option<Phase>,
    /// The phases that came to their end here.
    pub(super) done: Vec<Phase>,
    /// The phase that failed, here or before.
    pub(super) failed: Option<Phase>,
    /// The environment of the line that failed, as long as the shell is there: it has variables of the
    /// functions that were at work.
    pub(super) of_failure: Option<Environment>,
    /// The ebuild as it was read anew.
    pub(super) reloaded: Option<Box<Candidate>>,
    /// The same while the shell takes it over, with what is to be said then.
    pub(super) reloading: Option<(Box<Candidate>, String)>,
    /// How it is to go on, once the shell has ended.
    pub(super) resume: bool,
    /// The terminal of the shell.
    terminal: Option<PathBuf>,
    shell: Interactive,
    /// How much the sandbox refused.
    refused: u64,
    /// The files with the last answers.
    answers: VecDeque<PathBuf>,
}

impl Build<'_> {
    /// Opens the shell at `place` and stays with it to its end.
    pub(super) async fn open(
        &self,
        visit: &Visit,
        prepared: &Prepared,
        place: Place,
        greeting: Greeting,
    ) -> Result<End, BuildError> {
        let places = self.places(prepared);
        let sources = self.sources(prepared, &places)?;
        let token = token::fresh();
        let private = self.directories.private();
        let (restore, of_failure) = self.environment_of(&place)?;
        self.furnish(prepared, &sources, restore.is_some())?;
        self.write_phase(prepared, &sources, &token, place.phase)?;
        let console = match &visit.manner {
            Manner::Terminal(console) | Manner::Commands(_, Some(console)) => Some(console),
            Manner::Commands(_, None) | Manner::Script => None,
        };
        if console.is_none() {
            greeting.notes.iter().for_each(|note| self.notice(note));
        }
        let user = prepared.isolation.user(place.phase).cloned();
        let lease = match console {
            None => None,
            Some(console) => Some(
                console
                    .lease(greeting, user)
                    .await
                    .map_err(VisitError::NoTerminal)?,
            ),
        };
        let start =
            self.write_start(prepared, &place, restore.as_deref(), &token, lease.as_ref())?;
        self.bring(visit)?;
        let _ = fs::remove_file(private.join("helper-failed"));
        self.hand_over(place.phase, prepared)?;
        let terminal = lease.as_ref().map(|lease| lease.path.clone());
        let input = match &visit.manner {
            Manner::Terminal(_) => match &terminal {
                Some(path) => Input::Terminal(path.clone()),
                None => Input::Script,
            },
            Manner::Commands(text, _) => Input::Commands(text.clone(), terminal.clone()),
            Manner::Script => Input::Script,
        };
        let policy = policy(prepared, place.phase, terminal.as_deref());
        let shell = self
            .session
            .interactive(
                InteractiveSetup {
                    program: self.session.program.clone(),
                    bash: self.bash(),
                    sandbox: settings(prepared, place.phase, terminal.as_deref()),
                    directory: private.clone(),
                    start,
                    input,
                    term: self.candidate.config.variables.get("TERM").cloned(),
                },
                &policy,
                &token,
            )
            .await?;
        if let Some(warden) = shell.warden() {
            let remembered = self.directories.remember_warden(warden);
            remembered.map_err(|source| VisitError::File {
                path: private.clone(),
                source,
            })?;
        }
        let mut room = Room {
            build: self,
            prepared,
            sources: &sources,
            token: &token,
            visit,
            failed: (place.standing == crate::build::console::Standing::Failed)
                .then_some(place.phase),
            progress: place.progress,
            phase: place.phase,
            running: None,
            done: Vec::new(),
            of_failure,
            reloaded: None,
            reloading: None,
            resume: false,
            terminal,
            shell,
            refused: 0,
            answers: VecDeque::new(),
        };
        let policy = room.policy();
        room.confine(policy);
        let result = room.listen().await;
        let Room {
            shell,
            resume,
            reloaded,
            answers,
            ..
        } = room;
        for path in answers {
            let _ = fs::remove_file(path);
        }
        shell.end().await;
        drop(lease);
        self.directories.forget_warden();
        self.keep_history(visit);
        let status = result?;
        Ok(match resume {
            true => End::Resume(reloaded),
            false => End::Ended(status),
        })
    }

    /// The environment to load: that of the line that failed, or the last that is kept.
    fn environment_of(
        &self,
        place: &Place,
    ) -> Result<(Option<PathBuf>, Option<Environment>), BuildError> {
        let private = self.directories.private();
        let last = last_environment(&private, &place.progress);
        let last = last.map(|phase| kept_environment(&private, &phase));
        let Some(Point {
            environment: Some(raw),
            ..
        }) = &place.point
        else {
            return Ok((last, None));
        };
        match read_environment(raw, place.phase.name()) {
            Ok(environment) => {
                let path = private.join("environment.of-failure");
                write_environment(&path, &environment).map_err(BuildError::Between)?;
                Ok((Some(path), Some(environment)))
            }
            Err(error) => {
                self.notice(&format!(
                    "the environment of the line that failed cannot be had, that before the phase is taken: {}",
                    causes(&error).join(": ")
                ));
                Ok((last, None))
            }
        }
    }

    /// Writes what the shell evaluates first. Gives the file.
    fn write_start(
        &self,
        prepared: &Prepared,
        place: &Place,
        restore: Option<&Path>,
        token: &str,
        lease: Option<&Lease>,
    ) -> Result<PathBuf, BuildError> {
        let private = self.directories.private();
        let bytes = |path: &Path| path.as_os_str().as_encoded_bytes().to_vec();
        let phases: Vec<&str> = super::super::PHASES.iter().map(|it| it.name()).collect();
        let color = lease.is_some_and(|lease| lease.color);
        let mut text = library::interactive_text().into_bytes();
        text.extend(assignments(&[
            ("__EBD_BUILD", &bytes(&private)),
            ("__EBD_TOKEN", token.as_bytes()),
            ("__EBD_LOG", b"/dev/null"),
            ("__EBD_RESTORE", &restore.map(bytes).unwrap_or_default()),
            ("__EBD_ENTERED_PHASE", place.phase.function().as_bytes()),
            ("__EBD_PHASES", phases.join(" ").as_bytes()),
            (
                "__EBD_AT_FAILURE",
                if place.point.is_some() { b"1" } else { b"" },
            ),
            ("__EBD_COLOR", if color { b"1" } else { b"" }),
        ]));
        text.extend(library::eclass_dirs(&prepared.eclass_dirs));
        text.extend_from_slice(self.candidate.eapi.to_bash().as_bytes());
        text.push(b'\n');
        text.extend_from_slice(library::INTERACTIVE.as_bytes());
        let mut enter = Vec::new();
        if let Some(point) = &place.point {
            enter.extend_from_slice(b"builtin cd -- ");
            enter.extend(quote(&bytes(&point.folder)));
            enter.extend_from_slice(
                b" || builtin printf ' * The folder of the failure is gone.\\n' >&2\n",
            );
            enter.extend_from_slice(format!("builtin umask {}\n", point.umask).as_bytes());
            for (letter, value) in &point.limits {
                let line = format!("builtin ulimit -S -{letter} {value} 2>/dev/null\n");
                enter.extend_from_slice(line.as_bytes());
            }
        }
        enter.extend_from_slice(b":\n");
        runtime::write(&private.join("enter.bash"), &enter)?;
        let start = private.join("start.bash");
        runtime::write(&start, &text)?;
        Ok(start)
    }

    /// Brings what the user has of his own: history and rc file.
    fn bring(&self, visit: &Visit) -> Result<(), BuildError> {
        let private = self.directories.private();
        let rc = private.join("user.rc");
        for name in ["user.rc", "environment.plain", "environment.user"] {
            let _ = fs::remove_file(private.join(name));
        }
        if let Some(path) = &visit.rcfile {
            let text = fs::read(path).map_err(|source| VisitError::File {
                path: path.clone(),
                source,
            })?;
            runtime::write(&rc, &text)?;
        }
        // What a shell that was killed could not hand over.
        let time = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
        let kept = self.history(visit);
        if kept.as_deref().and_then(time) < time(&private.join("history")) {
            self.keep_history(visit);
        }
        let history = kept.and_then(|path| fs::read(path).ok());
        runtime::write(&private.join("history"), &history.unwrap_or_default())?;
        Ok(())
    }

    /// Where the package's history is kept.
    fn history(&self, visit: &Visit) -> Option<PathBuf> {
        let folder = visit.history.as_ref()?;
        let cp = self.candidate.cpv().cp();
        Some(folder.join(cp))
    }

    /// Keeps what was typed. That it cannot be is no reason to complain to who leaves.
    fn keep_history(&self, visit: &Visit) {
        let Some(path) = self.history(visit) else {
            return;
        };
        let mut text = Vec::new();
        let read = fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(self.directories.private().join("history"))
            .and_then(|file| file.take(HISTORY_LIMIT).read_to_end(&mut text));
        if read.is_err() || text.is_empty() {
            return;
        }
        if let Some(folder) = path.parent() {
            let _ = fs::create_dir_all(folder);
        }
        let _ = crate::util::atomic::write(&path, &text, 0o600);
    }
}

/// What the shell may do in a phase: what the phase may, and use its terminal.
fn policy(prepared: &Prepared, phase: Phase, terminal: Option<&Path>) -> Policy {
    let mut policy = prepared.isolation.policy(phase);
    if let Some(path) = terminal
        && !policy.is_free()
    {
        policy.add(List::Write, path);
        policy.add(List::Write, Path::new("/dev/tty"));
    }
    policy
}

/// How the shell is confined from its start.
fn settings(
    prepared: &Prepared,
    phase: Phase,
    terminal: Option<&Path>,
) -> sandbox::launch::Settings {
    let mut settings = prepared.isolation.settings(phase);
    if let (Some(wall), Some(path)) = (&mut settings.wall, terminal) {
        // The kernel, not the monitor, knows which terminal is this process's.
        wall.write.extend([path.to_owned(), "/dev/tty".into()]);
    }
    settings
}

impl Room<'_> {
    /// What may be done here now.
    pub(super) fn policy(&self) -> Policy {
        policy(self.prepared, self.phase, self.terminal.as_deref())
    }

    /// Says what may be done from now on.
    pub(super) fn confine(&self, policy: Policy) {
        if let Some(guard) = self.shell.guard() {
            let control = (!policy.is_free()).then(|| self.token.to_owned());
            guard.set_policy(policy, control);
        }
    }

    /// Answers until the shell has ended, and gives its status.
    async fn listen(&mut self) -> Result<i32, BuildError> {
        let mut died = false;
        loop {
            match self.shell.next().await? {
                Heard::Ended(status) => {
                    let text = self.violations();
                    if !text.is_empty() {
                        self.build.notice(text.trim_end());
                    }
                    // A die in a subshell has killed the shell.
                    let status = match status {
                        137 if died => 1,
                        0 if self.refused > 0 && !self.is_at_prompt() => 1,
                        status => status,
                    };
                    return Ok(status);
                }
                Heard::Message(Message::Ask { id, what, argument }) => {
                    let text = self.answer(&what, &argument).await;
                    self.hand_out(&id, &text)?;
                }
                Heard::Message(Message::Died(_)) => {
                    died = true;
                    // What the helper of which it died has said is nothing to the next.
                    let told = self.build.directories.private().join("helper-failed");
                    let _ = fs::remove_file(told);
                    if let Some(phase) = self.running.take() {
                        self.failed = Some(phase);
                    }
                }
                // What was said is on the screen.
                Heard::Message(_) => {}
            }
        }
    }

    /// Gives the shell the answer to the question `id`.
    fn hand_out(&mut self, id: &str, text: &[u8]) -> Result<(), BuildError> {
        let private = self.build.directories.private();
        let beside = private.join("answer.new");
        runtime::write(&beside, text)?;
        if let Some(user) = self.prepared.isolation.user(self.phase) {
            let given = std::os::unix::fs::chown(&beside, Some(user.uid), Some(user.gid));
            given.map_err(|source| VisitError::File {
                path: beside.clone(),
                source,
            })?;
        }
        let path = private.join(format!("answer.{id}"));
        fs::rename(&beside, &path).map_err(|source| VisitError::File {
            path: path.clone(),
            source,
        })?;
        self.answers.push_back(path);
        // Who asked so long ago has read it, or was interrupted.
        while self.answers.len() > ANSWERS
            && let Some(old) = self.answers.pop_front()
        {
            let _ = fs::remove_file(old);
        }
        Ok(())
    }

    /// Whether somebody reads what is said at each prompt.
    pub(super) fn is_at_prompt(&self) -> bool {
        matches!(self.visit.manner, Manner::Terminal(_))
    }

    /// What the sandbox refused since the last call, as lines for people.
    pub(super) fn violations(&mut self) -> String {
        let Some(guard) = self.shell.guard() else {
            return String::new();
        };
        let violations = guard.take_violations();
        self.refused += violations.count();
        violations.kept().iter().map(violation_text).collect()
    }
}
