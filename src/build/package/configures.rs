//! Configure runs of a build, which the confcache knows or learns from (FEATURES=confcache).
//!
//! `econf` runs this program in the place of the script, as the build's user in its sandbox. There it
//! looks in the cache, puts back what is known, or has the script run and asks the sandbox what was
//! traced. What it learned it leaves in a folder of the build, from which it is taken here: the build
//! may not write to the cache, and what it leaves counts for runs in its own folders only, and answers to checks for
//! builds of the same package.

use std::path::{Path, PathBuf};

use super::preparation::Prepared;
use super::{Build, BuildError};
use crate::build::event::Event;
use crate::build::runtime::RuntimeError;
use crate::confcache::{Cache, ROLE};
use crate::pms::atom::PackageFacts;
use crate::pms::phase::Phase;
use crate::processor::library::quote;
use crate::util::causes::causes;

impl Build<'_> {
    /// Where the build leaves what it learned.
    fn learned(&self) -> PathBuf {
        self.directories.private().join("confcache")
    }

    /// Where the answers to checks are that builds of this package share.
    fn answers(&self, cache: &Path) -> PathBuf {
        let cpv = self.candidate.cpv();
        Cache::at(cache).answers_of(cpv.category(), cpv.pn())
    }

    /// The words that `econf` has before those of the script, quoted for the shell; none if
    /// configure runs of the phase are run as ever.
    pub(super) fn confcache(
        &self,
        prepared: &Prepared,
        token: &str,
        phase: Phase,
    ) -> Result<Vec<u8>, BuildError> {
        let Some(cache) = &self.session.confcache else {
            return Ok(Vec::new());
        };
        if !prepared.isolation.traces(phase) {
            return Ok(Vec::new());
        }
        let learned = self.learned();
        std::fs::create_dir_all(&learned).map_err(|source| RuntimeError {
            path: learned.clone(),
            source,
        })?;
        let trace = format!("{}{token}/{}", sandbox::CONTROL, sandbox::TRACE);
        let answers = self.answers(cache);
        let words = [
            self.session.program.as_os_str(),
            ROLE.as_ref(),
            trace.as_ref(),
            cache.as_os_str(),
            answers.as_os_str(),
            learned.as_os_str(),
            self.directories.root.as_os_str(),
        ];
        let quoted = words.map(|word| quote(word.as_encoded_bytes()));
        Ok(quoted.join(&b' '))
    }

    /// Takes over what configure runs of the phase taught.
    pub(super) fn learn_configures(&self, prepared: &Prepared, phase: Phase) {
        let Some(cache) = &self.session.confcache else {
            return;
        };
        if !prepared.isolation.traces(phase) {
            return;
        }
        let learned = self.learned();
        if let Err(error) =
            Cache::at(cache).take_over(&learned, &self.directories.root, &self.answers(cache))
        {
            self.session.events.tell(Event::Notice {
                text: format!(
                    "{}: nothing is kept of its configure runs: {}",
                    self.package,
                    causes(&error).join(": ")
                ),
            });
        }
        let _ = std::fs::remove_dir_all(&learned);
    }
}
