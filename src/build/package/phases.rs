//! The phases of one build, from the start of its shell to the end of `src_install`.

use std::path::PathBuf;

use super::preparation::Prepared;
use super::{Build, BuildError, SHOWN_LINES};
use crate::binpkg::pkgdir::Written;
use crate::build::candidate::Candidate;
use crate::build::directories::DirectoryError;
use crate::build::driver::{Driver, DriverSetup, Pause, Site, kept_environment, last_environment};
use crate::build::packaging::wanted_variables;
use crate::build::runtime::{self, RuntimeError};
use crate::build::state::Progress;
use crate::build::variables::{Sources, Variables};
use crate::pms::phase::Phase;
use crate::processor::library::{self, quote};
use crate::processor::{Shell, ShellSetup};
use crate::util::anew::write_anew;
use crate::util::tail::last_lines;
use crate::util::token;

/// The command that tells that a phase is done.
pub(super) fn phase_end(phase: Phase) -> Vec<u8> {
    format!(
        "__ebd_notify phase-done {} || builtin exit 97\n",
        phase.name()
    )
    .into_bytes()
}

/// The command that begins a phase: its variables, and the user's bashrc files.
pub(super) fn begin_text(candidate: &Candidate) -> Vec<u8> {
    let mut text =
        b"builtin source \"${__EBD_BUILD}/phase.env\"\n__ebd_sandbox_announce\n".to_vec();
    for bashrc in &candidate.config.bashrcs {
        let file = quote(bashrc.as_os_str().as_encoded_bytes());
        text.extend_from_slice(b"builtin source ");
        text.extend(&file);
        // Its last command may have failed, which is nobody's business.
        text.extend_from_slice(b" || __ebd_must_be_bash ");
        text.extend(&file);
        text.push(b'\n');
    }
    text
}

/// The variables that a shell starts with.
pub(super) fn initial(prepared: &Prepared, sources: &Sources<'_>, restored: bool) -> Variables {
    let mut initial = sources.initial(restored);
    for (name, value) in prepared.isolation.variables() {
        if name != "SANDBOX_ON" {
            initial.set(&format!("__EBD_{name}"), &value, false);
        }
        initial.set(&name, &value, true);
    }
    initial
}

/// The phases of a build, in order.
pub const PHASES: &[Phase] = &[
    Phase::Setup,
    Phase::Unpack,
    Phase::Prepare,
    Phase::Configure,
    Phase::Compile,
    Phase::Test,
    Phase::Install,
];

impl Build<'_> {
    /// The bash that runs the ebuild.
    pub(super) fn bash(&self) -> PathBuf {
        self.session.pool.bash_path(self.candidate.eapi)
    }

    /// Starts the shell in the sandbox of the phase that comes `first`, from the environment after
    /// `restore` if there is such a phase.
    pub(super) async fn start(
        &self,
        prepared: &Prepared,
        sources: &Sources<'_>,
        token: &str,
        first: Phase,
        restore: Option<&str>,
    ) -> Result<Shell, BuildError> {
        let private = self.directories.private();
        self.furnish(prepared, sources, restore.is_some())?;
        self.write_phase(prepared, sources, token, first)?;
        self.hand_over(first, prepared)?;
        let setup = ShellSetup {
            directory: private.clone(),
            log: self.directories.log(),
            eclass_dirs: prepared.eclass_dirs.clone(),
            eapi: self.candidate.eapi.to_bash(),
            restore: restore.map(|phase| kept_environment(&private, phase)),
            script: library::BUILD,
        };
        let settings = prepared.isolation.settings(first);
        let processor = self
            .session
            .processor(&settings, self.candidate.eapi)
            .await?;
        if let Some(warden) = processor.warden() {
            self.directories
                .remember_warden(warden)
                .map_err(|source| RuntimeError {
                    path: private.clone(),
                    source,
                })?;
        }
        Ok(Shell::start(processor, &setup, token).await?)
    }

    /// Puts what a shell starts with into the private directory: helpers and variables.
    pub(super) fn furnish(
        &self,
        prepared: &Prepared,
        sources: &Sources<'_>,
        restored: bool,
    ) -> Result<(), BuildError> {
        let private = self.directories.private();
        runtime::link_helpers(&private, self.candidate.eapi, &self.session.program)?;
        let initial = initial(prepared, sources, restored);
        Ok(runtime::write_initial(&private, &initial)?)
    }

    pub(super) fn write_phase(
        &self,
        prepared: &Prepared,
        sources: &Sources<'_>,
        token: &str,
        phase: Phase,
    ) -> Result<(), BuildError> {
        let mut variables = sources.for_phase(phase);
        if prepared.isolation.has_sandbox() {
            let watched = prepared.isolation.is_watched(phase);
            variables.set("SANDBOX_ON", if watched { "1" } else { "0" }, true);
            let control = match watched {
                true => format!("{}{token}/", sandbox::CONTROL),
                false => String::new(),
            };
            variables.set("__EBD_CONTROL", control, false);
        }
        let confcache = self.confcache(prepared, token, phase)?;
        variables.set("__EBD_CONFCACHE", confcache, false);
        Ok(runtime::write_phase(
            &self.directories.private(),
            token,
            &variables,
            &sources.absent_in(phase),
            &sources.for_helpers(phase),
        )?)
    }

    /// Runs the phases that are not finished, then makes the package if the build is not to stop
    /// before.
    pub(super) async fn phases_and_package(
        &self,
        prepared: &Prepared,
        progress: Progress,
    ) -> Result<Option<Written>, BuildError> {
        let places = self.places(prepared);
        let sources = self.sources(prepared, &places)?;
        let token = token::fresh();
        let restore = last_environment(&self.directories.private(), &progress);
        let input = progress.input.clone();
        let wanted = self.wanted(&progress);
        let first = self.deciding(prepared, &wanted);
        let shell = self
            .start(prepared, &sources, &token, first, restore.as_deref())
            .await?;
        let mut driver = Some(self.driver(shell, progress));
        let result = self
            .drive(&mut driver, prepared, &sources, &token, &wanted)
            .await;
        let Some(driver) = driver else {
            return Err(result.err().unwrap_or(BuildError::Interrupted("phases")));
        };
        match result {
            Ok(()) => self.conclude(driver, prepared, &token, &input).await,
            Err(error) => {
                driver.end().await;
                Err(error)
            }
        }
    }

    /// The phases that are to be run, in order.
    pub(super) fn wanted(&self, progress: &Progress) -> Vec<Phase> {
        let eapi = self.candidate.eapi;
        let until = self.settings.until;
        let pretend = Some(Phase::Pretend).filter(|phase| {
            until.includes(*phase) && eapi.has_phase(*phase) && !progress.has(Phase::Setup.name())
        });
        let others = PHASES
            .iter()
            .copied()
            .filter(|phase| until.includes(*phase) && eapi.has_phase(*phase))
            .filter(|phase| !progress.has(phase.name()))
            .filter(|phase| *phase != Phase::Test || self.tests());
        pretend.into_iter().chain(others).collect()
    }

    /// The phase whose sandbox the first of these phases run in: those that have nothing to do run
    /// in any.
    fn deciding(&self, prepared: &Prepared, wanted: &[Phase]) -> Phase {
        let decides = |phase: &&Phase| self.leaves_something(**phase, prepared);
        let found = wanted.iter().find(decides).or_else(|| wanted.last());
        found.copied().unwrap_or(Phase::Install)
    }

    /// Runs the phases; the driver is gone only if there was an error between two shells.
    async fn drive(
        &self,
        place: &mut Option<Driver>,
        prepared: &Prepared,
        sources: &Sources<'_>,
        token: &str,
        wanted: &[Phase],
    ) -> Result<(), BuildError> {
        let mut inside = self.deciding(prepared, wanted);
        if let Some(driver) = place.as_mut() {
            self.source(driver, prepared, token).await?;
        }
        let last = wanted.last().copied();
        for (at, &phase) in wanted.iter().enumerate() {
            let next = self.deciding(prepared, wanted.get(at..).unwrap_or_default());
            let settings = |phase| prepared.isolation.settings(phase);
            if self.leaves_something(phase, prepared) && settings(next) != settings(inside) {
                let driver = place.take().ok_or(BuildError::Interrupted("phases"))?;
                let moved = self.move_on(driver, prepared, sources, token, next).await?;
                self.source(place.insert(moved), prepared, token).await?;
                inside = next;
            }
            let driver = place.as_mut().ok_or(BuildError::Interrupted("phases"))?;
            self.before(phase, prepared)?;
            self.write_phase(prepared, sources, token, phase)?;
            self.hand_over(phase, prepared)?;
            let policy = prepared.isolation.policy(phase);
            let heeds = !policy.is_free() || prepared.isolation.traces(phase);
            driver.confine(policy, heeds.then_some(token));
            let text = self.phase_text(phase);
            // The last one's environment is the package's, or for whoever looks at the build.
            let checkpoint = Some(phase) == last || self.leaves_something(phase, prepared);
            let checkpoint = checkpoint && phase != Phase::Pretend;
            let ran = self.run_phase(driver, phase, &text, checkpoint).await;
            self.learn_configures(prepared, phase);
            if let Err(error) = ran {
                if !self.passes_over(&error) {
                    return Err(error);
                }
                let (before, behind) = wanted.split_at(at);
                let driver = place.take().ok_or(BuildError::Interrupted("phases"))?;
                let pause = self.pass_over(driver, error, before, prepared).await?;
                inside = self.deciding(prepared, behind.get(1..).unwrap_or_default());
                let shell = self.go_on(pause, prepared, sources, token, inside).await?;
                self.source(place.insert(shell), prepared, token).await?;
            }
        }
        match place {
            Some(driver) => driver.settle().await.map_err(BuildError::Between),
            None => Ok(()),
        }
    }

    /// Waits until the shell has sourced the ebuild or loaded its environment, in which it may do
    /// what a phase of the build may.
    async fn source(
        &self,
        driver: &mut Driver,
        prepared: &Prepared,
        token: &str,
    ) -> Result<(), BuildError> {
        let policy = prepared.isolation.policy(Phase::Prepare);
        let heeds = !policy.is_free();
        driver.confine(policy, heeds.then_some(token));
        driver.ready().await.map_err(BuildError::Sourcing)
    }

    /// Goes on in a shell in the sandbox of `phase`, with the environment of the last.
    async fn move_on(
        &self,
        mut driver: Driver,
        prepared: &Prepared,
        sources: &Sources<'_>,
        token: &str,
        phase: Phase,
    ) -> Result<Driver, BuildError> {
        if let Err(error) = driver.settle().await {
            driver.end().await;
            return Err(BuildError::Between(error));
        }
        let (processor, pause) = driver.pause().await.map_err(BuildError::Between)?;
        if let Some(processor) = processor {
            self.session.pool.put_back(processor);
        }
        self.go_on(pause, prepared, sources, token, phase).await
    }

    /// The same where there is no shell any more.
    async fn go_on(
        &self,
        pause: Pause,
        prepared: &Prepared,
        sources: &Sources<'_>,
        token: &str,
        phase: Phase,
    ) -> Result<Driver, BuildError> {
        let restore = pause.last_environment();
        let shell = self
            .start(prepared, sources, token, phase, restore.as_deref())
            .await?;
        Ok(pause.go_on(shell))
    }

    /// What is done for a phase before it begins.
    pub(super) fn before(&self, phase: Phase, prepared: &Prepared) -> Result<(), BuildError> {
        match phase {
            // One that does nothing leaves what is there to those who put it there.
            Phase::Unpack if self.leaves_something(phase, prepared) => {
                self.directories.empty_work()?;
                self.forget_patches()?;
            }
            Phase::Prepare if self.leaves_something(phase, prepared) => {
                let path = self.prepare_mark();
                write_anew(&path, b"", 0o644).map_err(|source| DirectoryError {
                    path,
                    what: "cannot be written",
                    source,
                })?;
            }
            Phase::Install => self.directories.empty_image()?,
            _ => {}
        }
        Ok(())
    }

    /// Forgets that the sources were patched, or begun to be, as these are not the same any more.
    pub(super) fn forget_patches(&self) -> Result<(), BuildError> {
        let mark = self
            .directories
            .temp()
            .join(".portage_user_patches_applied");
        let _ = std::fs::remove_file(mark);
        let _ = std::fs::remove_file(self.prepare_mark());
        Ok(self.directories.forget_patches()?)
    }

    /// Whether the ebuild, or a default, may have done anything in the phase, so that taking up the
    /// build behind it is worth an environment. If not it is run all the same, for what users hook
    /// onto it, and run again if the build is taken up before the next environment.
    pub(super) fn leaves_something(&self, phase: Phase, prepared: &Prepared) -> bool {
        let defined = self.candidate.value("DEFINED_PHASES");
        let defines = |phase: Phase| defined.split_whitespace().any(|name| name == phase.name());
        // Defaults of src_ phases find nothing to do where nothing was unpacked or made.
        let has_sources = !prepared.distfiles.wanted.is_empty()
            || PHASES
                .iter()
                .filter(|earlier| **earlier != Phase::Setup)
                .take_while(|earlier| **earlier != phase)
                .any(|earlier| defines(*earlier));
        defines(phase) || (phase != Phase::Setup && has_sources)
    }

    /// Whether `src_test` is run (PMS 9.1.8, 7.3.3).
    pub(super) fn tests(&self) -> bool {
        let config = &self.candidate.config;
        config.features.contains("test") && !config.tests_restricted
    }

    /// Gives the build's directories to whom the phase runs as.
    pub(super) fn hand_over(&self, phase: Phase, prepared: &Prepared) -> Result<(), BuildError> {
        match prepared.isolation.user(phase) {
            Some(user) => Ok(self.directories.give_to(user)?),
            None => Ok(()),
        }
    }

    pub(super) async fn run_phase(
        &self,
        driver: &mut Driver,
        phase: Phase,
        text: &[u8],
        checkpoint: bool,
    ) -> Result<(), BuildError> {
        driver
            .run(phase.name(), text, checkpoint)
            .await
            .map_err(|source| BuildError::Phase {
                phase,
                function: phase.function(),
                source,
            })
    }

    /// The command that runs a phase: its variables, the user's bashrc files, the function.
    pub(super) fn phase_text(&self, phase: Phase) -> Vec<u8> {
        let mut text = self.phase_call(phase);
        if phase == Phase::Pretend {
            // In a fork of the shell: what pkg_pretend sets is for nobody (PMS 9.1.2).
            text = [&b"( "[..], &text[..], &b" ) || builtin exit\n"[..]].concat();
        }
        text.extend(phase_end(phase));
        text
    }

    /// The command without the message that the phase is done.
    pub(super) fn phase_call(&self, phase: Phase) -> Vec<u8> {
        let mut text = begin_text(self.candidate);
        let (name, function) = (phase.name(), phase.function());
        text.extend_from_slice(format!("__ebd_phase {name} {function}\n").as_bytes());
        if phase == Phase::Install {
            // Before the phase counts as finished, since they are no part of its environment.
            text.extend(self.variables_text());
        }
        text
    }

    /// The command that writes down what packaging wants to know of the shell's variables.
    pub(super) fn variables_text(&self) -> Vec<u8> {
        let mut text = b"__ebd_write_variables ".to_vec();
        text.extend(quote(self.variables_file().as_os_str().as_encoded_bytes()));
        for name in wanted_variables() {
            text.push(b' ');
            text.extend_from_slice(name.as_bytes());
        }
        text.extend_from_slice(b" \"${!QA_@}\"\n");
        text
    }

    /// Where the shell writes what packaging wants to know of its variables.
    pub(super) fn variables_file(&self) -> PathBuf {
        self.directories.private().join("variables")
    }

    /// What runs the phases in a shell that has finished those of `progress` already.
    fn driver(&self, shell: Shell, progress: Progress) -> Driver {
        Driver::new(DriverSetup {
            guard: shell.guard().cloned(),
            shell,
            site: Site {
                events: self.session.events.clone(),
                package: self.package.clone(),
                private: self.directories.private(),
                visible_environment: self.directories.environment(),
                log: self.directories.log(),
                phase_limit: self.settings.phase_limit,
                hooked: !self.candidate.config.bashrcs.is_empty(),
            },
            progress,
        })
    }

    /// Lets the ebuild say how its distfiles are to be had, and gives the lines. That they are not there is told in
    /// any case, so a failure here adds nothing.
    pub(super) async fn nofetch(&self, prepared: &Prepared) -> Vec<String> {
        let places = self.places(prepared);
        let Ok(sources) = self.sources(prepared, &places) else {
            return Vec::new();
        };
        let token = token::fresh();
        let started = self.start(prepared, &sources, &token, Phase::Nofetch, None);
        let Ok(shell) = started.await else {
            return Vec::new();
        };
        let progress = Progress {
            input: String::new(),
            finished: Vec::new(),
            image_finished: false,
        };
        let mut driver = self.driver(shell, progress);
        let ready = self.source(&mut driver, prepared, &token).await.is_ok()
            && self
                .write_phase(prepared, &sources, &token, Phase::Nofetch)
                .is_ok();
        if ready {
            let text = self.phase_text(Phase::Nofetch);
            let _ = driver.run(Phase::Nofetch.name(), &text, false).await;
        }
        driver.end().await;
        last_lines(&self.directories.log(), SHOWN_LINES)
            .into_iter()
            .map(|line| line.trim_start_matches([' ', '*']).to_owned())
            .collect()
    }
}
