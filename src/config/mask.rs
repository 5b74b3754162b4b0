//! package.mask and package.unmask of repositories, profiles and the user.

use std::path::Path;

use indexmap::IndexMap;

use super::error::ConfigError;
use super::files::{self, Directories, Line};
use super::profile::ProfileNode;
use super::repository_facts::RepositoryFacts;
use super::shell_vars::Origin;
use super::table::{self, Syntax};
use super::trail::{Effect, Subject, Trail};
use super::user_files::{UserFiles, UserLine};
use crate::pms::atom::{Atom, PackageFacts};

/// One line of package.mask or package.unmask.
#[derive(Debug, Clone)]
pub(super) struct MaskLine {
    pub(super) atom: Atom,
    /// The line's text.
    pub(super) text: String,
    pub(super) origin: Origin,
    pub(super) comment: Vec<String>,
}

enum Item {
    Add(Box<MaskLine>),
    Remove(String),
}

/// Atoms in the order in which they were added, by their text.
type Stack = IndexMap<String, MaskLine>;

/// All masks, after all removals.
#[derive(Debug, Clone, Default)]
pub(super) struct MaskFiles {
    masks: Vec<MaskLine>,
    unmasks: Vec<MaskLine>,
}

impl MaskFiles {
    /// Reads them. `user` is /etc/portage.
    pub(super) fn read(
        repositories: &[RepositoryFacts],
        profiles: &[ProfileNode],
        user: &UserFiles,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut masks = Stack::new();
        let mut unmasks = Stack::new();
        for repository in repositories {
            let own = repository_items(repository, "package.mask", warnings)?;
            // A repository inherits the masks of its masters and can remove them for itself:
            // the masks of each master are stacked with its own, then bound to its name.
            let mut stacked = Stack::new();
            let masters: Vec<&RepositoryFacts> = repository
                .masters
                .iter()
                .filter_map(|name| repositories.iter().find(|other| other.name == *name))
                .collect();
            if masters.is_empty() {
                stack(&mut stacked, &own, false);
            }
            for master in masters {
                let mut with_master = Stack::new();
                stack(
                    &mut with_master,
                    &repository_items(master, "package.mask", &mut Vec::new())?,
                    false,
                );
                stack(&mut with_master, &own, false);
                stacked.extend(with_master);
            }
            bind(&stacked, &repository.name, &mut masks);
            if repository.directories != Directories::Forbidden {
                let mut stacked = Stack::new();
                stack(
                    &mut stacked,
                    &repository_items(repository, "package.unmask", warnings)?,
                    false,
                );
                bind(&stacked, &repository.name, &mut unmasks);
            }
        }
        let (mut profile_masks, mut profile_unmasks) = (Stack::new(), Stack::new());
        for node in profiles {
            let syntax = Syntax::profile(node);
            let items = read(
                &node.path.join("package.mask"),
                node.directories,
                syntax,
                warnings,
            )?;
            stack(&mut profile_masks, &items, false);
            if node.directories != Directories::Forbidden {
                let items = read(
                    &node.path.join("package.unmask"),
                    node.directories,
                    syntax,
                    warnings,
                )?;
                stack(&mut profile_unmasks, &items, false);
            }
        }
        masks.extend(profile_masks);
        unmasks.extend(profile_unmasks);
        for (name, target) in [
            ("package.mask", &mut masks),
            ("package.unmask", &mut unmasks),
        ] {
            let items = items_of(user.lines(&[name])?, Syntax::user(user), warnings)?;
            stack(target, &items, true);
        }
        Ok(MaskFiles {
            masks: masks.into_values().collect(),
            unmasks: unmasks.into_values().collect(),
        })
    }

    /// The first mask that matches a package, unless it is unmasked.
    pub(super) fn mask(
        &self,
        package: &impl PackageFacts,
        trail: &mut Trail<'_>,
    ) -> Option<&MaskLine> {
        let cp = package.cpv().cp();
        // Masks that name the package come before those with wildcards.
        let order = |wild: bool| {
            self.masks.iter().filter(move |line| {
                line.atom.is_wildcard() == wild && (wild || line.atom.cp() == cp)
            })
        };
        let found = order(false)
            .chain(order(true))
            .find(|line| line.atom.matches(package))?;
        let mut note = |line: &MaskLine, effect| {
            trail.note(
                || Subject::Mask,
                &line.text,
                &line.text,
                &line.origin,
                effect,
            );
        };
        note(found, Effect::On);
        let unmask = self.unmasks.iter().find(|line| line.atom.matches(package));
        if let Some(line) = unmask {
            note(line, Effect::Off);
        }
        unmask.is_none().then_some(found)
    }
}

fn repository_items(
    repository: &RepositoryFacts,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<Item>, ConfigError> {
    let syntax = Syntax::repository(repository);
    read(
        &repository.location.join("profiles").join(name),
        repository.directories,
        syntax,
        warnings,
    )
}

fn read(
    path: &Path,
    directories: Directories,
    syntax: Syntax<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Item>, ConfigError> {
    let lines = files::lines(path, directories)?.into_iter();
    let lines = lines.map(|line| UserLine {
        line,
        repository: None,
    });
    items_of(lines.collect(), syntax, warnings)
}

fn items_of(
    lines: Vec<UserLine>,
    syntax: Syntax<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Item>, ConfigError> {
    let mut items = Vec::new();
    for UserLine { line, repository } in lines {
        let Line {
            words,
            origin,
            comment,
        } = line;
        let mut text = words.join(" ");
        let removal = text.starts_with('-');
        let written = text.strip_prefix('-').unwrap_or(&text);
        let Some(atom) = table::atom(written, &origin, syntax, warnings)? else {
            continue;
        };
        let mut name = syntax.names.written_out(written).into_owned();
        let mut atom = atom.without_use();
        if !removal {
            text.clone_from(&name);
        }
        if let Some(repository) = &repository {
            atom = table::bound(atom, repository, &origin)?;
            if !name.contains("::") {
                name = format!("{name}::{repository}");
            }
            text.clone_from(&name);
        }
        items.push(if removal {
            Item::Remove(name)
        } else {
            Item::Add(Box::new(MaskLine {
                atom,
                text,
                origin,
                comment,
            }))
        });
    }
    Ok(items)
}

/// `any_repository`: a removal without `::` removes the line for every repository.
fn stack(target: &mut Stack, items: &[Item], any_repository: bool) {
    for item in items {
        match item {
            Item::Add(line) => match target.get_mut(&line.text) {
                Some(known) => *known = MaskLine::clone(line),
                None => {
                    target.insert(line.text.clone(), MaskLine::clone(line));
                }
            },
            Item::Remove(text) if any_repository && !text.contains("::") => {
                target.retain(|known, _| {
                    known
                        .split_once("::")
                        .map_or(known.as_str(), |(before, _)| before)
                        != text
                });
            }
            Item::Remove(text) => {
                target.shift_remove(text);
            }
        }
    }
}

/// Binds atoms without a repository to one.
fn bind(from: &Stack, repository: &str, target: &mut Stack) {
    for (text, line) in from {
        if line.atom.repository().is_some() {
            target.insert(text.clone(), line.clone());
            continue;
        }
        let bound = match text.find('[') {
            Some(at) => format!(
                "{}::{repository}{}",
                text.get(..at).unwrap_or(text),
                text.get(at..).unwrap_or("")
            ),
            None => format!("{text}::{repository}"),
        };
        let atom = line.atom.clone().in_repository(repository);
        target.insert(
            bound,
            MaskLine {
                atom,
                ..line.clone()
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Ebuild, Root};
    use super::super::package::MaskReason;

    fn masked(root: &Root, cpv: &str) -> bool {
        !Ebuild::new(cpv).masks(&root.load()).is_empty()
    }

    #[test]
    fn masks_of_all_places() {
        let root = Root::new()
            .file("repo/profiles/package.mask", "a/one\n")
            .file("repo/profiles/base/package.mask", ">=a/two-2\n")
            .file("etc/portage/package.mask/mine", "*/three\n~a/four-1\n");
        for (cpv, expected) in [
            ("a/one-1", true),
            ("a/two-1", false),
            ("a/two-3", true),
            ("z/three-1", true),
            ("a/four-1-r7", true),
            ("a/four-2", false),
        ] {
            assert_eq!(masked(&root, cpv), expected, "{cpv}");
        }
    }

    #[test]
    fn removals_and_unmasks() {
        let root = Root::new()
            .file("repo/profiles/package.mask", "a/one\na/two\na/three\n")
            .file("repo/profiles/base/package.mask", "a/four\na/five\n")
            .file("repo/profiles/default/package.mask", "-a/four\n")
            .file("etc/portage/package.mask", "-a/one\n-a/five\n")
            .file("etc/portage/package.unmask", "=a/two-2\n");
        for (cpv, expected) in [
            ("a/one-1", false),
            ("a/two-1", true),
            ("a/two-2", false),
            ("a/three-1", true),
            ("a/four-1", false),
            ("a/five-1", false),
        ] {
            assert_eq!(masked(&root, cpv), expected, "{cpv}");
        }
    }

    #[test]
    fn a_repository_can_lift_the_masks_of_its_master_for_itself() {
        let mut root = Root::new()
            .file("repo/profiles/package.mask", "a/one\na/two\n")
            .file("mine/profiles/repo_name", "mine\n")
            .file("mine/metadata/layout.conf", "masters = gentoo\n")
            .file("mine/profiles/package.mask", "-a/one\na/three\n");
        root.options.extra_repos = vec![root.path("mine")];
        let config = root.load();
        let masked = |cpv: &str, repository: &'static str| {
            let mut package = Ebuild::new(cpv);
            package.repository = repository;
            !package.masks(&config).is_empty()
        };
        assert!(masked("a/one-1", "gentoo") && !masked("a/one-1", "mine"));
        assert!(masked("a/two-1", "gentoo") && masked("a/two-1", "mine"));
        assert!(!masked("a/three-1", "gentoo") && masked("a/three-1", "mine"));
    }

    #[test]
    fn a_repository_may_be_called_like_a_package_with_a_version() {
        let mut root = Root::new()
            .file("repo/profiles/package.mask", "a/one\n")
            .file("work-2/metadata/layout.conf", "masters = gentoo\n")
            .file("work-2/profiles/package.mask", "a/two\n")
            .file("etc/portage/package.use", "a/one::work-2 x\n")
            .file("etc/portage/package.unmask", "a/one::work-2\n")
            .file("work-2/profiles/repo_name", "work-2\n");
        root.options.extra_repos = vec![root.path("work-2")];
        let config = root.load();
        let of = |cpv: &str, repository: &'static str| {
            let mut package = Ebuild::new(cpv).iuse("x");
            package.repository = repository;
            package
        };
        assert_eq!(of("a/one-1", "work-2").masks(&config), [""; 0]);
        assert_eq!(of("a/one-1", "gentoo").masks(&config).len(), 1);
        assert_eq!(of("a/two-1", "work-2").masks(&config).len(), 1);
        assert_eq!(of("a/two-1", "gentoo").masks(&config), [""; 0]);
        assert_eq!(of("a/one-1", "work-2").flags(&config), "x");
        assert_eq!(config.warnings(), [""; 0]);
    }

    #[test]
    fn the_reason_has_file_line_and_comment() {
        let root = Root::new().file(
            "repo/profiles/package.mask",
            "# old\na/zero\n\n# Somebody\n# broken\na/one\n=a/two-1\n",
        );
        let answer = Ebuild::new("a/two-1").ask(&root.load());
        let [
            MaskReason::PackageMask {
                atom,
                origin,
                comment,
            },
        ] = answer.masks.as_slice()
        else {
            panic!("{:?}", answer.masks)
        };
        assert_eq!((atom.as_str(), origin.line), ("=a/two-1", 7));
        assert_eq!(*origin.file, root.path("repo/profiles/package.mask"));
        assert_eq!(*comment, ["# Somebody", "# broken"]);
    }
}
