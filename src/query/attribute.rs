//! The attributes of packages that can be asked about. This table is the only one.

use super::subject::Subject;
use crate::pms::suggest::closest;

/// Where the value of an attribute comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// A part of the package's name.
    Name(for<'a> fn(&'a Subject<'_>) -> &'a str),
    /// The repository.
    Repository,
    /// The slot.
    Slot,
    /// The sub-slot.
    Subslot,
    /// A value of the metadata, as it is.
    Text(&'static str),
    /// The words of a value of the metadata; of dependencies the packages' names too.
    Words(&'static str),
    /// The words of all dependencies.
    Dependencies,
    /// The flags of IUSE.
    Iuse,
    /// The eclasses.
    Eclasses,
    /// The flags that are enabled.
    Use,
    /// Whether the package is not masked.
    Visible,
    /// Whether it is a live ebuild.
    Live,
}

/// What kind of value it is, which decides about the operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One text.
    Text,
    /// Several words, one of which has to match.
    Words,
    /// A version, which has an order.
    Version,
    /// A revision: a number, with or without an r before it.
    Revision,
    /// True or false.
    Flag,
}

/// One of the attributes.
#[derive(Debug, Clone, Copy)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    pub(super) kind: Kind,
    pub(super) source: Source,
}

const fn row(name: &'static str, kind: Kind, source: Source, help: &'static str) -> Attribute {
    Attribute {
        name,
        help,
        kind,
        source,
    }
}

/// All of them, in the order in which they are shown.
const ATTRIBUTES: &[Attribute] = &[
    row(
        "category",
        Kind::Text,
        Source::Name(|it| it.cpv.category()),
        "the category",
    ),
    row(
        "package",
        Kind::Text,
        Source::Name(|it| it.cpv.pn()),
        "the name without category and version (PN)",
    ),
    row(
        "cp",
        Kind::Text,
        Source::Name(|it| it.cpv.cp()),
        "category/package",
    ),
    row(
        "cpv",
        Kind::Text,
        Source::Name(|it| it.cpv.as_str()),
        "category/package-version",
    ),
    row(
        "pf",
        Kind::Text,
        Source::Name(|it| it.cpv.pf()),
        "package-version",
    ),
    row(
        "version",
        Kind::Version,
        Source::Name(|it| it.cpv.pvr()),
        "the version with revision; compares as versions do",
    ),
    row(
        "revision",
        Kind::Revision,
        Source::Name(|it| it.cpv.pr()),
        "r0, r1, …; compares as numbers do, with or without the r",
    ),
    row("repo", Kind::Text, Source::Repository, "the repository"),
    row(
        "slot",
        Kind::Text,
        Source::Slot,
        "the slot, without sub-slot",
    ),
    row("subslot", Kind::Text, Source::Subslot, "the sub-slot"),
    row("eapi", Kind::Text, Source::Text("EAPI"), "the EAPI"),
    row(
        "description",
        Kind::Text,
        Source::Text("DESCRIPTION"),
        "the description",
    ),
    row(
        "homepage",
        Kind::Words,
        Source::Words("HOMEPAGE"),
        "an address of its pages",
    ),
    row("iuse", Kind::Words, Source::Iuse, "a flag that it has"),
    row(
        "keyword",
        Kind::Words,
        Source::Words("KEYWORDS"),
        "a keyword: amd64, ~amd64, -*",
    ),
    row(
        "license",
        Kind::Words,
        Source::Words("LICENSE"),
        "a license, whatever the conditions",
    ),
    row(
        "restrict",
        Kind::Words,
        Source::Words("RESTRICT"),
        "a word of RESTRICT",
    ),
    row(
        "properties",
        Kind::Words,
        Source::Words("PROPERTIES"),
        "a word of PROPERTIES",
    ),
    row(
        "required_use",
        Kind::Words,
        Source::Words("REQUIRED_USE"),
        "a flag in REQUIRED_USE",
    ),
    row(
        "src_uri",
        Kind::Words,
        Source::Words("SRC_URI"),
        "an address or a file of its sources",
    ),
    row(
        "phase",
        Kind::Words,
        Source::Words("DEFINED_PHASES"),
        "a phase that it defines: compile, install, …",
    ),
    row(
        "eclass",
        Kind::Words,
        Source::Eclasses,
        "an eclass that it inherits, directly or not",
    ),
    row(
        "inherit",
        Kind::Words,
        Source::Words("INHERIT"),
        "an eclass that it inherits itself",
    ),
    row(
        "depend",
        Kind::Words,
        Source::Words("DEPEND"),
        "a dependency in DEPEND: category/package, or the atom",
    ),
    row(
        "bdepend",
        Kind::Words,
        Source::Words("BDEPEND"),
        "the same in BDEPEND",
    ),
    row(
        "rdepend",
        Kind::Words,
        Source::Words("RDEPEND"),
        "the same in RDEPEND",
    ),
    row(
        "pdepend",
        Kind::Words,
        Source::Words("PDEPEND"),
        "the same in PDEPEND",
    ),
    row(
        "idepend",
        Kind::Words,
        Source::Words("IDEPEND"),
        "the same in IDEPEND",
    ),
    row(
        "dep",
        Kind::Words,
        Source::Dependencies,
        "the same in any of them",
    ),
    row(
        "use",
        Kind::Words,
        Source::Use,
        "a flag that is enabled, as configured here",
    ),
    row(
        "visible",
        Kind::Flag,
        Source::Visible,
        "whether nothing masks it here, and it is an update if the package is installed",
    ),
    row(
        "live",
        Kind::Flag,
        Source::Live,
        "whether it is built from a repository of sources",
    ),
];

impl Attribute {
    /// All attributes.
    pub fn all() -> &'static [Attribute] {
        ATTRIBUTES
    }

    /// The one of this name, or names that are near it.
    ///
    /// # Errors
    /// There is none; the names are those it may have been meant to be.
    pub fn named(name: &str) -> Result<&'static Attribute, Vec<String>> {
        // What people are used to.
        let known = match name {
            "name" | "pn" => "package",
            "repository" => "repo",
            "keywords" => "keyword",
            "licence" | "licenses" => "license",
            "pvr" | "pv" => "version",
            "phases" => "phase",
            "inherited" => "eclass",
            "desc" => "description",
            "property" => "properties",
            other => other,
        };
        match ATTRIBUTES.iter().find(|row| row.name == known) {
            Some(row) => Ok(row),
            None => Err(closest(name, ATTRIBUTES.iter().map(|row| row.name))),
        }
    }

    /// Whether the configuration has to be known.
    pub(super) fn needs_configuration(&self) -> bool {
        matches!(self.source, Source::Use | Source::Visible)
    }

    /// The value as one text.
    pub fn text(&self, subject: &Subject<'_>) -> String {
        match self.source {
            Source::Text(key) | Source::Words(key) => subject.value(key).to_owned(),
            Source::Iuse => subject.value("IUSE").to_owned(),
            Source::Visible => subject.is_visible().to_string(),
            Source::Live => subject.is_live().to_string(),
            _ => {
                let mut words = Vec::new();
                self.each(subject, &mut |word| {
                    words.push(word.to_owned());
                    false
                });
                words.join(" ")
            }
        }
    }

    /// Whether `test` holds for the value, or for one of its words.
    pub(super) fn each(&self, subject: &Subject<'_>, test: &mut dyn FnMut(&str) -> bool) -> bool {
        match self.source {
            Source::Name(part) => test(part(subject)),
            Source::Repository => test(subject.repository),
            Source::Slot => test(subject.slots().0),
            Source::Subslot => test(subject.slots().1),
            Source::Text(key) => test(subject.value(key)),
            Source::Words(key) => words(subject, key, test),
            Source::Dependencies => ["DEPEND", "BDEPEND", "RDEPEND", "PDEPEND", "IDEPEND"]
                .into_iter()
                .any(|key| words(subject, key, test)),
            Source::Iuse => {
                let mut words = subject.value("IUSE").split_whitespace();
                words.any(|word| test(word.trim_start_matches(['+', '-'])))
            }
            Source::Eclasses => {
                let fields = subject.value("_eclasses_").split('\t');
                fields.step_by(2).any(test)
            }
            Source::Use => subject.enabled().iter().any(|flag| test(flag)),
            Source::Visible => test(if subject.is_visible() {
                "true"
            } else {
                "false"
            }),
            Source::Live => test(if subject.is_live() { "true" } else { "false" }),
        }
    }
}

/// The words of a value that are no operators; of atoms, the package's name too.
fn words(subject: &Subject<'_>, key: &'static str, test: &mut dyn FnMut(&str) -> bool) -> bool {
    let is_atom = key.ends_with("DEPEND");
    subject.value(key).split_whitespace().any(|word| {
        if matches!(word, "(" | ")" | "||" | "^^" | "??" | "->" | "-") || word.ends_with('?') {
            return false;
        }
        test(word) || (is_atom && test(name_of(word)))
    })
}

/// The category/package of an atom that may be taken to be valid.
fn name_of(atom: &str) -> &str {
    let plain = atom.trim_start_matches(['!', '<', '>', '=', '~']);
    let has_version = atom.trim_start_matches('!').len() != plain.len();
    let end = plain.find([':', '[']).unwrap_or(plain.len());
    let plain = plain.get(..end).unwrap_or(plain);
    if !has_version {
        return plain;
    }
    let version = plain
        .match_indices('-')
        .find(|(at, _)| {
            let rest = plain.get(at + 1..).unwrap_or_default();
            rest.trim_end_matches('*')
                .parse::<crate::pms::version::Version>()
                .is_ok()
        })
        .map(|(at, _)| at);
    version.and_then(|at| plain.get(..at)).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_out_of_atoms() {
        for (atom, name) in [
            ("a/b", "a/b"),
            ("!!<a/b-c-1.2-r3:0/1=[x]", "a/b-c"),
            ("=a/b-1*", "a/b"),
            (">=a/foo-bar-9999:=", "a/foo-bar"),
            ("a/b:0[y?]", "a/b"),
        ] {
            assert_eq!(name_of(atom), name, "{atom}");
        }
    }

    #[test]
    fn other_names_and_near_ones() {
        assert_eq!(Attribute::named("keywords").unwrap().name, "keyword");
        assert_eq!(Attribute::named("catgory").unwrap_err(), ["category"]);
    }
}
