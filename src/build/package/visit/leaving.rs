//! Leaving a shell so that the build goes on.

use std::path::Path;

use super::super::PHASES;
use super::answers::Refusal;
use super::room::Room;
use crate::build::candidate::Candidate;
use crate::build::driver::{kept_environment, read_environment, write_environment};
use crate::build::kept_sources::KeptSources;
use crate::pms::phase::Phase;
use crate::processor::environment::{Difference, Environment};

/// What ends the shell, whatever it still has at work.
const EXIT: &[u8] = b"builtin disown -a 2>/dev/null\nbuiltin exit 0\n";

impl Room<'_> {
    /// Sees to it that the build can go on, and ends the shell.
    pub(super) async fn leave(&mut self, argument: &str) -> Result<Vec<u8>, Refusal> {
        let build = self.build;
        let private = build.directories.private();
        let keeps = matches!(argument, "--keep" | "--done");
        let mut done = self.done.clone();
        if argument == "--done" {
            done.push(self.phase);
        }
        if self.progress.finished.is_empty() && !keeps {
            return self.leave_unbegun().await;
        }
        let candidate = self.reloaded.as_deref().filter(|_| keeps);
        if self.reloaded.is_some() && !keeps {
            return Err(Refusal(
                "the ebuild was read anew here, which resume --keep goes on with; to go on \
                 without that, put the ebuild back and reload"
                    .into(),
            ));
        }
        let edited = self
            .kept_sources()
            .edited(&build.candidate.ebuild.path, &self.prepared.eclass_dirs);
        if let Some(path) = edited {
            return Err(Refusal(format!(
                "{} was edited since the build began: `reload` reads it, and `resume --keep` then goes on \
                 with it",
                path.display()
            )));
        }
        let changed = super::super::Build::new(
            build.session,
            candidate.unwrap_or(build.candidate),
            build.settings,
        );
        let input = changed.fingerprint(&changed.prepare()?)?;
        if input != self.progress.input && candidate.is_none() {
            return Err(Refusal(
                "the configuration is another than that the build began with; build anew".into(),
            ));
        }
        let mut progress = self.progress.clone();
        progress.input = input;
        if keeps {
            for phase in PHASES {
                let left_out = !build.candidate.eapi.has_phase(*phase)
                    || (*phase == Phase::Test && !build.tests(self.prepared));
                if left_out || progress.has(phase.name()) {
                    continue;
                }
                if !done.contains(phase) {
                    break;
                }
                progress.finished.push(phase.name().to_owned());
            }
        }
        let prepared_halfway =
            build.prepare_mark().exists() && !progress.has(Phase::Prepare.name());
        if prepared_halfway && argument != "--anew" {
            return Err(Refusal(
                "src_prepare was begun but not finished, and cannot be run twice on the same sources: \
                 resume --done goes on behind it, resume --anew unpacks them anew, and what was changed in \
                 them is lost"
                    .into(),
            ));
        }
        if keeps {
            let Some(last) = progress.finished.last().cloned() else {
                return Err(Refusal(
                    "no phase is finished yet, so there is nothing to keep: phase NAME runs one"
                        .into(),
                ));
            };
            let environment = self.without_user(self.present()?, &private)?;
            write_environment(&kept_environment(&private, &last), &environment)?;
            if let Some(candidate) = candidate {
                KeptSources::of(&private).keep(candidate, &self.prepared.eclass_dirs)?;
            }
        }
        progress.store(&private)?;
        self.resume = true;
        Ok(EXIT.to_vec())
    }

    /// The same where no phase is finished: the build will source the ebuild as it is now.
    async fn leave_unbegun(&mut self) -> Result<Vec<u8>, Refusal> {
        let build = self.build;
        let private = build.directories.private();
        let ebuild = build.candidate.ebuild.clone();
        let candidate = Candidate::load(build.session, ebuild).await?;
        let own = super::super::Build::new(build.session, &candidate, build.settings);
        let prepared = own.prepare()?;
        let mut progress = self.progress.clone();
        progress.input = own.fingerprint(&prepared)?;
        KeptSources::of(&private).keep(&candidate, &prepared.eclass_dirs)?;
        progress.store(&private)?;
        self.reloaded = Some(Box::new(candidate));
        self.resume = true;
        Ok(EXIT.to_vec())
    }

    /// The environment without what the user's rc file has made of it.
    fn without_user(
        &self,
        mut present: Environment,
        private: &Path,
    ) -> Result<Environment, Refusal> {
        if self.visit.rcfile.is_none() {
            return Ok(present);
        }
        let read = |name: &str| read_environment(&private.join(name), self.phase.name());
        let (plain, user) = (read("environment.plain")?, read("environment.user")?);
        let own = Difference::between(&plain, &user);
        present.take_back(&own, &plain);
        Ok(present)
    }
}
