//! Dependencies as they are recorded for a built package.

use std::collections::BTreeSet;

use super::{BuildInfoError, InstalledPackages};
use crate::build::image::Image;
use crate::pms::atom::Atom;
use crate::pms::dependency::{DepSpec, DependencyError, Node};
use crate::pms::eapi::Eapi;

/// The installed packages that `:=` is bound to.
#[derive(Clone, Copy)]
pub struct DependencyContext<'a> {
    /// Those of the system the package is for.
    pub target: &'a dyn InstalledPackages,
    /// Those of the system it is built on; `None` when that is the same.
    pub build_host: Option<&'a dyn InstalledPackages>,
}

/// The value of `key` with conditionals resolved and, where the EAPI has slot operators, each
/// `:=` bound to the slot and sub-slot of the best installed match. One without a match stays.
///
/// # Errors
///
/// When the value cannot be parsed.
pub fn evaluate(
    image: &Image,
    key: &'static str,
    value: &str,
    eapi: Eapi,
    enabled: &BTreeSet<String>,
    context: &DependencyContext<'_>,
) -> Result<String, BuildInfoError> {
    let wrap = |source: DependencyError| BuildInfoError::Dependency {
        package: format!("{}/{}", image.category, image.pf),
        key,
        source: Box::new(source),
    };
    let enabled = |flag: &str| enabled.contains(flag);
    if !key.ends_with("DEPEND") {
        let spec = match key {
            "LICENSE" => DepSpec::<String>::parse_license(value, eapi),
            "PROPERTIES" => DepSpec::<String>::parse_properties(value, eapi),
            _ => DepSpec::<String>::parse_restrict(value, eapi),
        };
        return Ok(spec.map_err(wrap)?.evaluate(enabled).to_string());
    }
    let mut spec = DepSpec::parse_dependencies(value, eapi)
        .map_err(wrap)?
        .evaluate(enabled);
    if eapi.slot_operators() {
        let systems: Vec<&dyn InstalledPackages> = match (key, context.build_host) {
            ("BDEPEND", Some(host)) if eapi.bdepend() => vec![host],
            ("DEPEND", Some(host)) if !eapi.bdepend() => vec![context.target, host],
            _ => vec![context.target],
        };
        spec.nodes.iter_mut().for_each(|node| bind(node, &systems));
    }
    Ok(spec.to_string())
}

/// Binds the slot operators below a node.
fn bind(node: &mut Node<Atom>, systems: &[&dyn InstalledPackages]) {
    match node {
        Node::Leaf(atom) => {
            if !atom.wants_rebuild() {
                return;
            }
            let best = systems.iter().find_map(|system| system.matches(atom).pop());
            if let Some(best) = best {
                *atom = atom.record_slot(&best.slot, &best.subslot);
            }
        }
        Node::AllOf(children)
        | Node::AnyOf(children)
        | Node::ExactlyOne(children)
        | Node::AtMostOne(children)
        | Node::Use { children, .. } => {
            children.iter_mut().for_each(|child| bind(child, systems));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::libc::tests::Installed;
    use super::*;
    use crate::build::image::testing::TestImage;

    fn evaluated(key: &'static str, value: &str, eapi: &str, host: Option<&Installed>) -> String {
        let mut target = Installed::default();
        target.add("dev-libs/icu-74.1", "0/74.1", "");
        target.add("dev-libs/icu-75.2", "0/75.2", "");
        target.add("dev-lang/perl-5.42.0", "0/5.42", "");
        let context = DependencyContext {
            target: &target,
            build_host: host.map(|host| host as &dyn InstalledPackages),
        };
        evaluate(
            &TestImage::new().image,
            key,
            value,
            Eapi::parse(eapi).unwrap(),
            &BTreeSet::new(),
            &context,
        )
        .unwrap()
    }

    #[test]
    fn slot_operators_are_bound_to_the_best_match() {
        assert_eq!(
            evaluated(
                "RDEPEND",
                "dev-libs/icu:= <dev-libs/icu-75:0= dev-lang/perl:0 x/y:=",
                "8",
                None
            ),
            "dev-libs/icu:0/75.2= <dev-libs/icu-75:0/74.1= dev-lang/perl:0 x/y:="
        );
        assert_eq!(
            evaluated(
                "RDEPEND",
                "|| ( x/y:= dev-lang/perl:=[-debug(-)] )",
                "8",
                None
            ),
            "|| ( x/y:= dev-lang/perl:0/5.42=[-debug(-)] )"
        );
    }

    #[test]
    fn each_kind_asks_the_system_it_is_for() {
        let mut host = Installed::default();
        host.add("dev-libs/icu-76.1", "0/76", "");
        host.add("x/y-1", "2", "");
        let on = |key, eapi| evaluated(key, "dev-libs/icu:= x/y:=", eapi, Some(&host));
        assert_eq!(on("BDEPEND", "8"), "dev-libs/icu:0/76= x/y:2/2=");
        assert_eq!(on("DEPEND", "8"), "dev-libs/icu:0/75.2= x/y:=");
        assert_eq!(on("DEPEND", "6"), "dev-libs/icu:0/75.2= x/y:2/2=");
        assert_eq!(on("RDEPEND", "6"), "dev-libs/icu:0/75.2= x/y:=");
    }

    #[test]
    fn what_cannot_be_parsed_names_package_and_key() {
        let target = Installed::default();
        let context = DependencyContext {
            target: &target,
            build_host: None,
        };
        let image = &TestImage::new().image;
        let eapi = Eapi::parse("8").unwrap();
        let error = evaluate(image, "RDEPEND", "a/b (", eapi, &BTreeSet::new(), &context);
        assert_eq!(
            error.unwrap_err().to_string(),
            "app-misc/foo-1-r2: invalid RDEPEND"
        );
    }
}
