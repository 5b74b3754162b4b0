//! Leaving a shell so that the build goes on.

use super::super::PHASES;
use super::answers::Refusal;
use super::room::Room;
use crate::build::candidate::Candidate;
use crate::build::driver::{kept_environment, write_environment};
use crate::build::kept_configuration;
use crate::build::kept_sources::KeptSources;
use crate::pms::phase::Phase;

/// What ends the shell, whatever it still has at work.
const EXIT: &[u8] = b"builtin disown -a 2>/dev/null\nbuiltin exit 0\n";

/// What is to be done about sources that are patched halfway.
const HALFWAY: &str = "src_prepare was begun but not finished, and cannot be run twice on the same sources: \
    resume --done goes on behind it, resume --anew unpacks them anew, and what was changed in them is lost";

/// What is to be done where src_prepare was run in the shell.
const KEEP: &str = "src_prepare was run here, and cannot be run twice on the same sources: resume --keep goes on \
    behind it, resume --anew unpacks them anew, and what was changed in them is lost";

impl Room<'_> {
    /// Sees to it that the build can go on, and ends the shell.
    pub(super) async fn leave(&mut self, argument: &str) -> Result<Vec<u8>, Refusal> {
        let build = self.build;
        if !self.visit.resumable {
            return Err(Refusal("there is no package to build".into()));
        }
        if argument == "--anew" {
            return self.leave_anew().await;
        }
        let private = build.directories.private();
        let keeps = matches!(argument, "--keep" | "--done");
        let mut done = self.done.clone();
        if argument == "--done" {
            done.push(self.phase);
        }
        if build.is_halfway(&self.progress) && !keeps {
            return Err(Refusal(match done.contains(&Phase::Prepare) {
                true => KEEP.into(),
                false => HALFWAY.into(),
            }));
        }
        if self.progress.finished.is_empty() && !keeps {
            return self.leave_anew().await;
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
            let names = kept_configuration::changed(&build.directories, build.candidate);
            return Err(Refusal(format!(
                "the configuration is another than that the build began with{}; with the old one it can be gone \
                 on with, and resume --anew begins anew with this one",
                match names.is_empty() {
                    true => String::new(),
                    false => format!(" ({} changed)", names.join(", ")),
                }
            )));
        }
        let mut progress = self.progress.clone();
        progress.input = input;
        if keeps {
            for phase in PHASES {
                let left_out = !build.candidate.eapi.has_phase(*phase)
                    || (*phase == Phase::Test && !build.tests());
                if left_out || progress.has(phase.name()) {
                    continue;
                }
                if !done.contains(phase) && build.leaves_something(*phase, self.prepared) {
                    break;
                }
                progress.finished.push(phase.name().to_owned());
            }
        }
        if build.is_halfway(&progress) {
            return Err(Refusal(HALFWAY.into()));
        }
        if keeps {
            let Some(last) = progress.finished.last().cloned() else {
                return Err(Refusal(
                    "no phase is finished yet, so there is nothing to keep: phase NAME runs one"
                        .into(),
                ));
            };
            let environment = self.without_foreign(self.present()?)?;
            write_environment(&kept_environment(&private, &last), &environment)?;
            if let Some(candidate) = candidate {
                KeptSources::of(&build.directories).keep(candidate, &self.prepared.eclass_dirs)?;
            }
        }
        progress.image_finished = false;
        progress.store(&private)?;
        self.resume = true;
        let mut text = Vec::new();
        if keeps && progress.has(Phase::Install.name()) {
            text.extend(build.variables_text());
        }
        text.extend_from_slice(EXIT);
        Ok(text)
    }

    /// The same where no phase counts as finished: the build will source the ebuild as it is now.
    async fn leave_anew(&mut self) -> Result<Vec<u8>, Refusal> {
        let build = self.build;
        let private = build.directories.private();
        let ebuild = build.candidate.ebuild.clone();
        let candidate = Candidate::load(build.session, ebuild).await?;
        let own = super::super::Build::new(build.session, &candidate, build.settings);
        let prepared = own.prepare()?;
        let mut progress = self.progress.clone();
        progress.input = own.fingerprint(&prepared)?;
        progress.finished.clear();
        progress.image_finished = false;
        kept_configuration::keep(&build.directories, &candidate)?;
        KeptSources::of(&build.directories).keep(&candidate, &prepared.eclass_dirs)?;
        progress.store(&private)?;
        self.reloaded = Some(Box::new(candidate));
        self.resume = true;
        Ok(EXIT.to_vec())
    }
}
