//! The phases of one build, from the start of its shell to the end of `src_install`.

use std::path::PathBuf;

use super::preparation::Prepared;
use super::{Build, BuildError, SHOWN_LINES};
use crate::binpkg::pkgdir::Written;
use crate::build::directories::DirectoryError;
use crate::build::driver::{Driver, DriverSetup, kept_environment};
use crate::build::event::Event;
use crate::build::packaging::wanted_variables;
use crate::build::runtime::{self, RuntimeError};
use crate::build::state::Progress;
use crate::build::variables::Sources;
use crate::pms::phase::Phase;
use crate::processor::library::{self, quote};
use crate::processor::{Shell, ShellSetup};
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
    /// Starts the shell, from the environment after `restore` if there is such a phase.
    pub(super) async fn start(
        &self,
        prepared: &Prepared,
        sources: &Sources<'_>,
        token: &str,
        restore: Option<&str>,
    ) -> Result<Shell, BuildError> {
        let private = self.directories.private();
        runtime::link_helpers(&private, self.candidate.eapi, &self.session.program)?;
        runtime::write_initial(&private, &sources.initial(restore.is_some()))?;
        self.write_phase(sources, token, Phase::Setup)?;
        let setup = ShellSetup {
            directory: private.clone(),
            log: self.directories.log(),
            eclass_dirs: prepared.eclass_dirs.clone(),
            eapi: self.candidate.eapi.to_bash(),
            restore: restore.map(|phase| kept_environment(&private, phase)),
            script: library::BUILD,
        };
        let processor = self.session.pool.take().await?;
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

    pub(super) fn write_phase(
        &self,
        sources: &Sources<'_>,
        token: &str,
        phase: Phase,
    ) -> Result<(), BuildError> {
        Ok(runtime::write_phase(
            &self.directories.private(),
            token,
            &sources.for_phase(phase),
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
        // Phases that had nothing to do have no environment of their own.
        let private = self.directories.private();
        let restore = progress
            .finished
            .iter()
            .rfind(|phase| kept_environment(&private, phase).exists())
            .cloned();
        let input = progress.input.clone();
        let shell = self
            .start(prepared, &sources, &token, restore.as_deref())
            .await?;
        let mut driver = self.driver(shell, progress);
        match self.drive(&mut driver, prepared, &sources, &token).await {
            Ok(()) => {
                match driver.finish().await {
                    Ok(Some(processor)) => {
                        self.directories.forget_warden();
                        self.session.pool.put_back(processor);
                    }
                    // It ended; the pool starts another when one is needed.
                    Ok(None) => {}
                    Err(error) => return Err(BuildError::Between(error)),
                }
                if self.settings.stop_after.is_some() {
                    return Ok(None);
                }
                let variables = self.variables_file();
                Ok(Some(self.package(prepared, &input, &variables).await?))
            }
            Err(error) => {
                driver.end().await;
                Err(error)
            }
        }
    }

    /// Runs the phases.
    pub(super) async fn drive(
        &self,
        driver: &mut Driver,
        prepared: &Prepared,
        sources: &Sources<'_>,
        token: &str,
    ) -> Result<(), BuildError> {
        driver.ready().await.map_err(BuildError::Sourcing)?;
        let eapi = self.candidate.eapi;
        if eapi.has_phase(Phase::Pretend) && !driver.has_finished(Phase::Setup.name()) {
            self.write_phase(sources, token, Phase::Pretend)?;
            // In a fork of the shell: what pkg_pretend sets is for nobody (PMS 9.1.2).
            let mut text = b"( ".to_vec();
            text.extend(self.phase_call(Phase::Pretend));
            text.extend_from_slice(b" ) || builtin exit\n");
            text.extend(phase_end(Phase::Pretend));
            self.run_phase(driver, Phase::Pretend, &text, false).await?;
        }
        let last = self.settings.stop_after.unwrap_or(Phase::Install);
        for &phase in PHASES.iter().filter(|phase| **phase <= last) {
            let wanted = eapi.has_phase(phase)
                && !driver.has_finished(phase.name())
                && (phase != Phase::Test || self.tests(prepared));
            if !wanted {
                continue;
            }
            match phase {
                Phase::Unpack => self.directories.empty_work()?,
                Phase::Prepare => {
                    let path = self.prepare_mark();
                    std::fs::write(&path, "").map_err(|source| DirectoryError {
                        path,
                        what: "cannot be written",
                        source,
                    })?;
                }
                Phase::Install => self.directories.empty_image()?,
                _ => {}
            }
            self.write_phase(sources, token, phase)?;
            let text = self.phase_text(phase);
            // The last one's environment is the package's, or for whoever looks at the build.
            let checkpoint = phase == last || self.leaves_something(phase, prepared);
            self.run_phase(driver, phase, &text, checkpoint).await?;
        }
        driver.settle().await.map_err(BuildError::Between)
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
    pub(super) fn tests(&self, prepared: &Prepared) -> bool {
        let allowed = prepared
            .properties
            .iter()
            .any(|word| word == "test_network" || word == "test_privileged");
        self.candidate.config.features.contains("test")
            && (allowed || !prepared.restrict.iter().any(|word| word == "test"))
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
        text.extend(phase_end(phase));
        text
    }

    /// The command without the message that the phase is done.
    pub(super) fn phase_call(&self, phase: Phase) -> Vec<u8> {
        let mut text = b"builtin source \"${__EBD_BUILD}/phase.env\"\n".to_vec();
        for bashrc in &self.candidate.config.bashrcs {
            let file = quote(bashrc.as_os_str().as_encoded_bytes());
            text.extend_from_slice(b"builtin source ");
            text.extend(&file);
            // Its last command may have failed, which is nobody's business.
            text.extend_from_slice(b" || __ebd_must_be_bash ");
            text.extend(&file);
            text.push(b'\n');
        }
        let (name, function) = (phase.name(), phase.function());
        text.extend_from_slice(format!("__ebd_phase {name} {function}\n").as_bytes());
        if phase == Phase::Install {
            // Before the phase counts as finished, since they are no part of its environment.
            text.extend_from_slice(b"__ebd_write_variables ");
            text.extend(quote(self.variables_file().as_os_str().as_encoded_bytes()));
            for name in wanted_variables() {
                text.push(b' ');
                text.extend_from_slice(name.as_bytes());
            }
            text.extend_from_slice(b" \"${!QA_@}\"\n");
        }
        text
    }

    /// Where the shell writes what packaging wants to know of its variables.
    pub(super) fn variables_file(&self) -> PathBuf {
        self.directories.private().join("variables")
    }

    /// What runs the phases in a shell that has finished those of `progress` already.
    fn driver(&self, shell: Shell, progress: Progress) -> Driver {
        Driver::new(DriverSetup {
            shell,
            events: self.session.events.clone(),
            package: self.package.clone(),
            private: self.directories.private(),
            visible_environment: self.directories.environment(),
            progress,
            phase_limit: self.settings.phase_limit,
        })
    }

    /// Lets the ebuild say how its distfiles are to be had. That they are not there is told in any
    /// case, so a failure here adds nothing.
    pub(super) async fn nofetch(&self, prepared: &Prepared) {
        let places = self.places(prepared);
        let Ok(sources) = self.sources(prepared, &places) else {
            return;
        };
        let token = token::fresh();
        let Ok(shell) = self.start(prepared, &sources, &token, None).await else {
            return;
        };
        let progress = Progress {
            input: String::new(),
            finished: Vec::new(),
            image_finished: false,
        };
        let mut driver = self.driver(shell, progress);
        let ready = driver.ready().await.is_ok()
            && self.write_phase(&sources, &token, Phase::Nofetch).is_ok();
        if ready {
            let text = self.phase_text(Phase::Nofetch);
            let _ = driver.run(Phase::Nofetch.name(), &text, false).await;
        }
        driver.end().await;
        for line in last_lines(&self.directories.log(), SHOWN_LINES) {
            self.session.events.tell(Event::Elog {
                package: self.package.clone(),
                phase: "nofetch".into(),
                level: "log".into(),
                text: line.trim_start_matches([' ', '*']).to_owned(),
            });
        }
    }
}
