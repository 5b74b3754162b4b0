//! FEATURES=test-fail-continue: a build goes on behind tests that fail.

use super::preparation::Prepared;
use super::{Build, BuildError};
use crate::build::driver::{Driver, Pause, PhaseError};
use crate::build::failure::Failure;
use crate::pms::phase::Phase;
use crate::util::causes::causes;

impl Build<'_> {
    /// Whether the build goes on although this came of a phase.
    pub(super) fn passes_over(&self, error: &BuildError) -> bool {
        let BuildError::Phase {
            phase: Phase::Test,
            source,
            ..
        } = error
        else {
            return false;
        };
        let features = &self.candidate.config.features;
        features.contains("test-fail-continue")
            && matches!(
                source,
                PhaseError::Died(_)
                    | PhaseError::Exited(_)
                    | PhaseError::Killed(_)
                    | PhaseError::Slow(_)
                    | PhaseError::Refused(_)
            )
    }

    /// Ends the shell in which a phase has failed, and tells so, for another to go on with the environment that the
    /// phase has found; `before` are those that came before it.
    ///
    /// # Errors
    /// The failure itself, if that environment is lost.
    pub(super) async fn pass_over(
        &self,
        driver: Driver,
        error: BuildError,
        before: &[Phase],
        prepared: &Prepared,
    ) -> Result<Pause, BuildError> {
        let pause = driver.give_up(Phase::Test.name()).await;
        let lost = |phase: &Phase| {
            // What pkg_pretend sets is for nobody.
            *phase != Phase::Pretend
                && self.leaves_something(*phase, prepared)
                && !pause.has(phase.name())
        };
        if before.iter().any(lost) {
            return Err(error);
        }
        // What later helpers and failures leave is not to be taken for this one's.
        let _ = std::fs::remove_file(self.directories.private().join("helper-failed"));
        Failure::forget(&self.directories);
        let place = error.place();
        self.notice(&format!(
            "the build goes on, as FEATURES has test-fail-continue: {}{}",
            causes(&error).join(": "),
            place.map_or_else(String::new, |place| format!(", at {place}"))
        ));
        Ok(pause)
    }
}
