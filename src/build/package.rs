//! Building one package, from its distfiles to the file in PKGDIR.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::build_info::InstalledPackages;
use super::candidate::{Candidate, CandidateError, eclass_dirs};
use super::directories::{Directories, DirectoryError};
use super::driver::{Driver, DriverSetup, PhaseError, kept_environment};
use super::event::Event;
use super::fetching::{self, Distfiles, FetchingError, causes};
use super::image::{Image, Level, Notice};
use super::log::{Follower, last_lines};
use super::packaging::{Packaging, PackagingError, shell_variables, wanted_variables};
use super::runtime::{self, RuntimeError};
use super::session::Session;
use super::state::{self, Progress, StateError};
use super::token;
use super::variables::Sources;
use crate::binpkg::index::HeaderSettings;
use crate::binpkg::pkgdir::{Format, Written};
use crate::config::Config;
use crate::pms::atom::PackageFacts;
use crate::pms::dependency::DepSpec;
use crate::pms::phase::Phase;
use crate::processor::frame::Death;
use crate::processor::library::{self, quote};
use crate::processor::{ProcessorError, Shell, ShellError, ShellSetup};
use crate::repo::manifest::Manifest;
use crate::repo::{ManifestPolicy, ManifestProblem, RepoError};
use crate::util::digest::{HashName, MultiDigest};
use crate::util::lock::{Lock, LockError, portage_lockfile};

/// How long the processes of a build whose supervisor is gone may take to end.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(5);

/// How often the folder of the build's lock may vanish before it is locked.
const LOCK_ATTEMPTS: u32 = 1000;

/// How many lines of the log a failure shows.
const SHOWN_LINES: usize = 25;

/// Why a package could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Its metadata is not valid.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// A repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The build's lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The build's directories cannot be made.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The build cannot be taken up, or its progress not kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file of the build's private directory cannot be written.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The distfiles cannot be had.
    #[error(transparent)]
    Fetching(#[from] FetchingError),
    /// A processor cannot be started.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
    /// A shell cannot be started.
    #[error(transparent)]
    Shell(#[from] ShellError),
    /// The ebuild could not be sourced, or its environment not be loaded.
    #[error("sourcing failed")]
    Sourcing(#[source] PhaseError),
    /// A phase failed.
    #[error("{function} failed")]
    Phase {
        /// The phase.
        phase: Phase,
        /// Its function.
        function: &'static str,
        /// How.
        #[source]
        source: PhaseError,
    },
    /// What is done between phases failed.
    #[error(transparent)]
    Between(PhaseError),
    /// The package could not be made of the image.
    #[error(transparent)]
    Packaging(#[from] PackagingError),
    /// A file of the build cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The package's own files are not as its Manifest has them.
    #[error("{}: does not fit the package's files\n{}", manifest.display(), problems.join("\n"))]
    Files {
        /// The Manifest.
        manifest: PathBuf,
        /// What does not fit, a line each.
        problems: Vec<String>,
    },
    /// A thread of ours ended early.
    #[error("{0}: the work was not finished")]
    Interrupted(&'static str),
}

impl BuildError {
    /// The phase in which it happened, if in one.
    #[must_use]
    pub fn phase(&self) -> Option<&'static str> {
        match self {
            Self::Phase { phase, .. } => Some(phase.name()),
            Self::Packaging(_) => Some("package"),
            Self::Fetching(_) => Some("fetch"),
            _ => None,
        }
    }

    /// The file, line and function of the ebuild or eclass where the build was ended.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        let (Self::Phase { source, .. } | Self::Sourcing(source)) = self else {
            return None;
        };
        let PhaseError::Died(death) = source else {
            return None;
        };
        let Death {
            file,
            line,
            function,
            ..
        } = death.as_ref();
        match (file.as_str(), line.as_str()) {
            ("", _) => None,
            (file, "") => Some(format!("{file} ({function})")),
            (file, line) => Some(format!("{file}:{line} ({function})")),
        }
    }
}

/// How packages are to be built.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Take up builds behind the last phase that they finished.
    pub resume: bool,
    /// End each build behind this phase instead of making a package.
    pub stop_after: Option<Phase>,
    /// Keep the build's directory when it succeeds.
    pub keep: bool,
    /// Tell every line of the log.
    pub verbose: bool,
    /// How long one phase may take.
    pub phase_limit: Option<Duration>,
    /// The format of the packages.
    pub format: Format,
    /// The bash that checks scripts.
    pub bash: PathBuf,
}

/// How a build ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// With a package.
    Packed(Written),
    /// Where [`Settings::stop_after`] says.
    Stopped,
    /// With an error, which was told as an event.
    Failed,
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

/// Builds the candidate and tells how it went. Nothing but the told events comes of a failure: the
/// build's directory stays for a look or for `--resume`, PKGDIR is as it was.
pub async fn build(session: &Session, candidate: &Candidate, settings: &Settings) -> Outcome {
    let begin = Instant::now();
    let package = candidate.cpv().to_string();
    session.events.tell(Event::Started {
        package: package.clone(),
        repository: candidate.ebuild.repository.to_string(),
    });
    let cpv = candidate.cpv();
    let directories = Directories::new(&session.config.tmpdir(), cpv.category(), cpv.pf());
    let build = Build {
        session,
        candidate,
        settings,
        directories,
        package: package.clone(),
    };
    match build.run().await {
        Ok(Some(written)) => {
            build.directories.remove_category();
            session.events.tell(Event::Finished {
                package,
                path: written.path.clone(),
                build_id: written.build_id.unwrap_or_default(),
                size: written.size,
                seconds: begin.elapsed().as_secs_f64(),
            });
            Outcome::Packed(written)
        }
        Ok(None) => {
            session.events.tell(Event::Stopped {
                package,
                directory: build.directories.root.clone(),
                seconds: begin.elapsed().as_secs_f64(),
            });
            Outcome::Stopped
        }
        Err(error) => {
            let log = build.directories.log();
            let shows_log = matches!(
                error,
                BuildError::Phase { .. } | BuildError::Sourcing(_) | BuildError::Packaging(_)
            );
            session.events.tell(Event::Failed {
                package,
                phase: error.phase().map(str::to_owned),
                causes: causes(&error),
                place: error.place(),
                last_lines: if shows_log {
                    last_lines(&log, SHOWN_LINES)
                } else {
                    Vec::new()
                },
                log: (shows_log && log.exists()).then_some(log),
                resumable: matches!(error, BuildError::Phase { .. } | BuildError::Packaging(_)),
            });
            Outcome::Failed
        }
    }
}

/// One build.
struct Build<'a> {
    session: &'a Session,
    candidate: &'a Candidate,
    settings: &'a Settings,
    directories: Directories,
    package: String,
}

/// What was found out before the first phase.
struct Prepared {
    distfiles: Distfiles,
    restrict: Vec<String>,
    properties: Vec<String>,
    eclass_dirs: Vec<PathBuf>,
    use_flags: Vec<String>,
    iuse_effective: Vec<String>,
    features: String,
    replacing: Vec<String>,
    build_ids: (u32, u32),
    user: (String, String),
}

impl Build<'_> {
    /// From the lock to the package, or to the phase behind which the build is to stop.
    async fn run(&self) -> Result<Option<Written>, BuildError> {
        let _lock = self.lock().await?;
        self.wait_for_predecessor().await;
        self.check_files()?;
        let prepared = self.prepare()?;
        let input = self.fingerprint(&prepared)?;
        let progress = if self.settings.resume {
            self.take_up(&input)?
        } else {
            Progress::forget(&self.directories.private())?;
            self.directories.create_afresh()?;
            let progress = Progress {
                input,
                finished: Vec::new(),
                image_finished: false,
            };
            progress.store(&self.directories.private())?;
            progress
        };
        self.tell_phase("fetch");
        if let Err(error) = fetching::fetch(self.session, self.candidate, &prepared.distfiles).await
        {
            if error.wants_nofetch() {
                self.nofetch(&prepared).await;
            }
            return Err(error.into());
        }
        let config = &self.session.config;
        self.directories
            .link_distfiles(&config.distdir(), &prepared.distfiles.wanted)?;
        let files = self.folder().join("files");
        self.directories.link_files(&files)?;
        let follower = self.settings.verbose.then(|| {
            Follower::start(
                self.directories.log(),
                self.package.clone(),
                self.session.events.clone(),
            )
        });
        let result = self.phases_and_package(&prepared, progress).await;
        if let Some(follower) = follower {
            follower.end().await;
        }
        let Some(written) = result? else {
            return Ok(None);
        };
        let feature = |name: &str| self.candidate.config.features.contains(name);
        if !self.settings.keep && !feature("noclean") && !feature("keepwork") {
            Progress::forget(&self.directories.private())?;
            self.directories.remove()?;
        }
        Ok(Some(written))
    }

    /// The folder of the package in its repository.
    fn folder(&self) -> &Path {
        let path = &self.candidate.ebuild.path;
        path.parent().unwrap_or(path)
    }

    fn tell_phase(&self, phase: &str) {
        self.session.events.tell(Event::Phase {
            package: self.package.clone(),
            phase: phase.to_owned(),
        });
    }

    /// The lock that keeps everybody else, Portage included, from building in this directory.
    async fn lock(&self) -> Result<Lock, BuildError> {
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
    async fn wait_for_predecessor(&self) {
        let deadline = Instant::now() + PREDECESSOR_LIMIT;
        while self.directories.warden_is_there() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Checks the ebuild and its files against the Manifest, where the repository's Manifests list
    /// them and FEATURES has `strict`.
    fn check_files(&self) -> Result<(), BuildError> {
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
    fn prepare(&self) -> Result<Prepared, BuildError> {
        let candidate = self.candidate;
        let words = |spec: DepSpec<String>| spec.leaves().cloned().collect::<Vec<_>>();
        let user = self.build_user();
        Ok(Prepared {
            distfiles: Distfiles::of(candidate)?,
            restrict: words(candidate.evaluated("RESTRICT", DepSpec::parse_restrict)?),
            properties: words(candidate.evaluated("PROPERTIES", DepSpec::parse_properties)?),
            eclass_dirs: eclass_dirs(self.session, &candidate.ebuild.repository)?,
            use_flags: candidate.config.use_flags.iter().cloned().collect(),
            iuse_effective: candidate.config.iuse_effective.iter().cloned().collect(),
            features: candidate
                .config
                .features
                .iter()
                .cloned()
                .collect::<Vec<_>>()
                .join(" "),
            replacing: self.replaced(),
            build_ids: user.0,
            user: user.1,
        })
    }

    /// Uid and gid that phases run as, with their names.
    fn build_user(&self) -> ((u32, u32), (String, String)) {
        let uid = nix::unistd::geteuid();
        let gid = nix::unistd::getegid();
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

    /// Uid and gid that installed files get.
    fn installed_ids(&self, prepared: &Prepared) -> (u32, u32) {
        let configured = |name: &str| self.session.config.get(name)?.parse().ok();
        (
            configured("PORTAGE_INST_UID").unwrap_or(prepared.build_ids.0),
            configured("PORTAGE_INST_GID").unwrap_or(prepared.build_ids.1),
        )
    }

    /// The installed versions of the same slot.
    fn replaced(&self) -> Vec<String> {
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
    fn fingerprint(&self, prepared: &Prepared) -> Result<String, BuildError> {
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
    fn take_up(&self, input: &str) -> Result<Progress, BuildError> {
        let private = self.directories.private();
        let mut progress = Progress::load(&private, input)?;
        self.directories.reopen()?;
        // A phase that changes the sources in place cannot be run twice on them: if it has begun
        // but not ended, unpacking is where to begin.
        let begun = self.prepare_mark();
        if begun.exists() && !progress.has(Phase::Prepare.name()) {
            progress
                .finished
                .retain(|phase| phase != Phase::Unpack.name());
            self.directories.empty_work()?;
            let mark = self
                .directories
                .temp()
                .join(".portage_user_patches_applied");
            let _ = std::fs::remove_file(mark);
            let _ = std::fs::remove_file(begun);
        }
        let _ = std::fs::remove_file(private.join("helper-failed"));
        Ok(progress)
    }

    /// The file that tells that `src_prepare` has begun.
    fn prepare_mark(&self) -> PathBuf {
        self.directories.private().join("prepare-begun")
    }

    /// What the variables are made of.
    fn sources<'b>(
        &'b self,
        prepared: &'b Prepared,
        places: &'b Places,
    ) -> Result<Sources<'b>, BuildError> {
        let config = &self.session.config;
        let candidate = self.candidate;
        let repository = config
            .repositories()
            .repository(&candidate.ebuild.repository);
        Ok(Sources {
            cpv: candidate.cpv(),
            eapi: candidate.eapi,
            slot: candidate.value("SLOT"),
            directories: &self.directories,
            ebuild: &candidate.ebuild.path,
            repository: &candidate.ebuild.repository,
            repository_path: repository.map_or(Path::new("/"), |r| r.location()),
            configured: &candidate.config.variables,
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
            installed_ids: self.installed_ids(prepared),
            replacing_versions: &prepared.replacing,
        })
    }

    /// Starts the shell, from the environment after `restore` if there is such a phase.
    async fn start(
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

    fn write_phase(
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
    async fn phases_and_package(
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
        let mut driver = Driver::new(DriverSetup {
            shell,
            events: self.session.events.clone(),
            package: self.package.clone(),
            private: self.directories.private(),
            visible_environment: self.directories.environment(),
            progress,
            phase_limit: self.settings.phase_limit,
        });
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
    async fn drive(
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
    fn leaves_something(&self, phase: Phase, prepared: &Prepared) -> bool {
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
    fn tests(&self, prepared: &Prepared) -> bool {
        let allowed = prepared
            .properties
            .iter()
            .any(|word| word == "test_network" || word == "test_privileged");
        self.candidate.config.features.contains("test")
            && (allowed || !prepared.restrict.iter().any(|word| word == "test"))
    }

    async fn run_phase(
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
    fn phase_text(&self, phase: Phase) -> Vec<u8> {
        let mut text = self.phase_call(phase);
        text.extend(phase_end(phase));
        text
    }

    /// The command without the message that the phase is done.
    fn phase_call(&self, phase: Phase) -> Vec<u8> {
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
    fn variables_file(&self) -> PathBuf {
        self.directories.private().join("variables")
    }

    /// Lets the ebuild say how its distfiles are to be had. That they are not there is told in any
    /// case, so a failure here adds nothing.
    async fn nofetch(&self, prepared: &Prepared) {
        let places = self.places(prepared);
        let Ok(sources) = self.sources(prepared, &places) else {
            return;
        };
        let token = token::fresh();
        let Ok(shell) = self.start(prepared, &sources, &token, None).await else {
            return;
        };
        let mut driver = Driver::new(DriverSetup {
            shell,
            events: self.session.events.clone(),
            package: self.package.clone(),
            private: self.directories.private(),
            visible_environment: self.directories.environment(),
            progress: Progress {
                input: String::new(),
                finished: Vec::new(),
                image_finished: false,
            },
            phase_limit: self.settings.phase_limit,
        });
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

    /// Values that the variables borrow.
    fn places(&self, prepared: &Prepared) -> Places {
        let config = &self.session.config;
        Places {
            restrict: prepared.restrict.join(" "),
            properties: prepared.properties.join(" "),
            distdir: config.distdir(),
            tmpdir: config.tmpdir(),
            helpers: runtime::helper_folder(&self.directories.private()),
        }
    }

    /// Makes the package of the image, in a thread of its own.
    async fn package(
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
    fn tell_notices(&self, notices: &[Notice]) {
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
    fn packaging(&self, prepared: &Prepared, variables: &[u8]) -> Packaging {
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
            variables: shell_variables(variables),
            environment: kept_environment(&dirs.private(), Phase::Install.name()),
            configured: candidate.config.variables.clone(),
            iuse: candidate.value("IUSE").to_owned(),
            iuse_effective: candidate.config.iuse_effective.clone(),
            use_flags: candidate.config.use_flags.clone(),
            conditional: super::packaging::conditional_values(|key| {
                candidate.value(key).to_owned()
            }),
            build_ids: prepared.build_ids,
            installed_ids: self.installed_ids(prepared),
            unprivileged: !nix::unistd::geteuid().is_root(),
            bash: self.settings.bash.clone(),
            library_paths: Vec::new(),
            pkgdir: config.pkgdir(),
            format: self.settings.format,
            header: HeaderSettings {
                profile: profile_name(config),
                variables: config
                    .variables()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            },
        }
    }
}

/// The command that tells that a phase is done.
fn phase_end(phase: Phase) -> Vec<u8> {
    format!(
        "__ebd_notify phase-done {} || builtin exit 97\n",
        phase.name()
    )
    .into_bytes()
}

/// Values that the variables of a build borrow.
struct Places {
    restrict: String,
    properties: String,
    distdir: PathBuf,
    tmpdir: PathBuf,
    helpers: PathBuf,
}

/// The profile as the index names it: below `profiles` of its repository, or its path.
fn profile_name(config: &Config) -> Option<String> {
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
