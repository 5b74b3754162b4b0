//! Reading an edited ebuild anew.

use std::path::{Path, PathBuf};

use super::answers::{Refusal, say};
use super::listing::difference;
use super::room::Room;
use crate::build::candidate::Candidate;
use crate::build::driver::read_environment;
use crate::build::kept_sources::KeptSources;
use crate::build::runtime;
use crate::pms::eapi;
use crate::processor::environment::{Difference, Environment};
use crate::processor::library::{self, assignments, quote};

/// The names of the files with what the old ebuild gives, and the new one.
const FILES: [&str; 2] = ["environment.old", "environment.new"];

impl Room<'_> {
    /// The ebuild and eclasses that the shell has.
    pub(super) fn kept_sources(&self) -> KeptSources {
        match self.reloaded {
            Some(_) => KeptSources::of_shell(&self.build.directories),
            None => KeptSources::of(&self.build.directories),
        }
    }

    /// Whether the ebuild could be sourced as it was.
    fn was_sourced(&self) -> bool {
        self.visit.broken.is_none() || self.reloaded.is_some()
    }

    /// A script that sources an ebuild for itself, and the command that runs it: what that gives is
    /// written to the file `into` of the private directory.
    fn sourcing(
        &self,
        ebuild: &Path,
        eclass_dirs: &[PathBuf],
        into: &str,
    ) -> Result<Vec<u8>, Refusal> {
        let private = self.build.directories.private();
        let bytes = |path: &Path| path.as_os_str().as_encoded_bytes().to_vec();
        let mut text = library::interactive_text().into_bytes();
        text.extend(assignments(&[
            ("__EBD_BUILD", &bytes(&private)),
            ("__EBD_TOKEN", self.token.as_bytes()),
            ("__EBD_LOG", b"/dev/null"),
            ("__EBD_RESTORE", b""),
            ("__EBD_SOURCE", &bytes(ebuild)),
            ("__EBD_INTO", &bytes(&private.join(into))),
        ]));
        text.extend(library::eclass_dirs(eclass_dirs));
        text.extend_from_slice(self.build.candidate.eapi.to_bash().as_bytes());
        text.push(b'\n');
        text.extend_from_slice(library::FRESH.as_bytes());
        let script = private.join(format!("{into}.bash"));
        runtime::write(&script, &text)?;
        self.build.hand_over(self.phase, self.prepared)?;
        let bash = self.build.bash();
        let mut command = b"__ebd_fresh ".to_vec();
        command.extend(quote(bash.as_os_str().as_encoded_bytes()));
        command.push(b' ');
        command.extend(quote(&bytes(&script)));
        Ok(command)
    }

    /// Has the ebuild as the build began with it sourced into the file `into`, and then asks again.
    pub(super) fn have_sourced(
        &self,
        into: &str,
        what: &str,
        argument: &str,
    ) -> Result<Vec<u8>, Refusal> {
        let kept = self.kept_sources();
        let mut text = self.sourcing(&kept.ebuild(), &[kept.eclasses()], into)?;
        text.extend_from_slice(format!(" && __ebd_ask {what} {argument}\n").as_bytes());
        Ok(text)
    }

    /// Compares what the ebuild gives with what it gave when the build began, and has the shell take
    /// over what changed.
    pub(super) async fn reload(&mut self, argument: &str) -> Result<Vec<u8>, Refusal> {
        let kept = self.kept_sources();
        if !kept.exist() {
            return Err(Refusal(
                "this build has not kept its ebuild, so nobody can tell what changed".into(),
            ));
        }
        let ebuild = &self.build.candidate.ebuild;
        if argument == "applied" {
            return self.end_reload();
        }
        if argument != "sourced" {
            let edited = kept.edited(&ebuild.path, &self.prepared.eclass_dirs);
            if edited.is_none() && self.was_sourced() {
                return Ok(say("reload: nothing changed\n"));
            }
            let text = std::fs::read(&ebuild.path)
                .map_err(|error| Refusal(format!("{}: {error}", ebuild.path.display())))?;
            let name = eapi::scan(&text);
            let own = self.build.candidate.eapi.name();
            if name != own {
                return Err(Refusal(format!(
                    "the ebuild's EAPI is {name} now, and was {own}: that takes a new build"
                )));
            }
            let [old, new] = FILES;
            let mut text = Vec::new();
            if self.was_sourced() {
                text.extend(self.sourcing(&kept.ebuild(), &[kept.eclasses()], old)?);
                text.extend_from_slice(b" &&\n");
            }
            text.extend(self.sourcing(&ebuild.path, &self.prepared.eclass_dirs, new)?);
            text.extend_from_slice(b" && __ebd_ask reload sourced\n");
            return Ok(text);
        }
        let private = self.build.directories.private();
        let read = |name: &str| read_environment(&private.join(name), self.phase.name());
        let [old, new] = FILES;
        let old = match self.was_sourced() {
            true => read(old)?,
            false => Environment::default(),
        };
        let new = read(new)?;
        let changes = Difference::between(&old, &new);
        // What cannot be built is not taken over.
        let candidate = Candidate::load(self.build.session, ebuild.clone()).await?;
        let mut text = changes.to_bash(&new);
        let mut told = match self.was_sourced() {
            true if changes.is_empty() => "reload: nothing changed but text\n".into(),
            true => difference(&old, &new, &changes),
            false => {
                "reload: the ebuild could be loaded; leave and come in again for its USE flags and sources\n"
                    .into()
            }
        };
        let own = self.build.candidate;
        for (key, what) in [
            ("SRC_URI", "sources"),
            ("IUSE", "USE flags"),
            ("SLOT", "slot"),
        ] {
            if candidate.value(key) != own.value(key) {
                told.push_str(&format!(
                    "reload: {key} changed; the build goes on with the {what} that it began with\n"
                ));
            }
        }
        text.extend_from_slice(b"__ebd_ask reload applied\n");
        self.reloading = Some((Box::new(candidate), told));
        Ok(text)
    }

    /// The shell has taken it over.
    fn end_reload(&mut self) -> Result<Vec<u8>, Refusal> {
        let Some((candidate, told)) = self.reloading.take() else {
            return Err(Refusal("nothing was read anew".into()));
        };
        let directories = &self.build.directories;
        let folders = &self.prepared.eclass_dirs;
        KeptSources::of_shell(directories).keep(&candidate, folders)?;
        let first = KeptSources::of(directories);
        // Put back as the build began with it, there is nothing to keep.
        let same = first.edited(&candidate.ebuild.path, folders).is_none();
        self.reloaded = (!same).then_some(candidate);
        Ok(say(&told))
    }
}
