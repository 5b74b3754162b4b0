//! From the image to the package.

use std::collections::BTreeSet;
use std::path::Path;

use super::preparation::Prepared;
use super::{Build, BuildError};
use crate::binpkg::index::HeaderSettings;
use crate::binpkg::pkgdir::Written;
use crate::build::driver::kept_environment;
use crate::build::event::Event;
use crate::build::image::{Image, Level, Notice};
use crate::build::input;
use crate::build::library_paths::library_paths;
use crate::build::packaging::{self, Packaging, shell_variables};
use crate::build::state::Progress;
use crate::config::Config;
use crate::pms::atom::PackageFacts;
use crate::pms::phase::Phase;

/// The profile as the index names it: below `profiles` of its repository, or its path.
pub(super) fn profile_name(config: &Config) -> Option<String> {
    let profile = config.profile()?;
    let path = profile
        .canonicalize()
        .unwrap_or_else(|_| profile.to_owned());
    let inside = config.repositories().repositories().find_map(|repository| {
        let profiles = repository.location().join("profiles").canonicalize().ok()?;
        Some(path.strip_prefix(profiles).ok()?.to_owned())
    });
    Some(inside.unwrap_or(path).to_string_lossy().into_owned())
}

/// What the header of the index tells of the configuration.
pub fn index_header(config: &Config) -> HeaderSettings {
    HeaderSettings::collect(profile_name(config), |name| {
        config.get(name).map(str::to_owned)
    })
}

impl Build<'_> {
    /// Makes the package of the image, in a thread of its own.
    pub(super) async fn package(
        &self,
        prepared: &Prepared,
        input: &str,
        variables: &Path,
    ) -> Result<Written, BuildError> {
        self.tell_phase("package");
        let private = self.directories.private();
        let mut whole = Progress::load(&private, input)?;
        let finished = whole.image_finished;
        if !finished {
            // An image that is only halfway finished is of no use: until it is, src_install does not
            // count, so that whoever takes this build up makes the image anew.
            let mut before = whole.clone();
            before
                .finished
                .retain(|phase| phase != Phase::Install.name());
            before.store(&private)?;
        }
        whole.image_finished = true;
        let text = std::fs::read(variables).map_err(|source| BuildError::Read {
            path: variables.to_owned(),
            source,
        })?;
        for problem in &prepared.revisions.problems {
            self.notice(problem);
        }
        let packaging = self.packaging(prepared, &text);
        let installed = self.session.installed.clone();
        let (result, notices) = tokio::task::spawn_blocking(move || {
            let mut notices = Vec::new();
            let mut finish = || -> Result<(), BuildError> {
                if !finished {
                    packaging.finish_image(installed.as_ref(), &mut notices)?;
                    whole.store(&private)?;
                }
                Ok(())
            };
            let result = finish().and_then(|()| Ok(packaging.pack()?));
            (result, notices)
        })
        .await
        .map_err(|_| BuildError::Interrupted("packaging"))?;
        self.tell_notices(&notices);
        result
    }

    /// Tells what was found in the image, and keeps it in the log.
    pub(super) fn tell_notices(&self, notices: &[Notice]) {
        use std::io::Write;
        let log = std::fs::OpenOptions::new()
            .append(true)
            .open(self.directories.log());
        if let Ok(mut log) = log {
            for notice in notices {
                let _ = writeln!(log, "{}", notice.text);
            }
        }
        for notice in notices {
            self.session.events.tell(Event::Elog {
                package: self.package.clone(),
                phase: "install".into(),
                level: match notice.level {
                    Level::Info => "info",
                    Level::Warn => "warn",
                    Level::Qa => "qa",
                    Level::Error => "error",
                }
                .into(),
                text: notice.text.clone(),
            });
        }
    }

    /// Everything that packaging needs to know.
    pub(super) fn packaging(&self, prepared: &Prepared, variables: &[u8]) -> Packaging {
        let config = &self.session.config;
        let candidate = self.candidate;
        let cpv = candidate.cpv();
        let dirs = &self.directories;
        let configured = |name: &str| {
            candidate
                .config
                .variables
                .get(name)
                .cloned()
                .unwrap_or_default()
        };
        Packaging {
            cpv: cpv.clone(),
            eapi: candidate.eapi,
            image: Image {
                d: dirs.image(),
                eprefix: String::new(),
                build_info: dirs.build_info(),
                build_dir: dirs.root.clone(),
                temp: dirs.temp(),
                root: config.root().to_owned(),
                category: cpv.category().to_owned(),
                pn: cpv.pn().to_owned(),
                p: cpv.p().to_owned(),
                pf: cpv.pf().to_owned(),
                slot: candidate.value("SLOT").to_owned(),
                chost: configured("CHOST"),
                arch: configured("ARCH"),
                features: candidate.config.features.clone(),
                restrict: prepared.restrict.iter().cloned().collect::<BTreeSet<_>>(),
                search_path: configured("PATH").into(),
            },
            ebuild: candidate.ebuild.path.clone(),
            repository: candidate.ebuild.repository.to_string(),
            repo_revisions: prepared.revisions.text.clone(),
            variables: shell_variables(variables),
            environment: kept_environment(&dirs.private(), Phase::Install.name()),
            configured: prepared.configured.clone(),
            iuse: candidate.value("IUSE").to_owned(),
            iuse_effective: candidate.config.iuse_effective.clone(),
            use_flags: candidate.config.use_flags.clone(),
            conditional: packaging::conditional_values(|key| candidate.value(key).to_owned()),
            build_ids: prepared.build_ids,
            installed_ids: self.installed_ids(),
            unprivileged: !nix::unistd::geteuid().is_root(),
            bash: self.bash(),
            library_paths: library_paths(config.root(), &configured("LD_LIBRARY_PATH")),
            pkgdir: config.pkgdir(),
            format: self.settings.format,
            header: index_header(config),
            input: input::of_build(&self.directories),
        }
    }
}
