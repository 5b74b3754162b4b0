//! Reading atoms: what the pieces of the text may be, by EAPI and place.

use winnow::Parser;
use winnow::stream::LocatingSlice;

use super::grammar::{Piece, Raw, RawSlot, RawUse, raw_atom};
use super::{Atom, AtomError, Blocker, Operator, SlotDep, UseDep, UseRequirement, VersionDep};
use crate::pms::cpv::split_pf;
use crate::pms::eapi::Eapi;
use crate::pms::names::{NameError, NameKind};
use crate::pms::syntax::fault;

/// Where an atom stands, which decides what it may contain.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dialect {
    /// An ebuild or a profile.
    Ebuild(Eapi),
    /// The metadata of a built package.
    Recorded(Eapi),
    /// The user's configuration.
    Config,
}

/// Reads a whole text as one atom.
pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Atom, AtomError> {
    let raw = raw_atom.parse(LocatingSlice::new(text)).map_err(|error| {
        let (offset, expected) = fault(&error);
        AtomError::Syntax {
            atom: text.to_owned(),
            offset,
            expected,
        }
    })?;
    Checker { text, dialect }.atom(raw)
}

/// Checks the pieces and puts them together.
struct Checker<'a> {
    text: &'a str,
    dialect: Dialect,
}

impl Checker<'_> {
    fn atom(&self, raw: Raw) -> Result<Atom, AtomError> {
        let blocker = match raw.blocker {
            None => None,
            Some(Piece { text: "!", .. }) => Some(Blocker::Weak),
            Some(piece) => {
                self.requires(Eapi::strong_blockers, "strong blockers", piece.offset)?;
                Some(Blocker::Strong)
            }
        };
        let (pn, version) = self.package(&raw)?;
        let slot = raw
            .slot
            .map(|(offset, slot)| self.slot(offset, slot))
            .transpose()?;
        if let Some(repository) = raw.repository {
            if !matches!(self.dialect, Dialect::Config) {
                return Err(self.not_allowed(
                    "repository names",
                    repository.offset,
                    "outside of the configuration",
                ));
            }
            let checked = NameKind::Repository.check_characters(repository.text);
            checked.map_err(|source| self.bad_name(repository, source))?;
        }
        let wildcard = raw.category.text.contains('*') || pn.contains('*');
        let use_deps = match raw.use_deps {
            Some((offset, _)) if wildcard || matches!(version, Some(VersionDep::Contains(_))) => {
                return Err(self.not_allowed("flags", offset, "together with wildcards"));
            }
            Some((offset, deps)) => self.use_deps(offset, deps)?,
            None => Vec::new(),
        };
        Ok(Atom {
            blocker,
            name: format!("{}/{pn}", raw.category.text).into(),
            slash: raw.category.text.len(),
            version,
            slot,
            repository: raw.repository.map(|piece| piece.text.to_owned()),
            use_deps,
        })
    }

    /// The package name and what is demanded of the version.
    fn package<'a>(&self, raw: &Raw<'a>) -> Result<(&'a str, Option<VersionDep>), AtomError> {
        self.name_or_pattern(NameKind::Category, raw.category)?;
        let package = raw.package;
        let Some(sign) = raw.operator else {
            return match self.name_or_pattern(NameKind::Package, package) {
                Ok(()) => Ok((package.text, None)),
                Err(error) => match split_pf(package.text) {
                    Ok((pn, _)) if NameKind::Package.is_valid(pn) => {
                        Err(AtomError::OperatorMissing {
                            atom: self.text.to_owned(),
                            offset: raw.category.offset,
                        })
                    }
                    _ => Err(error),
                },
            };
        };
        if let Some((pn, text)) = version_pattern(package.text) {
            if sign.text != "=" {
                return Err(self.syntax("a version", package.offset + pn.len() + 1));
            }
            if !matches!(self.dialect, Dialect::Config) {
                return Err(self.not_allowed(
                    "wildcards",
                    package.offset + pn.len() + 1,
                    "outside of the configuration",
                ));
            }
            self.name_or_pattern(
                NameKind::Package,
                Piece {
                    text: pn,
                    ..package
                },
            )?;
            return Ok((pn, Some(VersionDep::Contains(text.to_owned()))));
        }
        let (pf, prefix) = match package.text.strip_suffix('*') {
            Some(pf) => (pf, true),
            None => (package.text, false),
        };
        if prefix && sign.text != "=" {
            return Err(self.not_allowed(
                "asterisks",
                package.offset + pf.len(),
                "with operators other than `=`",
            ));
        }
        if raw.category.text.contains('*') || pf.contains('*') {
            let offset = match raw.category.text.contains('*') {
                true => raw.category.offset,
                false => package.offset,
            };
            return Err(self.not_allowed(
                "wildcards in names",
                offset,
                "together with a version, other than in the form `=*/*-*9999*`",
            ));
        }
        let operator = match sign.text {
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            "~" => Operator::Approximate,
            ">=" => Operator::GreaterOrEqual,
            ">" => Operator::Greater,
            _ if prefix => Operator::EqualPrefix,
            _ => Operator::Equal,
        };
        if let (Dialect::Config, Some((pf, build_id))) = (self.dialect, build_id(pf))
            && let Ok((pn, version)) = split_pf(pf)
            && NameKind::Package.is_valid(pn)
        {
            if operator != Operator::Equal {
                return Err(self.not_allowed(
                    "build ids",
                    package.offset + pf.len() + 1,
                    "with operators other than `=`",
                ));
            }
            let version = VersionDep::Compared {
                operator,
                version,
                build_id: Some(build_id),
            };
            return Ok((pn, Some(version)));
        }
        match split_pf(pf) {
            Ok((pn, version)) => {
                self.name(
                    NameKind::Package,
                    Piece {
                        text: pn,
                        ..package
                    },
                )?;
                let version = VersionDep::Compared {
                    operator,
                    version,
                    build_id: None,
                };
                Ok((pn, Some(version)))
            }
            Err(Some(source)) => {
                let begin = package.offset + pf.len() - source.text.len();
                Err(AtomError::Version {
                    atom: self.text.to_owned(),
                    offset: begin + source.offset,
                    source,
                })
            }
            Err(None) => Err(AtomError::VersionMissing {
                atom: self.text.to_owned(),
                offset: package.offset + package.text.len(),
                operator: sign.text.to_owned(),
            }),
        }
    }

    fn slot(&self, offset: usize, slot: RawSlot) -> Result<SlotDep, AtomError> {
        self.requires(Eapi::slot_deps, "slot dependencies", offset)?;
        match slot {
            RawSlot::Any => {
                self.requires(Eapi::slot_operators, "slot operators", offset)?;
                Ok(SlotDep::Any)
            }
            RawSlot::Rebuild => {
                self.requires(Eapi::slot_operators, "slot operators", offset)?;
                Ok(SlotDep::Rebuild)
            }
            RawSlot::Named {
                slot,
                subslot,
                rebuild,
            } => {
                self.name(NameKind::Slot, slot)?;
                if let Some(subslot) = subslot {
                    self.requires(Eapi::subslots, "sub-slots", subslot.offset)?;
                    self.name(NameKind::Slot, subslot)?;
                }
                if let Some(at) = rebuild {
                    self.requires(Eapi::slot_operators, "slot operators", at)?;
                    if subslot.is_some() && matches!(self.dialect, Dialect::Ebuild(_)) {
                        return Err(self.not_allowed(
                            "slot operators",
                            at,
                            "behind a sub-slot in ebuilds",
                        ));
                    }
                }
                Ok(SlotDep::Named {
                    slot: slot.text.to_owned(),
                    subslot: subslot.map(|piece| piece.text.to_owned()),
                    rebuild: rebuild.is_some(),
                })
            }
        }
    }

    fn use_deps(&self, offset: usize, deps: Vec<RawUse>) -> Result<Vec<UseDep>, AtomError> {
        self.requires(Eapi::use_deps, "USE dependencies", offset)?;
        let mut result: Vec<UseDep> = Vec::with_capacity(deps.len());
        for raw in deps {
            self.name(NameKind::UseFlag, raw.flag)?;
            if let Some((_, at)) = raw.default {
                self.requires(Eapi::use_dep_defaults, "defaults of USE dependencies", at)?;
            }
            let default = raw.default.map(|(default, _)| default);
            let behind = raw.flag.offset + raw.flag.text.len() + default.map_or(0, |_| 3);
            let suffix = raw.suffix.map(|piece| piece.text);
            let requirement = match (raw.prefix, suffix) {
                (None, None) => UseRequirement::Enabled,
                (Some('-'), None) => UseRequirement::Disabled,
                (None, Some("?")) => UseRequirement::EnabledIf,
                (Some('!'), Some("?")) => UseRequirement::DisabledUnless,
                (None, Some(_)) => UseRequirement::Equal,
                (Some('!'), Some(_)) => UseRequirement::Opposite,
                (Some(_), Some(_)) => return Err(self.syntax("`,` or `]`", behind)),
                (Some(_), None) => return Err(self.syntax("`?` or `=`", behind)),
            };
            if result
                .iter()
                .any(|other| other.flag == raw.flag.text && other.default != default)
            {
                return Err(AtomError::Defaults {
                    atom: self.text.to_owned(),
                    offset: raw.flag.offset,
                    flag: raw.flag.text.to_owned(),
                });
            }
            result.push(UseDep {
                flag: raw.flag.text.to_owned(),
                default,
                requirement,
            });
        }
        Ok(result)
    }

    fn name_or_pattern(&self, kind: NameKind, piece: Piece) -> Result<(), AtomError> {
        let Some(at) = piece.text.find('*') else {
            return self.name(kind, piece);
        };
        if !matches!(self.dialect, Dialect::Config) {
            return Err(self.not_allowed(
                "wildcards",
                piece.offset + at,
                "outside of the configuration",
            ));
        }
        if let Some(at) = piece.text.find("**") {
            return Err(self.syntax("no second `*`", piece.offset + at + 1));
        }
        let bad = piece.text.char_indices().find(|(index, c)| {
            *c != '*' && !(kind.allows(*c) && (*index > 0 || kind.allows_first(*c)))
        });
        match bad {
            Some((at, _)) => Err(self.syntax("another character", piece.offset + at)),
            None => Ok(()),
        }
    }

    fn name(&self, kind: NameKind, piece: Piece) -> Result<(), AtomError> {
        kind.check(piece.text)
            .map_err(|source| self.bad_name(piece, source))
    }

    fn bad_name(&self, piece: Piece, source: NameError) -> AtomError {
        AtomError::Name {
            atom: self.text.to_owned(),
            offset: piece.offset + source.offset(),
            source,
        }
    }

    /// Fails if the dialect's EAPI lacks a feature.
    fn requires(
        &self,
        has: fn(Eapi) -> bool,
        feature: &'static str,
        offset: usize,
    ) -> Result<(), AtomError> {
        match self.dialect {
            Dialect::Ebuild(eapi) | Dialect::Recorded(eapi) if !has(eapi) => Err(AtomError::Eapi {
                atom: self.text.to_owned(),
                offset,
                feature,
                eapi,
            }),
            _ => Ok(()),
        }
    }

    fn not_allowed(&self, feature: &'static str, offset: usize, place: &'static str) -> AtomError {
        AtomError::NotAllowed {
            atom: self.text.to_owned(),
            offset,
            feature,
            place,
        }
    }

    fn syntax(&self, expected: &str, offset: usize) -> AtomError {
        AtomError::Syntax {
            atom: self.text.to_owned(),
            offset,
            expected: expected.to_owned(),
        }
    }
}

/// Splits `name-*text*`.
fn version_pattern(pf: &str) -> Option<(&str, &str)> {
    let (rest, text) = pf.strip_suffix('*')?.rsplit_once('*')?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let pn = rest.strip_suffix('-')?;
    (!text.is_empty() && text.chars().all(word)).then_some((pn, text))
}

/// Splits `name-version-number`, where the number has no leading zero.
fn build_id(pf: &str) -> Option<(&str, u64)> {
    let (rest, digits) = pf.rsplit_once('-')?;
    let number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let padded = digits.len() > 1 && digits.starts_with('0');
    (number && !padded).then_some(())?;
    Some((rest, digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;
    use proptest::prelude::*;

    fn eapi(name: &str) -> Eapi {
        Eapi::parse(name).unwrap()
    }

    #[test]
    fn prints_back_what_it_reads() {
        for text in [
            "cat/pkg",
            "!cat/pkg",
            "!!<=cat/pkg-1.2_p3-r4:0/1[a,-b,c?,!d?,e=,!f=,g(+),-h(-),i(+)?,!j(-)=]",
            "=cat/pkg-1.2*",
            "=cat/pkg-1-r0",
            "~cat/pkg-1-r1",
            "cat/pkg:*",
            "cat/pkg:=",
            "cat/pkg:0=",
            "cat/pkg:a.b+c/d-e",
            "cat/gtk+",
            "dev-java/log4j-12-api",
            "=dev-java/log4j-12-api-2.0",
            "cat/pkg[c++]",
            "cat/pkg[a,a]",
            "__const__/empty-any-of",
        ] {
            assert_eq!(
                Atom::parse(text, Eapi::LATEST).unwrap().to_string(),
                text,
                "{text}"
            );
        }
        for text in [
            "*/*",
            "!*/*",
            "cat/*",
            "dev-*/foo*:0::gentoo",
            "cat/pkg::gentoo",
            // The rule of PMS 3.1.5 that they do not end like a version is not Portage's.
            "cat/pkg::work-2",
            "=cat/pkg-1.0*:0::x-y[a]",
            "=*/*-*9999*",
            "=cat/pkg-1.0-r1-2",
            "=cat/pkg-1-2:0",
            "cat/pkg:0/1=",
            "*/*-1",
        ] {
            assert_eq!(
                Atom::parse_config(text).unwrap().to_string(),
                text,
                "{text}"
            );
        }
        assert_eq!(
            Atom::parse_config("=cat/pkg-1.0-r1-2").unwrap().build_id(),
            Some(2)
        );
    }

    #[test]
    fn points_at_the_character() {
        let _rows = rows(&[194, 197]);
        for (text, message) in [
            ("", "atom ``: expected a category at character 1"),
            ("foo", "atom `foo`: expected `/` at character 4"),
            (
                "cat/",
                "atom `cat/`: expected a package name at character 5",
            ),
            (
                "!!!a/b",
                "atom `!!!a/b`: expected a category at character 3",
            ),
            (
                "=>a/b-1",
                "atom `=>a/b-1`: expected a category at character 2",
            ),
            (
                "a/b/c",
                "atom `a/b/c`: expected `:`, `[` or the end at character 4",
            ),
            (
                "a/b:",
                "atom `a/b:`: expected a slot, `*` or `=` at character 5",
            ),
            (
                "a/b:0/",
                "atom `a/b:0/`: expected a sub-slot at character 7",
            ),
            (
                "a/b:0*",
                "atom `a/b:0*`: expected `::`, `[` or the end at character 6",
            ),
            ("a/b[", "atom `a/b[`: expected a USE flag at character 5"),
            ("a/b[]", "atom `a/b[]`: expected a USE flag at character 5"),
            (
                "a/b[x,]",
                "atom `a/b[x,]`: expected a USE flag at character 7",
            ),
            ("a/b[x", "atom `a/b[x`: expected `,` or `]` at character 6"),
            (
                "a/b[x y]",
                "atom `a/b[x y]`: expected `,` or `]` at character 6",
            ),
            (
                "a/b[!x]",
                "atom `a/b[!x]`: expected `?` or `=` at character 7",
            ),
            (
                "a/b[-x?]",
                "atom `a/b[-x?]`: expected `,` or `]` at character 7",
            ),
            ("a/b[x](", "atom `a/b[x](`: expected the end at character 7"),
            (
                "a/b[x(+),x]",
                "atom `a/b[x(+),x]`: flag `x` is given with different defaults",
            ),
            (
                "=a/b",
                "atom `=a/b`: `=` needs a version behind the package name",
            ),
            (
                "a/b-1",
                "atom `a/b-1`: a version needs an operator before the category, such as `=` or `>=`",
            ),
            (
                "=a/b-1.x",
                "atom `=a/b-1.x`: invalid version at character 8",
            ),
            ("=a/b-1-2", "atom `=a/b-1-2`: invalid name at character 5"),
            (
                ">=a/b-1*",
                "atom `>=a/b-1*`: asterisks at character 8 are not allowed with operators other than `=`",
            ),
            (
                "a/*",
                "atom `a/*`: wildcards at character 3 are not allowed outside of the configuration",
            ),
            (
                "a/b::c",
                "atom `a/b::c`: repository names at character 6 are not allowed outside of the configuration",
            ),
            (
                "a/b:0/1=",
                "atom `a/b:0/1=`: slot operators at character 8 are not allowed behind a sub-slot in ebuilds",
            ),
            ("a/.b", "atom `a/.b`: invalid name at character 3"),
            ("-a/b", "atom `-a/b`: invalid name at character 1"),
            ("a/b[_x]", "atom `a/b[_x]`: invalid name at character 5"),
            ("a/b:-1", "atom `a/b:-1`: invalid name at character 5"),
        ] {
            let error = Atom::parse(text, Eapi::LATEST).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!(error.atom(), text);
        }
    }

    #[test]
    fn configuration_has_its_limits() {
        for text in [
            "=*/*-1.0",
            "=cat/*-1",
            "cat/**",
            "**/pkg",
            "cat/*[foo]",
            "=cat/p-1-02",
            "=cat/p-1-2*",
            ">=cat/p-1-2",
            "cat/p-1",
            "cat/p::gentoo:0",
            "cat/p[a]::x",
            "*",
            "foo*",
            "=cat/p-*1.0*",
            ">cat/p-*9*",
            "=cat/p-*9*[a]",
        ] {
            assert!(Atom::parse_config(text).is_err(), "{text}");
        }
    }

    #[test]
    fn features_by_eapi() {
        let _rows = rows(&[193, 194, 197]);
        for (text, first) in [
            ("a/b", "0"),
            ("!a/b", "0"),
            ("a/b:1", "1"),
            ("a/b[c]", "2"),
            ("!!a/b", "2"),
            ("a/b[c(+)]", "4"),
            ("a/b:=", "5"),
            ("a/b:*", "5"),
            ("a/b:1=", "5"),
            ("a/b:1/2", "5"),
        ] {
            for eapi in Eapi::all() {
                assert_eq!(
                    Atom::parse(text, eapi).is_ok(),
                    eapi >= self::eapi(first),
                    "{text} in {eapi}"
                );
            }
        }
        assert_eq!(
            Atom::parse("a/b:=", eapi("4")).unwrap_err().to_string(),
            "atom `a/b:=`: slot operators at character 4 are not part of EAPI 4"
        );
        assert!(Atom::parse_recorded("a/b:1/2=", eapi("5")).is_ok());
    }

    proptest! {
        #[test]
        fn never_panics(text in r"[!<>=~]{0,2}[a-c*]{0,2}/?[a-c0-2*._-]{0,8}[:0/*=]{0,4}(\[[-!a-c,()+?=-]{0,6}\]?)?|\PC{0,12}") {
            for result in [
                Atom::parse(&text, Eapi::LATEST),
                Atom::parse(&text, Eapi::DEFAULT),
                Atom::parse_recorded(&text, Eapi::LATEST),
                Atom::parse_config(&text),
            ] {
                match result {
                    Ok(atom) => prop_assert_eq!(atom.to_string(), text.as_str()),
                    Err(error) => prop_assert!(error.offset() <= text.len()),
                }
            }
        }
    }
}
