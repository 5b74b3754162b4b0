//! Binary packages in the place of builds: the best one of PKGDIR and all hosts is brought into PKGDIR.

mod error;
mod remote;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;

use super::build_info::libc_packages;
use super::candidate::Candidate;
use super::event::{Event, UnfitBinary};
use super::fetching::Teller;
use super::input::{self, Input};
use super::package::index_header;
use super::packaging::pkgdir_options;
use super::session::Session;
use crate::binhost::Host;
use crate::binhost::bring::{Accept, Desk, Wanted, bring};
use crate::binhost::choice::{Ebuild, Unfit, Wish};
use crate::binhost::instances::{Instance, Instances};
use crate::binpkg::index::Index;
use crate::binpkg::package::Package;
use crate::binpkg::pkgdir::Pkgdir;
use crate::binpkg::selection::{EntryFacts, Names};
use crate::binpkg::signature::Policy;
use crate::pms::atom::{Atom, PackageFacts};
use crate::util::causes::causes;

pub use self::error::BinariesError;
use self::remote::audit;
pub use self::remote::{hosts, indexes, policy_for_hosts};

/// Which binary packages are used, and when.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Nothing is built, and ebuilds are not looked at.
    pub packages_only: bool,
    /// Hosts are asked too.
    pub remote: bool,
    /// Whether flags must be as wanted; without, they must where there are ebuilds.
    pub respect_use: Option<bool>,
    /// Whether dependencies must be as in the ebuild; without, they must where there are ebuilds.
    pub unchanged_deps: Option<bool>,
    /// How much of what they were made of must be as it is now.
    pub input: Compared,
    /// Nothing is fetched but indexes, and nothing is changed.
    pub pretend: bool,
}

/// How much of what a package was made of must be as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// Nothing, as in Portage.
    Ignore,
    /// Ebuild, eclasses, files, sources and patches, where the package says what they were.
    Sources,
    /// All of it, with the flags for compilers and the builds of its dependencies; and the package must say so.
    All,
}

/// A binary package that is used.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// What its index says.
    pub instance: Instance,
    /// The name of the host that has it; none if PKGDIR has it.
    pub host: Option<String>,
    /// Where it is, unless nothing was to be done.
    pub path: Option<PathBuf>,
}

/// All binary packages there are, and how they are chosen.
#[derive(Debug)]
pub struct Binaries {
    instances: Instances,
    /// None if nothing is to be brought, or PKGDIR is not there.
    desk: Option<Desk>,
    pkgdir: Option<Pkgdir>,
    options: Options,
    libc: BTreeSet<String>,
}

/// The ebuild that a package is of: of its repository, or, as in Portage, of another one. One that cannot be read is
/// none.
async fn ebuild_of(session: &Session, instance: &Instance) -> Option<Candidate> {
    let ebuilds = session.config.repositories().ebuilds(instance.cpv.cp());
    let repository = instance.entry.get("REPO");
    let same: Vec<_> = ebuilds
        .ok()?
        .into_iter()
        .filter(|ebuild| ebuild.cpv == instance.cpv)
        .collect();
    let ebuild = same
        .iter()
        .find(|ebuild| Some(&*ebuild.repository) == repository)
        .or(same.last())?;
    Candidate::load(session, ebuild.clone()).await.ok()
}

impl Binaries {
    /// Looks at PKGDIR and, if wanted, at the hosts. Hosts that cannot be used are told of and passed over.
    ///
    /// # Errors
    /// The configuration or PKGDIR cannot be read, or there is no host to be asked.
    pub async fn open(session: &Session, options: Options) -> Result<Self, BinariesError> {
        let config = &session.config;
        let settings = pkgdir_options(|name| config.features().contains(name));
        let pkgdir = match options.pretend {
            true => Pkgdir::existing(&config.pkgdir(), settings).ok(),
            false => Some(Pkgdir::open(&config.pkgdir(), settings)?),
        };
        let local = match &pkgdir {
            Some(pkgdir) => Some(Index::read(&pkgdir.index_path())?),
            None => None,
        };
        let notice = |text: String| session.events.tell(Event::Notice { text });
        let mut found = Vec::new();
        if options.remote {
            let (hosts, warnings) = hosts(config, session.fetcher.options(), &config.pkgdir())?;
            warnings.into_iter().for_each(notice);
            if hosts.is_empty() {
                return Err(BinariesError::NoHost);
            }
            let (good, bad) = indexes(hosts, &session.binhost_cache, options.pretend).await;
            for error in bad {
                notice(causes(&error).join(": "));
            }
            found = good;
        }
        let instances = Instances::new(local.as_ref(), found);
        instances.notices.iter().cloned().for_each(notice);
        let usual = Policy::from_features(|name| config.features().contains(name));
        let desk = match (&pkgdir, options.pretend) {
            (Some(pkgdir), false) => Some(Desk {
                pkgdir: pkgdir.clone(),
                header: index_header(config),
                own: audit(config, usual)?,
                hosts: instances
                    .hosts()
                    .map(|host| audit(config, host.policy))
                    .collect::<Result<_, _>>()?,
            }),
            _ => None,
        };
        let libc = libc_packages(session.installed.as_ref());
        Ok(Self {
            instances,
            desk,
            pkgdir,
            options,
            libc: libc.iter().map(|cpv| cpv.cp().to_owned()).collect(),
        })
    }

    /// Finds packages in the place of builds, `jobs` at a time: what is used, and the candidates that are left to be
    /// built.
    pub async fn instead_of(
        &self,
        session: &Session,
        candidates: Vec<Candidate>,
        jobs: usize,
    ) -> (Vec<Chosen>, Vec<Candidate>) {
        let work = candidates.into_iter().map(|candidate| async move {
            let instances = self.instances.named(candidate.cpv().cp());
            let same: Vec<&Instance> = instances
                .filter(|instance| instance.cpv == *candidate.cpv())
                .collect();
            let used = self.first_that_fits(session, &same, Some(&candidate)).await;
            (candidate, used)
        });
        let done: Vec<_> = futures_util::stream::iter(work)
            .buffered(jobs.max(1))
            .collect()
            .await;
        let (mut used, mut left) = (Vec::new(), Vec::new());
        for (candidate, chosen) in done {
            match chosen {
                Some(chosen) => used.push(chosen),
                None => left.push(candidate),
            }
        }
        (used, left)
    }

    /// Finds packages for what the user typed, whatever ebuilds there are. What cannot be found is told as a failure,
    /// and is nothing in the list.
    ///
    /// # Errors
    /// Something that was typed names no package.
    pub async fn only(
        &self,
        session: &Session,
        texts: &[String],
        jobs: usize,
    ) -> Result<Vec<Option<Chosen>>, BinariesError> {
        let all = self.instances.all().into_iter();
        let of_packages: BTreeSet<&str> = all.filter_map(|it| it.entry.get("REPO")).collect();
        let mut atoms = Vec::new();
        for text in texts {
            let atom = self.read(text)?;
            Names::parse(
                std::slice::from_ref(text),
                session.config.repositories().names(),
            )?
            .check(of_packages.iter().copied())?;
            // Hosts have packages of repositories that are not here, too.
            let known = session.config.repositories().resolve(atom.clone());
            atoms.push((text, known.unwrap_or(atom)));
        }
        let work = atoms.iter().map(|(text, atom)| async move {
            let matching: Vec<&Instance> = self
                .instances
                .named(atom.cp())
                .filter(|it| atom.matches(&EntryFacts::new(&it.entry, it.cpv.clone())))
                .collect();
            let chosen = self.first_that_fits(session, &matching, None).await;
            if chosen.is_none() {
                let reason = match matching.len() {
                    0 => "there is no binary package of it",
                    _ => "none of its binary packages can be used",
                };
                session.events.tell(Event::Failed {
                    package: (*text).clone(),
                    phase: None,
                    causes: vec![reason.to_owned()],
                    place: None,
                    log: None,
                    last_lines: Vec::new(),
                    resumable: false,
                });
            }
            chosen
        });
        Ok(futures_util::stream::iter(work)
            .buffered(jobs.max(1))
            .collect()
            .await)
    }

    /// The atom for what the user typed; a name without category is looked for among the packages.
    fn read(&self, text: &str) -> Result<Atom, BinariesError> {
        let parse = |name: &str| {
            Atom::parse_config(name).map_err(|source| BinariesError::NotAnAtom {
                text: text.to_owned(),
                source,
            })
        };
        if text.contains('/') || !text.starts_with(|letter: char| letter.is_ascii_alphanumeric()) {
            return parse(text);
        }
        let mut choices: Vec<String> = self
            .instances
            .names()
            .filter(|cp| cp.rsplit('/').next() == Some(text))
            .map(str::to_owned)
            .collect();
        choices.sort();
        match choices.as_slice() {
            [] => parse(&format!("unknown/{text}")),
            [one] => parse(one),
            _ => Err(BinariesError::Ambiguous {
                name: text.to_owned(),
                choices,
            }),
        }
    }

    /// Brings the first instance that fits; those before it are told, with what is wrong with them.
    async fn first_that_fits(
        &self,
        session: &Session,
        instances: &[&Instance],
        candidate: Option<&Candidate>,
    ) -> Option<Chosen> {
        let usual = !self.options.packages_only;
        let wish = Wish {
            config: &session.config,
            respect_use: self.options.respect_use.unwrap_or(usual),
            unchanged_deps: self.options.unchanged_deps.unwrap_or(usual),
            packages_only: self.options.packages_only,
            libc: &self.libc,
        };
        let accept = self.accept(session, candidate);
        let mut unfit = Vec::new();
        let mut chosen = None;
        for instance in instances {
            let found = match candidate {
                None if wish.unchanged_deps => ebuild_of(session, instance).await,
                _ => None,
            };
            let ebuild = candidate.or(found.as_ref()).map(|candidate| Ebuild {
                cpv: candidate.cpv(),
                repository: &candidate.ebuild.repository,
                eapi: candidate.eapi,
                entry: &candidate.entry,
                config: &candidate.config,
            });
            let host = self.instances.source(instance).map(|(host, _)| host);
            let judge = |instance: &Instance| wish.judge(instance, host, ebuild);
            let wanted = Wanted {
                accept: &accept,
                judge: &judge,
            };
            let result = match judge(instance) {
                Ok(()) => self.take(session, instance, wanted).await,
                Err(unfit) => Err(unfit),
            };
            match result {
                Ok(path) => {
                    chosen = Some(Chosen {
                        instance: (*instance).clone(),
                        host: host.map(Host::name),
                        path,
                    });
                    break;
                }
                Err(reason) => unfit.push(UnfitBinary {
                    path: instance.entry.path().into_owned(),
                    build_id: instance.entry.build_id(),
                    host: host.map(Host::name),
                    reason: reason.to_string(),
                }),
            }
        }
        if let (Some(first), false) = (instances.first(), unfit.is_empty()) {
            session.events.tell(Event::BinaryUnfit {
                package: first.cpv.to_string(),
                unfit,
            });
        }
        chosen
    }

    /// Says which packages are made of something else than the candidate is now; those that do not say what they are made
    /// of are only refused if they must be made of the very same.
    fn accept(&self, session: &Session, candidate: Option<&Candidate>) -> Accept {
        let whole = self.options.input == Compared::All;
        let candidate = candidate.filter(|_| self.options.input != Compared::Ignore);
        let Some(now) = candidate.map(|candidate| Input::of(session, candidate)) else {
            return Arc::new(|_| Ok(()));
        };
        Arc::new(move |metadata| {
            let made_of = metadata
                .get(input::FILE)
                .and_then(|text| Input::parse(text));
            let differing = match made_of {
                Some(made_of) => now.differences(&made_of, whole),
                None if whole => vec!["it does not say of what".to_owned()],
                None => Vec::new(),
            };
            match differing.is_empty() {
                true => Ok(()),
                false => Err(differing),
            }
        })
    }

    /// Whether a package would be taken, as far as it can be known without bringing it.
    fn would_take(&self, instance: &Instance, accept: &Accept) -> Result<(), Unfit> {
        if instance.host.is_some() {
            return Ok(());
        }
        let path = self
            .pkgdir
            .as_ref()
            .and_then(|pkgdir| pkgdir.path_of(&instance.entry));
        let metadata = path
            .ok_or_else(|| Unfit::Broken("it is not there".to_owned()))
            .and_then(|path| {
                let read = Package::open(&path).and_then(|mut package| package.metadata());
                read.map_err(|error| Unfit::Broken(causes(&error).join(": ")))
            })?;
        accept(&metadata).map_err(Unfit::Input)
    }

    /// Sees to it that a package is in PKGDIR; gives where, unless nothing is to be done.
    async fn take(
        &self,
        session: &Session,
        instance: &Instance,
        wanted: Wanted<'_>,
    ) -> Result<Option<PathBuf>, Unfit> {
        let Some(desk) = &self.desk else {
            return self.would_take(instance, wanted.accept).map(|()| None);
        };
        let begin = Instant::now();
        let package = instance.cpv.to_string();
        let host = self.instances.source(instance).map(|(host, _)| host.name());
        if let Some(host) = &host {
            session.events.tell(Event::BinaryFetch {
                package: package.clone(),
                path: instance.entry.path().into_owned(),
                host: host.clone(),
            });
        }
        let teller = Teller::of_package(&session.events, package.clone());
        let brought = bring(&self.instances, instance, desk, wanted, &teller.sender()).await;
        teller.end().await;
        let path = brought.map_err(|error| Unfit::from(&error))?;
        if let Some(audit) = instance.host.and_then(|number| desk.hosts.get(number)) {
            let (audit, path) = (audit.clone(), path.clone());
            let doubt = tokio::task::spawn_blocking(move || audit.doubt(&path)).await;
            if let Ok(Some(doubt)) = doubt {
                let causes = causes(&doubt).join(": ");
                let text = format!("{package} is used, although {causes}");
                session.events.tell(Event::Notice { text });
            }
        }
        session.events.tell(Event::BinaryUsed {
            package,
            path: path.clone(),
            build_id: instance.entry.build_id(),
            size: instance.entry.size().unwrap_or(0),
            host,
            seconds: begin.elapsed().as_secs_f64(),
        });
        Ok(Some(path))
    }
}
