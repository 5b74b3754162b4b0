//! The values of an ebuild's metadata that the configuration looks into.

use std::collections::BTreeSet;

use super::super::package::{MaskReason, PackageQuery};
use crate::pms::dependency::{DepSpec, DependencyError};

/// The metadata's expressions; what cannot be parsed is empty and a reason for a mask.
pub(super) struct Expressions {
    pub(super) license: Option<DepSpec<String>>,
    pub(super) restrict: Option<DepSpec<String>>,
    pub(super) properties: Option<DepSpec<String>>,
    pub(super) invalid: Vec<MaskReason>,
}

impl Expressions {
    pub(super) fn new(query: &PackageQuery<'_>) -> Self {
        let mut invalid = Vec::new();
        let mut take = |variable, parsed: Result<DepSpec<String>, DependencyError>| match parsed {
            Ok(spec) => Some(spec),
            Err(error) => {
                invalid.push(MaskReason::Invalid {
                    variable,
                    problem: error.to_string(),
                });
                None
            }
        };
        let eapi = query.eapi;
        let license = take("LICENSE", DepSpec::parse_license(query.license, eapi));
        let restrict = take("RESTRICT", DepSpec::parse_restrict(query.restrict, eapi));
        let properties = take(
            "PROPERTIES",
            DepSpec::parse_properties(query.properties, eapi),
        );
        Expressions {
            license,
            restrict,
            properties,
            invalid,
        }
    }

    /// Whether RESTRICT forbids `src_test`, unless the words of ALLOW_TEST allow what PROPERTIES say of it.
    pub(super) fn restricts_tests(&self, allow_test: &str, enabled: impl Fn(&str) -> bool) -> bool {
        let restrict = evaluate(&self.restrict, &enabled);
        let properties = evaluate(&self.properties, &enabled);
        let properties = words(&properties);
        let waived = allow_test.split_whitespace().any(|word| match word {
            "all" => true,
            "network" => properties.contains("test_network"),
            "privileged" => properties.contains("test_privileged"),
            _ => false,
        });
        words(&restrict).contains("test") && !waived
    }
}

pub(super) type Expression = Option<DepSpec<String>>;

pub(super) fn evaluate(spec: &Expression, enabled: impl Fn(&str) -> bool) -> Expression {
    spec.as_ref().map(|spec| spec.evaluate(enabled))
}

pub(super) fn words(spec: &Expression) -> BTreeSet<&str> {
    spec.iter()
        .flat_map(DepSpec::leaves)
        .map(String::as_str)
        .collect()
}

pub(super) fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(" ")
}

/// The flags of one IUSE.
pub(super) struct Iuse<'a> {
    pub(super) names: Vec<&'a str>,
    pub(super) defaults: Vec<String>,
}

impl<'a> Iuse<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut iuse = Iuse {
            names: Vec::new(),
            defaults: Vec::new(),
        };
        for word in text.split_whitespace() {
            if let Some(flag) = word.strip_prefix('+') {
                iuse.defaults.push(flag.to_owned());
            } else if word.starts_with('-') {
                iuse.defaults.push(word.to_owned());
            }
            iuse.names.push(word.trim_start_matches(['+', '-']));
        }
        iuse
    }
}
