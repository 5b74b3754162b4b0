//! How a set is made of what repos.conf says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{Member, RepoSet, RepoSettings, unknown};
use crate::repo::names::{RepositoryNames, TakenAlias, stack_aliases};
use crate::repo::{RepoError, Repository};

/// The priority that a main repository has when none is configured.
const MAIN_PRIORITY: i32 = -1000;

/// A repository, before what others say of it is looked at.
struct Opened<'a> {
    repository: Repository,
    priority: i32,
    aliases: Vec<String>,
    setting: &'a RepoSettings,
    /// Which of the settings that is.
    place: usize,
}

impl RepoSet {
    /// Opens the repositories and resolves their masters by name or alias. A repository that
    /// names no masters has the main repository, called `main`, as its only one.
    ///
    /// # Errors
    /// A repository cannot be opened or is called otherwise than configured, two have one name,
    /// or a master or `main` is not among them.
    pub fn new(settings: &[RepoSettings], main: Option<&str>) -> Result<Self, RepoError> {
        let opened = open(settings, main)?;
        let (positions, taken) = positions(&opened)?;
        let name_at = |at: usize| opened.get(at).map(|it| it.repository.name());
        let pairs = positions.iter();
        let names = Arc::new(RepositoryNames::new(
            pairs.filter_map(|(alias, at)| Some((alias.as_str(), name_at(*at)?))),
        ));
        let main = match main {
            Some(name) => Some(*positions.get(name).ok_or_else(|| unknown(&names, name))?),
            None => None,
        };

        let mut members = Vec::with_capacity(opened.len());
        for (at, one) in opened.into_iter().enumerate() {
            let (repository, setting) = (one.repository, one.setting);
            let named = setting
                .masters
                .as_ref()
                .or(repository.layout().masters.as_ref());
            let mut masters = Vec::new();
            match named {
                Some(list) => {
                    for master in list {
                        masters.push(*positions.get(master).ok_or_else(|| {
                            RepoError::MissingMaster {
                                repository: repository.name().to_owned(),
                                master: master.clone(),
                            }
                        })?);
                    }
                }
                None => masters.extend(main.filter(|main| *main != at)),
            }
            // The last one wins: a repository goes before its masters, unless it lists itself
            // among them, and of two masters the later one.
            let mut order = masters.clone();
            if !order.contains(&at) {
                order.push(at);
            }
            for other in &setting.eclass_overrides {
                order.push(
                    *positions
                        .get(other)
                        .ok_or_else(|| RepoError::MissingOverride {
                            repository: repository.name().to_owned(),
                            other: other.clone(),
                        })?,
                );
            }
            let mut eclass_order = Vec::new();
            for member in order.into_iter().rev() {
                if !eclass_order.contains(&member) {
                    eclass_order.push(member);
                }
            }
            masters.retain(|master| *master != at);
            let mut aliases = one.aliases;
            aliases.retain(|alias| positions.get(alias) == Some(&at));
            members.push(Member {
                repository,
                priority: one.priority,
                aliases,
                masters,
                eclass_order,
            });
        }
        Ok(Self {
            members,
            positions,
            names,
            taken,
            main,
            user_categories: Vec::new(),
            checksums: Mutex::default(),
        })
    }
}

/// Opens the repositories and puts them in ascending order of priority, then name.
fn open<'a>(
    settings: &'a [RepoSettings],
    main: Option<&str>,
) -> Result<Vec<Opened<'a>>, RepoError> {
    let mut opened = Vec::with_capacity(settings.len());
    for (place, setting) in settings.iter().enumerate() {
        let mut repository = Repository::open(&setting.location)?;
        let aliases = stack_aliases(&repository.layout().aliases, &setting.aliases);
        if !repository.is_named() {
            repository.rename(&setting.name);
        }
        if repository.name() != setting.name && !aliases.contains(&setting.name) {
            return Err(RepoError::OtherName {
                configured: setting.name.clone(),
                own: repository.name().to_owned(),
                path: setting.location.clone(),
            });
        }
        opened.push(Opened {
            repository,
            priority: setting.priority.unwrap_or(0),
            aliases,
            setting,
            place,
        });
    }
    // What the main repository's name or alias leads to can be told when all are known.
    if let Some(name) = main
        && let Some(at) = positions(&opened)?.0.get(name)
        && let Some(one) = opened.get_mut(*at)
    {
        one.priority = one.setting.priority.unwrap_or(MAIN_PRIORITY);
    }
    opened
        .sort_by(|a, b| (a.priority, a.repository.name()).cmp(&(b.priority, b.repository.name())));
    Ok(opened)
}

/// Where each name and alias leads. A repository's own name goes before the name of a section, this before aliases, and
/// of two the one whose section comes first has it, as in Portage.
fn positions(
    opened: &[Opened<'_>],
) -> Result<(HashMap<String, usize>, Vec<TakenAlias>), RepoError> {
    let mut positions: HashMap<String, usize> = HashMap::new();
    for (at, one) in opened.iter().enumerate() {
        let repository = &one.repository;
        if let Some(first) = positions.insert(repository.name().to_owned(), at) {
            let first = opened
                .get(first)
                .map(|it| it.repository.location().to_owned());
            return Err(RepoError::SameName {
                name: repository.name().to_owned(),
                first: first.unwrap_or_default(),
                second: repository.location().to_owned(),
            });
        }
    }
    let mut in_order: Vec<(usize, &Opened<'_>)> = opened.iter().enumerate().collect();
    in_order.sort_by_key(|(_, one)| one.place);
    for (at, one) in &in_order {
        positions.entry(one.setting.name.clone()).or_insert(*at);
    }
    let mut taken = Vec::new();
    for (at, one) in in_order {
        for alias in &one.aliases {
            let holder = *positions.entry(alias.clone()).or_insert(at);
            if let Some(holder) = opened.get(holder).filter(|_| holder != at) {
                taken.push(TakenAlias {
                    alias: alias.clone(),
                    repository: one.repository.name().to_owned(),
                    holder: holder.repository.name().to_owned(),
                });
            }
        }
    }
    Ok((positions, taken))
}
