//! What comes before the first phase: the lock, what the phases need to know, and what an earlier
//! build left that can be taken up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid};

use super::{Build, BuildError};
use crate::build::build_info::InstalledPackages;
use crate::build::candidate::eclass_dirs;
use crate::build::directories::DirectoryError;
use crate::build::event::Event;
use crate::build::failure::Failure;
use crate::build::fetching::{Distfiles, FetchingError};
use crate::build::isolation::Isolation;
use crate::build::kept_configuration;
use crate::build::make_options;
use crate::build::revisions::Revisions;
use crate::build::runtime;
use crate::build::state::{self, Progress, StateError};
use crate::build::variables::Sources;
use crate::config::PackageConfig;
use crate::pms::atom::PackageFacts;
use crate::pms::dependency::DepSpec;
use crate::pms::phase::Phase;
use crate::repo::manifest::Manifest;
use crate::repo::{ManifestPolicy, ManifestProblem};
use crate::util::causes::causes;
use crate::util::digest::{HashName, MultiDigest};
use crate::util::lock::{Lock, LockError, portage_lockfile};

/// How long the processes of a build whose supervisor is gone may take to end.
pub(super) const PREDECESSOR_LIMIT: Duration = Duration::from_secs(5);

/// How often the folder of the build's lock may vanish before it is locked.
pub(super) const LOCK_ATTEMPTS: u32 = 1000;

/// What was found out before the first phase.
pub(super) struct Prepared {
    pub(super) distfiles: Distfiles,
    pub(super) restrict: Vec<String>,
    pub(super) properties: Vec<String>,
    /// The variables of the configuration, with what holds where they are not set.
    pub(super) configured: BTreeMap<String, String>,
    pub(super) eclass_dirs: Vec<PathBuf>,
    pub(super) use_flags: Vec<String>,
    pub(super) iuse_effective: Vec<String>,
    pub(super) features: String,
    pub(super) replacing: Vec<String>,
    pub(super) revisions: Revisions,
    pub(super) build_ids: (u32, u32),
    pub(super) user: (String, String),
    pub(super) isolation: Isolation,
}

/// Values that the variables of a build borrow.
pub(super) struct Places {
    pub(super) restrict: String,
    pub(super) properties: String,
    pub(super) distdir: PathBuf,
    pub(super) tmpdir: PathBuf,
    pub(super) helpers: PathBuf,
    pub(super) kernel: String,
}

impl Build<'_> {
    /// The folder of the package in its repository.
    pub(super) fn folder(&self) -> &Path {
        let path = &self.candidate.ebuild.path;
        path.parent().unwrap_or(path)
    }

    /// The lock that keeps everybody else, Portage included, from building in this directory.
    pub(super) async fn lock(&self) -> Result<Lock, BuildError> {
        let path = portage_lockfile(&self.directories.lock_subject());
        let mut told = false;
        let mut attempts = 0;
        loop {
            attempts += 1;
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(|source| DirectoryError {
                    path: parent.to_owned(),
                    what: "cannot be made",
                    source,
                })?;
            }
            let lock = match Lock::try_acquire(&path) {
                Ok(Some(lock)) => Ok(lock),
                Ok(None) => {
                    if !std::mem::replace(&mut told, true) {
                        self.session.events.tell(Event::Waiting {
                            package: self.package.clone(),
                            path: path.clone(),
                        });
                    }
                    Lock::acquire_async(&path).await
                }
                Err(error) => Err(error),
            };
            match lock {
                Ok(lock) => return Ok(lock.remove_on_release()),
                // Another build, now done, has removed the folder as the last of its category.
                Err(LockError::Open { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound
                        && attempts < LOCK_ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the processes of an earlier build here are gone. If that one's supervisor was
    /// killed a moment ago, its lock is free while they are still being ended.
    pub(super) async fn wait_for_predecessor(&self) {
        let deadline = Instant::now() + PREDECESSOR_LIMIT;
        while self.directories.warden_is_there() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Checks the ebuild and its files against the Manifest, where the repository's Manifests list
    /// them and FEATURES has `strict`.
    pub(super) fn check_files(&self) -> Result<(), BuildError> {
        let repositories = self.session.config.repositories();
        let Some(repository) = repositories.repository(&self.candidate.ebuild.repository) else {
            return Ok(());
        };
        let layout = repository.layout();
        let wanted = !layout.thin_manifests
            && layout.use_manifests != ManifestPolicy::Absent
            && self.candidate.config.features.contains("strict");
        if !wanted {
            return Ok(());
        }
        let folder = self.folder();
        let path = folder.join("Manifest");
        let manifest = match Manifest::read(folder).map_err(FetchingError::from)? {
            Some(manifest) => manifest,
            None => Manifest::parse(b"", &path).map_err(FetchingError::from)?,
        };
        let problems: Vec<String> = manifest
            .check_package(folder)
            .into_iter()
            .filter(|problem| {
                layout.use_manifests == ManifestPolicy::Strict
                    || !matches!(problem, ManifestProblem::Unlisted { .. })
            })
            .map(|problem| causes(&problem).join(": "))
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(BuildError::Files {
                manifest: path,
                problems,
            })
        }
    }

    /// Finds out what the phases need to know.
    pub(super) fn prepare(&self) -> Result<Prepared, BuildError> {
        let candidate = self.candidate;
        let words = |spec: DepSpec<String>| spec.leaves().cloned().collect::<Vec<_>>();
        let restrict = words(candidate.evaluated("RESTRICT", DepSpec::parse_restrict)?);
        let properties = words(candidate.evaluated("PROPERTIES", DepSpec::parse_properties)?);
        let eclass_dirs = eclass_dirs(self.session, &candidate.ebuild.repository)?;
        let isolation = Isolation::new(
            &self.session.config,
            candidate,
            &restrict,
            &properties,
            &eclass_dirs,
            &self.directories.home(),
        )?;
        let user = build_user(&isolation);
        Ok(Prepared {
            distfiles: Distfiles::of(candidate)?,
            isolation,
            restrict,
            properties,
            configured: make_options::with_defaults(&candidate.config.variables),
            eclass_dirs,
            use_flags: candidate.config.use_flags.iter().cloned().collect(),
            iuse_effective: askable(&candidate.config),
            features: candidate
                .config
                .features
                .iter()
                .cloned()
                .collect::<Vec<_>>()
                .join(" "),
            replacing: self.replaced(),
            revisions: Revisions::of(self.session.config.repositories(), candidate),
            build_ids: user.0,
            user: user.1,
        })
    }

    /// Uid and gid that installed files get.
    pub(super) fn installed_ids(&self) -> (u32, u32) {
        let configured = |name: &str| self.session.config.get(name)?.parse().ok();
        let uid = || nix::unistd::geteuid().as_raw();
        let gid = || nix::unistd::getegid().as_raw();
        (
            configured("PORTAGE_INST_UID").unwrap_or_else(uid),
            configured("PORTAGE_INST_GID").unwrap_or_else(gid),
        )
    }

    /// The installed versions of the same slot.
    pub(super) fn replaced(&self) -> Vec<String> {
        let candidate = self.candidate;
        let Ok(atom) = crate::pms::atom::Atom::for_package(candidate.cpv().cp()) else {
            return Vec::new();
        };
        self.session
            .installed
            .matches(&atom)
            .into_iter()
            .filter(|package| package.slot == candidate.slot())
            .map(|package| package.cpv.pvr().to_owned())
            .collect()
    }

    /// A checksum of everything that the outcome of the phases depends on.
    pub(super) fn fingerprint(&self, prepared: &Prepared) -> Result<String, BuildError> {
        let candidate = self.candidate;
        let mut digest = MultiDigest::new(&[HashName::Sha512]);
        let path = &candidate.ebuild.path;
        let ebuild = std::fs::read(path).map_err(|source| BuildError::Read {
            path: path.clone(),
            source,
        })?;
        digest.update(&ebuild);
        // Sorted: an entry that was just sourced and the same one from a cache differ in order.
        let metadata: BTreeMap<&str, &str> = candidate.entry.iter().collect();
        let variables = candidate.config.variables.iter();
        let variables = variables.filter(|(name, _)| !state::is_indifferent(name));
        let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
        for (key, value) in metadata.into_iter().chain(variables) {
            digest.update(format!("\0{key}={value}").as_bytes());
        }
        digest.update(prepared.use_flags.join(" ").as_bytes());
        let digests = digest.finish();
        Ok(digests
            .get(HashName::Sha512)
            .and_then(|hex| hex.get(..32))
            .unwrap_or_default()
            .to_owned())
    }

    /// The progress of the build that is to be taken up, with the directories as it needs them.
    pub(super) fn take_up(&self, input: &str) -> Result<Progress, BuildError> {
        let private = self.directories.private();
        let mut progress = Progress::load(&private, input).inspect_err(|error| {
            let changed = kept_configuration::changed(&self.directories, self.candidate);
            if matches!(error, StateError::OtherInput { .. }) && !changed.is_empty() {
                self.notice(&format!("not as it was: {}", changed.join(", ")));
            }
        })?;
        self.directories.reopen()?;
        // A phase that changes the sources in place cannot be run twice on them: if it has begun
        // but not ended, unpacking is where to begin.
        let begun = self.prepare_mark();
        if begun.exists() && !progress.has(Phase::Prepare.name()) {
            progress
                .finished
                .retain(|phase| phase != Phase::Unpack.name());
            self.directories.empty_work()?;
            self.forget_patches()?;
            self.notice("src_prepare was begun but not finished: the sources are unpacked anew");
        }
        let _ = std::fs::remove_file(private.join("helper-failed"));
        Failure::forget(&self.directories);
        Ok(progress)
    }

    /// The file that tells that `src_prepare` has begun.
    pub(super) fn prepare_mark(&self) -> PathBuf {
        self.directories.private().join("prepare-begun")
    }

    /// What the variables are made of.
    pub(super) fn sources<'b>(
        &'b self,
        prepared: &'b Prepared,
        places: &'b Places,
    ) -> Result<Sources<'b>, BuildError> {
        let config = &self.session.config;
        let candidate = self.candidate;
        let repository = config
            .repositories()
            .repository(&candidate.ebuild.repository);
        let masters = config.repositories().masters(&candidate.ebuild.repository);
        let master = masters.ok().and_then(|masters| masters.first().copied());
        Ok(Sources {
            cpv: candidate.cpv(),
            eapi: candidate.eapi,
            slot: candidate.value("SLOT"),
            directories: &self.directories,
            ebuild: &candidate.ebuild.path,
            repository: &candidate.ebuild.repository,
            master_path: master
                .or(repository)
                .map_or(Path::new("/"), |r| r.location()),
            configured: &prepared.configured,
            use_flags: &prepared.use_flags,
            iuse_effective: &prepared.iuse_effective,
            distfiles: &prepared.distfiles.wanted,
            all_distfiles: &prepared.distfiles.all,
            restrict: &places.restrict,
            properties: &places.properties,
            features: &prepared.features,
            root: config.root(),
            config_root: config.config_root(),
            distdir: &places.distdir,
            tmpdir: &places.tmpdir,
            helpers: &places.helpers,
            user: (&prepared.user.0, &prepared.user.1),
            installed_ids: self.installed_ids(),
            kernel: &places.kernel,
            replacing_versions: &prepared.replacing,
        })
    }

    /// Values that the variables borrow.
    pub(super) fn places(&self, prepared: &Prepared) -> Places {
        let config = &self.session.config;
        Places {
            restrict: prepared.restrict.join(" "),
            properties: prepared.properties.join(" "),
            distdir: config.distdir(),
            tmpdir: config.tmpdir(),
            helpers: runtime::helper_folder(&self.directories.private()),
            kernel: nix::sys::utsname::uname()
                .map(|names| names.release().to_string_lossy().into_owned())
                .unwrap_or_default(),
        }
    }
}

/// The flags that an ebuild may ask for; one that ends in `*` stands for all that begin so.
fn askable(config: &PackageConfig) -> Vec<String> {
    let prefixes = config
        .iuse_prefixes
        .iter()
        .map(|prefix| format!("{prefix}*"));
    config
        .iuse_effective
        .iter()
        .cloned()
        .chain(prefixes)
        .collect()
}

/// Uid and gid that the phases which compile run as, with their names.
fn build_user(isolation: &Isolation) -> ((u32, u32), (String, String)) {
    let (uid, gid) = match isolation.user(Phase::Compile) {
        Some(user) => (Uid::from_raw(user.uid), Gid::from_raw(user.gid)),
        None => (nix::unistd::geteuid(), nix::unistd::getegid()),
    };
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    let group = nix::unistd::Group::from_gid(gid).ok().flatten();
    (
        (uid.as_raw(), gid.as_raw()),
        (
            user.map_or_else(|| uid.to_string(), |user| user.name),
            group.map_or_else(|| gid.to_string(), |group| group.name),
        ),
    )
}
