//! What the supervisor answers to a shell that somebody is in.

use super::listing::{HELP, difference};
use super::room::Room;
use crate::build::driver::{kept_environment, last_environment, read_environment};
use crate::pms::phase::Phase;
use crate::processor::environment::{Difference, Environment};
use crate::processor::library::quote;
use crate::util::causes::causes;

/// Why something that was asked for is not done; said to who asked.
pub(super) struct Refusal(pub(super) String);

impl<E: std::error::Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(causes(&error).join(": "))
    }
}

/// Shell text that prints `text`.
pub(super) fn say(text: &str) -> Vec<u8> {
    let mut command = b"builtin printf %s ".to_vec();
    command.extend(quote(text.as_bytes()));
    command.push(b'\n');
    command
}

impl Room<'_> {
    /// The shell text that does what was asked for, or says why it is not done.
    pub(super) async fn answer(&mut self, what: &str, argument: &str) -> Vec<u8> {
        // Whoever asks for more has not left.
        self.resume &= what == "resume";
        let result = match what {
            "ended" => Ok(self.end_phase(argument)),
            "prompt" => Ok(self.prompt()),
            "help" => Ok(say(HELP)),
            "phases" => Ok(say(&self.phases())),
            "image" => Ok(say(&self.image())),
            "phase" => self.begin_phase(argument),
            "diff-env" => self.compare(argument),
            "reload" => self.reload(argument).await,
            "resume" => self.leave(argument).await,
            _ => Err(Refusal("is nothing that can be asked for".into())),
        };
        result.unwrap_or_else(|Refusal(why)| {
            let mut text = say(&format!("{what}: {why}\n"));
            text.pop();
            text.extend_from_slice(b" >&2\nbuiltin false\n");
            text
        })
    }

    /// What is done before each prompt.
    fn prompt(&mut self) -> Vec<u8> {
        if let Some(phase) = self.running.take() {
            self.failed = Some(phase);
        }
        let text = self.violations();
        match text.is_empty() {
            true => b":\n".to_vec(),
            false => say(&text),
        }
    }

    /// Has a whole phase run in the shell.
    fn begin_phase(&mut self, name: &str) -> Result<Vec<u8>, Refusal> {
        let phase = Phase::from_name(name)
            .or_else(|| Phase::from_function(name))
            .ok_or_else(|| Refusal(format!("{name}: there is no such phase; phases lists them")))?;
        let build = self.build;
        build.check_phase(phase)?;
        let of = |phase| self.prepared.isolation.settings(phase);
        if of(phase) != of(self.phase) {
            return Err(Refusal(format!(
                "{} runs as another user, or with another network, than this shell, which is in {}; \
                 leave it, and come in by ebd shell ={} --phase {}",
                phase.function(),
                self.phase.function(),
                build.package,
                phase.name(),
            )));
        }
        let (mut text, afterwards) = self.make_way()?;
        self.rewind(phase)?;
        build.before(phase, self.prepared)?;
        build.write_phase(self.prepared, self.sources, self.token, phase)?;
        build.hand_over(phase, self.prepared)?;
        self.phase = phase;
        self.running = Some(phase);
        self.confine(self.policy());
        if phase == Phase::Pretend {
            // As in a build, what pkg_pretend sets is for nobody.
            text.extend_from_slice(b"( ");
            text.extend(build.phase_call(phase));
            text.extend_from_slice(b") || builtin return\n");
        } else {
            text.extend(build.phase_call(phase));
        }
        text.extend(afterwards);
        let function = phase.function();
        text.extend_from_slice(format!("__EBD_PHASE_FUNC={function}\n").as_bytes());
        text.extend_from_slice(format!("__ebd_ask ended {}\n", phase.name()).as_bytes());
        Ok(text)
    }

    /// Nothing that comes behind the phase, which is begun anew, counts as finished any more.
    fn rewind(&mut self, phase: Phase) -> Result<(), Refusal> {
        if phase == Phase::Pretend {
            return Ok(());
        }
        self.done.retain(|done| *done < phase);
        let before = self.progress.clone();
        let comes_before = |name: &String| Phase::from_name(name).is_some_and(|it| it < phase);
        self.progress.finished.retain(comes_before);
        self.progress.image_finished = false;
        if self.progress != before {
            self.progress.store(&self.build.directories.private())?;
        }
        Ok(())
    }

    /// A phase function has come to its end: it has failed if the sandbox refused anything.
    fn end_phase(&mut self, name: &str) -> Vec<u8> {
        let Some(phase) = self.running.take_if(|phase| phase.name() == name) else {
            return b":\n".to_vec();
        };
        let refused = self.violations();
        if !refused.is_empty() {
            self.failed = Some(phase);
            let mut text = say(&format!(
                "{refused} * {}: failed, as the sandbox refused this\n",
                phase.function()
            ));
            text.pop();
            text.extend_from_slice(b" >&2\nbuiltin false\n");
            return text;
        }
        self.failed = self.failed.filter(|failed| *failed != phase);
        self.done.push(phase);
        b":\n".to_vec()
    }

    /// The last environment that the build has kept, empty if there is none.
    pub(super) fn last_kept(&self) -> Result<Environment, Refusal> {
        let private = self.build.directories.private();
        Ok(match last_environment(&private, &self.progress) {
            Some(phase) => read_environment(&kept_environment(&private, &phase), &phase)?,
            None => Environment::default(),
        })
    }

    /// The environment that the shell has just written.
    pub(super) fn present(&self) -> Result<Environment, Refusal> {
        let path = self.build.directories.private().join("environment.now");
        let environment = read_environment(&path, self.phase.name());
        let _ = std::fs::remove_file(&path);
        Ok(environment?)
    }

    /// Compares the shell's environment with the one that the build has kept, or, where it has kept
    /// none yet, with what sourcing the ebuild gives.
    fn compare(&mut self, argument: &str) -> Result<Vec<u8>, Refusal> {
        let private = self.build.directories.private();
        let base = match last_environment(&private, &self.progress) {
            Some(_) => self.last_kept()?,
            None if argument == "sourced" => {
                let path = private.join("environment.sourced");
                read_environment(&path, self.phase.name())?
            }
            None => return self.have_sourced("environment.sourced", "diff-env", "sourced"),
        };
        let present = self.present()?;
        let changes = Difference::between(&base, &present);
        Ok(say(&match changes.is_empty() {
            true => "diff-env: nothing differs\n".into(),
            false => difference(&base, &present, &changes),
        }))
    }
}
