//! What is in a shell's environment but is none of the build's: variables of functions that failed, and
//! what the user's rc file has set.

use super::answers::Refusal;
use super::room::Room;
use crate::build::driver::read_environment;
use crate::processor::environment::{Difference, Environment};

/// What was made of one environment to get another.
struct Made {
    from: Environment,
    to: Environment,
    /// But for what was changed since.
    changes: Difference,
}

impl Made {
    fn new(from: Environment, to: Environment, present: &Environment) -> Self {
        let since = Difference::between(&to, present);
        let changes = Difference::between(&from, &to).without(&since);
        Self { from, to, changes }
    }
}

impl Room<'_> {
    /// What the failed phase has set until it failed, its functions' variables among it, as long as the
    /// shell is there.
    fn of_failed_phase(&self, present: &Environment) -> Result<Option<Made>, Refusal> {
        let Some(failed) = self.of_failure.clone() else {
            return Ok(None);
        };
        Ok(Some(Made::new(self.last_kept()?, failed, present)))
    }

    /// What the user's rc file has set.
    fn of_rcfile(&self, present: &Environment) -> Result<Option<Made>, Refusal> {
        let private = self.build.directories.private();
        let [plain, user] = ["environment.plain", "environment.user"].map(|it| private.join(it));
        // Where the ebuild could not be loaded, or the file itself has failed, there is none.
        if self.visit.rcfile.is_none() || !user.is_file() {
            return Ok(None);
        }
        let read = |path| read_environment(path, self.phase.name());
        Ok(Some(Made::new(read(&plain)?, read(&user)?, present)))
    }

    /// The environment as the build may go on with it.
    pub(super) fn without_foreign(&self, mut present: Environment) -> Result<Environment, Refusal> {
        let failed = self.of_failed_phase(&present)?;
        let user = self.of_rcfile(&present)?;
        for made in [failed, user].into_iter().flatten() {
            present.take_back(&made.changes, &made.from);
        }
        Ok(present)
    }

    /// Shell text for before a phase, so that it finds what it would find in a build, and for behind it,
    /// so that the user has his own again.
    pub(super) fn make_way(&mut self) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        if self.of_failure.is_none() && self.visit.rcfile.is_none() {
            return Ok((before, behind));
        }
        let present = self.present()?;
        if let Some(made) = self.of_failed_phase(&present)? {
            before.extend(made.changes.reversed().to_bash(&made.from));
            before.extend_from_slice(b"__EBD_AT_FAILURE=\n");
            self.of_failure = None;
        }
        if let Some(made) = self.of_rcfile(&present)? {
            behind.extend(made.changes.to_bash(&made.to));
            before.extend(made.changes.reversed().to_bash(&made.from));
        }
        Ok((before, behind))
    }
}
