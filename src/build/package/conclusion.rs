//! What comes behind the phases: the package, and what is to be done when it is there.

use super::phases::begin_text;
use super::preparation::Prepared;
use super::{Build, BuildError, Until};
use crate::binpkg::pkgdir::Written;
use crate::build::driver::Driver;
use crate::build::packaging::shell_variables;
use crate::pms::phase::Phase;
use crate::util::causes::causes;

/// The variable that names the functions to call.
const SUCCESS_HOOKS: &str = "EBUILD_SUCCESS_HOOKS";

/// What calling them is called.
const CALLING: &str = "success_hooks";

impl Build<'_> {
    /// Makes the package if the build is not to stop before, and calls the functions that are registered for its
    /// success. That one of these fails changes nothing: the package is there.
    pub(super) async fn conclude(
        &self,
        driver: Driver,
        prepared: &Prepared,
        token: &str,
        input: &str,
    ) -> Result<Option<Written>, BuildError> {
        if self.settings.until != Until::Package {
            self.let_go(driver).await?;
            return Ok(None);
        }
        let variables = self.variables_file();
        // Only for these it is held back from other builds meanwhile.
        let waiting = match self.has_success_hooks() {
            true => Some(driver),
            false => {
                self.let_go(driver).await?;
                None
            }
        };
        let made = self.package(prepared, input, &variables).await;
        match (waiting, &made) {
            (Some(driver), Ok(_)) => self.call_success_hooks(driver, prepared, token).await,
            (Some(driver), Err(_)) => driver.end().await,
            (None, _) => {}
        }
        made.map(Some)
    }

    fn has_success_hooks(&self) -> bool {
        let text = std::fs::read(self.variables_file()).unwrap_or_default();
        let variables = shell_variables(&text);
        let hooks = variables.get(SUCCESS_HOOKS).and_then(|hooks| hooks.first());
        hooks.is_some_and(|hooks| !hooks.trim_ascii().is_empty())
    }

    async fn call_success_hooks(&self, mut driver: Driver, prepared: &Prepared, token: &str) {
        let policy = prepared.isolation.policy(Phase::Install);
        let heeds = !policy.is_free();
        driver.confine(policy, heeds.then_some(token));
        let mut text = begin_text(self.candidate);
        text.extend_from_slice(
            format!("__ebd_{CALLING}\n__ebd_notify phase-done {CALLING} || builtin exit 97\n")
                .as_bytes(),
        );
        let called = driver.run(CALLING, &text, false).await;
        if let Err(error) = &called {
            self.notice(&format!(
                "a function of {SUCCESS_HOOKS} failed, the package is there nevertheless: {}",
                causes(error).join(": ")
            ));
        }
        let ended = match called {
            Ok(()) => self.let_go(driver).await,
            Err(_) => {
                driver.end().await;
                Ok(())
            }
        };
        if let Err(error) = ended {
            self.notice(&causes(&error).join(": "));
        }
    }

    /// Ends the shell in good order.
    async fn let_go(&self, driver: Driver) -> Result<(), BuildError> {
        // Without a processor it ended; the pool starts another when one is needed.
        if let Some(processor) = driver.finish().await.map_err(BuildError::Between)? {
            self.directories.forget_warden();
            self.session.pool.put_back(processor);
        }
        Ok(())
    }
}
