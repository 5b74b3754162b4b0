//! ACCEPT_LICENSE, license groups, package.license; and the simpler ACCEPT_PROPERTIES and
//! ACCEPT_RESTRICT, which work alike without groups.

use std::collections::{BTreeMap, BTreeSet};

use super::error::ConfigError;
use super::files::{self, Directories};
use super::profile::ProfileNode;
use super::repository_facts::RepositoryFacts;
use super::shell_vars::Origin;
use super::table::{Reading, Table};
use super::trail::{Effect, Subject, Trail};
use super::user_files::UserFiles;
use super::word::Word;
use crate::pms::atom::PackageFacts;
use crate::pms::dependency::{DepSpec, Node};
use crate::pms::suggest::closest;

/// The license groups and the per-package files.
#[derive(Debug, Clone, Default)]
pub(super) struct LicenseFiles {
    groups: BTreeMap<String, BTreeSet<String>>,
    packages: Table,
    /// Groups that do not exist and of which that was told.
    undefined: BTreeSet<String>,
}

impl LicenseFiles {
    /// Reads them.
    pub(super) fn read(
        repositories: &[RepositoryFacts],
        profiles: &[ProfileNode],
        user: &UserFiles,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut result = LicenseFiles {
            groups: groups(repositories, user, warnings)?,
            ..LicenseFiles::default()
        };
        let mut packages = packages(profiles, user, warnings)?;
        for entry in packages.entries_mut() {
            result.tell_undefined(&entry.words, warnings);
            entry.words = result.expand(entry.words.iter().map(|word| (&**word, &word.origin)));
        }
        result.packages = packages;
        Ok(result)
    }

    /// Takes out what package.license says for `*/*`: it counts as ACCEPT_LICENSE of make.conf.
    pub(super) fn take_global(&mut self) -> Option<Vec<Word>> {
        self.packages.take_global()
    }

    /// Replaces `@group` and `-@group` by their licenses. Unknown groups stay as they are.
    pub(super) fn expand<'a>(
        &self,
        tokens: impl IntoIterator<Item = (&'a str, &'a Origin)>,
    ) -> Vec<Word> {
        let mut result = Vec::new();
        for (token, origin) in tokens {
            let (sign, name) = match token.strip_prefix('-') {
                Some(name) => ("-", name),
                None => ("", token),
            };
            match name.strip_prefix('@') {
                None => result.push(Word::new(token, origin)),
                Some(group) => {
                    let mut members = BTreeSet::new();
                    self.collect(group, &mut BTreeSet::new(), &mut members);
                    let member = |member| Word::new(format!("{sign}{member}"), origin);
                    result.extend(members.into_iter().map(member));
                }
            }
        }
        result
    }

    /// Tells which words stand for groups, or for groups with groups in them, that do not exist; each once. Where there
    /// are no groups at all, as without a repository, nobody has misspelt one, and what is built in nobody has written.
    pub(super) fn tell_undefined(&mut self, words: &[Word], warnings: &mut Vec<String>) {
        if self.groups.is_empty() {
            return;
        }
        let built_in = Origin::named("<built in>");
        for word in words.iter().filter(|word| word.origin != built_in) {
            for member in self.expand([(&**word, &word.origin)]) {
                let name = member.strip_prefix('-').unwrap_or(&member);
                let Some(group) = name.strip_prefix('@') else {
                    continue;
                };
                if !self.undefined.insert(group.to_owned()) {
                    continue;
                }
                let near = closest(group, self.groups.keys().map(String::as_str));
                let near: Vec<String> = near.iter().map(|name| format!("@{name}")).collect();
                let near = match near.is_empty() {
                    true => String::new(),
                    false => format!("; did you mean {}?", near.join(" or ")),
                };
                let (origin, text) = (&word.origin, &word.text);
                warnings.push(match member.text == word.text {
                    true => format!("{origin}: `{text}` means nothing: there is no such license group{near}"),
                    false => format!("{origin}: `{text}` contains @{group}, but there is no such license group{near}"),
                });
            }
        }
    }

    fn collect<'a>(
        &'a self,
        group: &'a str,
        seen: &mut BTreeSet<&'a str>,
        members: &mut BTreeSet<String>,
    ) {
        match self.groups.get(group) {
            Some(found) if seen.insert(group) => {
                for member in found {
                    match member.strip_prefix('@') {
                        Some(inner) => self.collect(inner, seen, members),
                        None => {
                            members.insert(member.clone());
                        }
                    }
                }
            }
            Some(_) => {}
            None => {
                members.insert(format!("@{group}"));
            }
        }
    }

    /// ACCEPT_LICENSE for one package, groups replaced.
    pub(super) fn accepted(
        &self,
        package: &impl PackageFacts,
        accept_license: &[Word],
        trail: &mut Trail<'_>,
    ) -> Vec<Word> {
        let words = accept_license.iter().map(|word| (&**word, &word.origin));
        let mut tokens = self.expand(words);
        for entry in self.packages.matching(package) {
            tokens.extend(entry.words.iter().cloned());
        }
        note(&tokens, &Subject::AcceptLicense, trail);
        tokens
    }
}

/// The licenses of each group, of all repositories and the user.
fn groups(
    repositories: &[RepositoryFacts],
    user: &UserFiles,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, BTreeSet<String>>, ConfigError> {
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let places = repositories
        .iter()
        .map(|repository| repository.location.join("profiles"));
    for place in places.chain([user.directory().to_owned()]) {
        for line in files::lines(&place.join("license_groups"), Directories::Forbidden)? {
            if let Some((name, members)) = line.words.split_first() {
                for member in members {
                    if member.starts_with('-') {
                        let file = line.origin.file.display();
                        warnings.push(format!(
                            "{file}:{}: `{member}` is left out: a license group cannot take away",
                            line.origin.line
                        ));
                        continue;
                    }
                    groups
                        .entry(name.clone())
                        .or_default()
                        .insert(member.clone());
                }
            }
        }
    }
    Ok(groups)
}

/// package.license of the profiles that may have one, and of the user. What a later file says of an atom takes the place
/// of what those before it say. Profiles are read as leniently as by Portage: what is wrong there is left out and told.
fn packages(
    profiles: &[ProfileNode],
    user: &UserFiles,
    warnings: &mut Vec<String>,
) -> Result<Table, ConfigError> {
    let mut reading = Reading::user(user, Directories::Recursive);
    reading.use_deps = true;
    let mut all = Table::default();
    for node in profiles
        .iter()
        .filter(|node| node.has_format("profile-license"))
    {
        let mut reading = reading;
        reading.syntax.strict = node.user;
        let path = node.path.join("package.license");
        all.replace_with(Table::read(&path, reading, warnings)?);
    }
    all.replace_with(Table::read_user(
        user,
        &["package.license"],
        reading,
        warnings,
    )?);
    Ok(all)
}

/// Notes stacked tokens as steps.
pub(super) fn note(tokens: &[Word], subject: &Subject, trail: &mut Trail<'_>) {
    for token in tokens {
        let (name, effect) = match token.strip_prefix('-') {
            Some(gone) => (gone, Effect::Off),
            None => (&**token, Effect::On),
        };
        trail.note(|| subject.clone(), name, token, &token.origin, effect);
    }
}

/// Of the words that occur, those that stacked tokens (`*`, `-*`, `word`, `-word`) accept.
pub(super) fn acceptable<'a, T: AsRef<str>>(
    tokens: &'a [T],
    occurring: &BTreeSet<&'a str>,
) -> BTreeSet<&'a str> {
    let mut accepted = BTreeSet::new();
    for token in tokens {
        match token.as_ref() {
            "*" => accepted.extend(occurring),
            "-*" => accepted.clear(),
            token => match token.strip_prefix('-') {
                Some(gone) => {
                    accepted.remove(gone);
                }
                None => {
                    accepted.insert(token);
                }
            },
        }
    }
    accepted
}

/// The words of an expression that are not accepted. Of an any-of group all are named, since
/// nobody knows which of them the user would accept. `spec` has no USE conditionals any more.
pub(super) fn missing(spec: &DepSpec<String>, accepted: &BTreeSet<&str>) -> Vec<String> {
    let mut result = Vec::new();
    for node in &spec.nodes {
        missing_of(node, accepted, &mut result);
    }
    result
}

fn missing_of(node: &Node<String>, accepted: &BTreeSet<&str>, result: &mut Vec<String>) {
    match node {
        Node::Leaf(word) => {
            if !accepted.contains(word.as_str()) {
                result.push(word.clone());
            }
        }
        Node::AnyOf(children) => {
            let mut all = Vec::new();
            for child in children {
                let before = all.len();
                missing_of(child, accepted, &mut all);
                if all.len() == before {
                    return;
                }
            }
            result.append(&mut all);
        }
        Node::AllOf(children)
        | Node::ExactlyOne(children)
        | Node::AtMostOne(children)
        | Node::Use { children, .. } => {
            for child in children {
                missing_of(child, accepted, result);
            }
        }
    }
}

/// Removes the part of a stack of tokens that a later `*` or `-*` makes irrelevant.
pub(super) fn prune<T: AsRef<str>>(tokens: &mut Vec<T>) {
    if let Some(index) = tokens
        .iter()
        .rposition(|token| matches!(token.as_ref(), "*" | "-*"))
    {
        let last = index + 1 == tokens.len();
        let keep = if tokens.get(index).is_some_and(|token| token.as_ref() == "*") || last {
            index
        } else {
            index + 1
        };
        tokens.drain(..keep);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Ebuild, Root};
    use super::*;
    use crate::claim::rows;

    fn root(accept: &str) -> Root {
        Root::new()
            .file(
                "repo/profiles/license_groups",
                "FREE @GPL MIT\nGPL GPL-2 GPL-3\nEULA closed\nLOOP @LOOP BSD\n",
            )
            .file(
                "etc/portage/make.conf",
                &format!("ACCEPT_LICENSE=\"{accept}\"\n"),
            )
    }

    fn missing(root: &Root, license: &'static str) -> String {
        Ebuild::new("a/b-1")
            .license(license)
            .iuse("x")
            .masks(&root.load())
            .join("\n")
    }

    #[test]
    fn groups_and_removals() {
        assert_eq!(missing(&root("@FREE"), "GPL-3 MIT"), "");
        assert!(missing(&root("@FREE"), "GPL-3 closed").contains("license: closed not accepted"));
        assert!(missing(&root("* -@EULA"), "closed").contains("closed"));
        assert_eq!(missing(&root("* -@EULA"), "Apache-2.0"), "");
        assert!(missing(&root("* -*"), "MIT").contains("MIT"));
        assert_eq!(missing(&root("@LOOP"), "BSD"), "");
        // Nothing said at all means everything but click-through licenses.
        assert!(missing(&root(""), "closed").contains("closed"));
        assert_eq!(missing(&root(""), "anything"), "");
    }

    #[test]
    fn alternatives_and_conditions() {
        let _rows = rows(&[205]);
        assert_eq!(missing(&root("MIT"), "|| ( closed MIT )"), "");
        assert_eq!(missing(&root("MIT"), "MIT x? ( closed )"), "");
        assert!(missing(&root("MIT"), "MIT !x? ( closed )").contains("closed"));
        assert!(missing(&root("MIT"), "|| ( closed ( MIT BSD ) )").contains("closed BSD"));
        let invalid = missing(&root("MIT"), "|| ( MIT");
        assert!(invalid.contains("invalid LICENSE"), "{invalid}");
    }

    #[test]
    fn package_license() {
        let line = |text: &str| root("@FREE").file("etc/portage/package.license", text);
        assert_eq!(missing(&line("a/b closed\n"), "closed"), "");
        assert_eq!(missing(&line("*/* @EULA\n"), "closed"), "");
        assert!(missing(&line("a/b -MIT\n"), "MIT").contains("MIT"));
        assert!(missing(&line("a/c closed\n"), "closed").contains("closed"));
    }

    #[test]
    fn package_license_of_a_profile() {
        let root = |format: &str| {
            root("-*")
                .file(
                    "repo/metadata/layout.conf",
                    &format!("masters =\nprofile-formats = portage-2 {format}\n"),
                )
                .file(
                    "repo/profiles/base/package.license",
                    "a/b one two\na/c:0 BSD\n*/* all\n",
                )
                .file(
                    "repo/profiles/default/package.license",
                    ">=a/b bad\na/c:0::gentoo MIT\na/d::nobody MIT\n",
                )
                .file(
                    "etc/portage/package.license",
                    "a/b two\na/c MIT\n*/* mine\n",
                )
        };
        let config = root("profile-license").load();
        let missing = |cpv: &str, license| Ebuild::new(cpv).license(license).masks(&config);
        assert_eq!(missing("a/b-1", "two mine"), [""; 0]);
        for (cpv, license) in [("a/b-1", "one"), ("a/b-1", "all"), ("a/c-1", "one")] {
            assert_eq!(missing(cpv, license).len(), 1, "{cpv} {license}");
        }
        assert_eq!(missing("a/c-1", "BSD MIT"), [""; 0]);
        let warnings = config.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("default/package.license:1: `>=a/b` is left out"),
            "{warnings:?}"
        );
        let config = root("").load();
        let masks = Ebuild::new("a/c-1").license("BSD").masks(&config);
        assert_eq!(masks.len(), 1, "{masks:?}");
    }

    #[test]
    fn groups_that_do_not_exist_are_told() {
        let root = root("-* @FREE @FREEE -@FREEE")
            .file("etc/portage/license_groups", "MINE @FREE @NOWHERE\n")
            .file("etc/portage/package.license", "*/* @EULAS\na/b @MINE\n");
        let place = root.path("etc/portage");
        let place = place.display();
        assert_eq!(
            root.load().warnings(),
            [
                format!(
                    "{place}/package.license:2: `@MINE` contains @NOWHERE, but there is no such license group"
                ),
                format!(
                    "{place}/package.license:1: `@EULAS` means nothing: there is no such license group; did you mean @EULA?"
                ),
                format!(
                    "{place}/make.conf:1: `@FREEE` means nothing: there is no such license group; did you mean @FREE?"
                ),
            ]
        );
        // Without any group none is misspelt, nor is what nobody has written.
        let none = Root::new().file("etc/portage/make.conf", "ACCEPT_LICENSE=\"@FREE\"\n");
        assert_eq!(none.load().warnings(), [""; 0]);
        let own = Root::new().file("etc/portage/license_groups", "MINE MIT\n");
        assert_eq!(own.load().warnings(), [""; 0]);
    }

    #[test]
    fn the_ebuild_sees_its_own_licenses_only() {
        let answer = Ebuild::new("a/b-1")
            .license("|| ( MIT closed ) GPL-2")
            .ask(&root("@FREE").load());
        assert_eq!(answer.variables["ACCEPT_LICENSE"], "GPL-2 MIT");
    }

    #[test]
    fn properties_and_restrict() {
        let root = Root::new()
            .file(
                "etc/portage/make.conf",
                "ACCEPT_PROPERTIES=\"* -live\"\nACCEPT_RESTRICT=\"* -fetch\"\n",
            )
            .file("etc/portage/package.properties", "a/c live\n");
        let config = root.load();
        let live = |cpv: &str| Ebuild::new(cpv).properties("live").masks(&config);
        assert_eq!(
            live("a/b-1"),
            ["properties: live not accepted; add to package.properties"]
        );
        assert_eq!(live("a/c-1"), [""; 0]);
        let fetch = Ebuild::new("a/b-1").restrict("fetch mirror").masks(&config);
        assert_eq!(
            fetch,
            ["restrict: fetch not accepted; add to package.accept_restrict"]
        );
    }

    #[test]
    fn pruning() {
        let pruned = |text: &str| {
            let mut tokens: Vec<String> = text.split(' ').map(str::to_owned).collect();
            prune(&mut tokens);
            tokens.join(" ")
        };
        assert_eq!(pruned("a -* b * -c"), "* -c");
        assert_eq!(pruned("a * -* b"), "b");
        assert_eq!(pruned("a -*"), "-*");
        assert_eq!(pruned("a -b"), "a -b");
    }
}
