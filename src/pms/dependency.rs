//! Dependency-style specifications: groups and USE conditionals around atoms, licences, URIs,
//! flags or plain words (PMS 8.2).

mod display;
mod error;
mod evaluate;
mod parse;

pub use error::DependencyError;

use std::fmt;

use super::atom::Atom;
use super::eapi::Eapi;
use super::names::NameKind;
use super::required_use::UseCondition;
use super::src_uri::SrcUri;

/// How deep groups may be nested. Real ones stay below ten; the limit is there against text made
/// to exhaust the stack.
pub const MAX_DEPTH: usize = 256;

/// An element of a specification.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node<T> {
    /// What the specification is about: an atom, a licence, …
    Leaf(T),
    /// `( … )`, all children must be met.
    AllOf(Vec<Node<T>>),
    /// `|| ( … )`, at least one child must be met.
    AnyOf(Vec<Node<T>>),
    /// `^^ ( … )`, exactly one child must be met.
    ExactlyOne(Vec<Node<T>>),
    /// `?? ( … )`, at most one child may be met.
    AtMostOne(Vec<Node<T>>),
    /// `flag? ( … )` or `!flag? ( … )`: the children count only if the flag is enabled, or
    /// disabled.
    Use {
        /// The flag asked for.
        flag: String,
        /// Whether the flag has an exclamation mark.
        negated: bool,
        /// What depends on it.
        children: Vec<Node<T>>,
    },
}

impl<T> Node<T> {
    /// The nodes inside a group, none of a leaf.
    pub fn children(&self) -> &[Node<T>] {
        match self {
            Node::Leaf(_) => &[],
            Node::AllOf(children)
            | Node::AnyOf(children)
            | Node::ExactlyOne(children)
            | Node::AtMostOne(children)
            | Node::Use { children, .. } => children,
        }
    }
}

/// A whole specification: everything at the top must be met.
///
/// [`fmt::Display`] prints one line, tokens separated by one space.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DepSpec<T> {
    /// The elements at the top.
    pub nodes: Vec<Node<T>>,
    /// Whether a group left empty counts as met, and so goes when conditionals are resolved.
    empty_groups_match: bool,
}

/// What may be a leaf of a specification.
pub trait Element: fmt::Display + Clone {
    /// Whether Portage keeps this kind of leaf as text while it resolves conditionals. It only
    /// matters for which of two spellings it gives deeply nested groups.
    #[doc(hidden)]
    const IS_TEXT: bool;

    /// The leaf with what depends on the package's flags resolved.
    fn resolve(&self, enabled: &dyn Fn(&str) -> bool) -> Self;

    /// What is recorded for an any-of group of which no child is left, where that does not count
    /// as met: Portage writes an atom that no package can have. Without such a leaf the group
    /// stays, with nothing in it.
    fn unmeetable() -> Option<Self> {
        None
    }
}

/// What Portage records for an any-of group of which nothing is left.
const EMPTY_ANY_OF: &str = "__const__/empty-any-of";

impl Element for Atom {
    const IS_TEXT: bool = false;

    fn resolve(&self, enabled: &dyn Fn(&str) -> bool) -> Self {
        match self.has_conditional_use() {
            true => self.evaluate_use(enabled),
            false => self.clone(),
        }
    }

    fn unmeetable() -> Option<Self> {
        Atom::for_package(EMPTY_ANY_OF).ok()
    }
}

impl Element for String {
    const IS_TEXT: bool = true;

    fn resolve(&self, _: &dyn Fn(&str) -> bool) -> Self {
        self.clone()
    }

    fn unmeetable() -> Option<Self> {
        Some(EMPTY_ANY_OF.to_owned())
    }
}

impl Element for SrcUri {
    const IS_TEXT: bool = true;

    fn resolve(&self, _: &dyn Fn(&str) -> bool) -> Self {
        self.clone()
    }
}

impl Element for UseCondition {
    const IS_TEXT: bool = true;

    fn resolve(&self, _: &dyn Fn(&str) -> bool) -> Self {
        self.clone()
    }
}

/// Which groups a kind of specification may have, beside all-of and USE conditional ones.
#[derive(Debug, Clone, Copy)]
struct Groups {
    any_of: bool,
    exactly_one: bool,
    at_most_one: bool,
    /// Whether a group may be written without anything in it.
    empty: bool,
}

impl Groups {
    const NONE: Groups = Groups {
        any_of: false,
        exactly_one: false,
        at_most_one: false,
        empty: false,
    };

    const ANY_OF: Groups = Groups {
        any_of: true,
        ..Groups::NONE
    };
}

impl DepSpec<Atom> {
    /// Reads one of DEPEND, RDEPEND, BDEPEND, PDEPEND and IDEPEND of an ebuild.
    ///
    /// Slot operators inside of any-of groups are taken, as Portage does, although PMS 8.3.3
    /// forbids them; [`DepSpec::slot_operators_in_any_of`] lists them.
    ///
    /// # Errors
    /// Points at the token that does not fit, or carries the atom's own error.
    pub fn parse_dependencies(text: &str, eapi: Eapi) -> Result<Self, DependencyError> {
        parse::parse(text, eapi, Groups::ANY_OF, |token| {
            Atom::parse(token.text, eapi).map_err(|source| token.atom_error(source))
        })
    }

    /// Reads the recorded dependencies of a built package, in which `:slot/subslot=` may occur.
    ///
    /// # Errors
    /// As for [`DepSpec::parse_dependencies`].
    pub fn parse_recorded_dependencies(text: &str, eapi: Eapi) -> Result<Self, DependencyError> {
        parse::parse(text, eapi, Groups::ANY_OF, |token| {
            Atom::parse_recorded(token.text, eapi).map_err(|source| token.atom_error(source))
        })
    }

    /// The atoms with `:=` or `:slot=` somewhere inside an any-of group, which PMS 8.3.3 forbids.
    pub fn slot_operators_in_any_of(&self) -> Vec<&Atom> {
        fn collect<'a>(nodes: &'a [Node<Atom>], inside: bool, found: &mut Vec<&'a Atom>) {
            for node in nodes {
                match node {
                    Node::Leaf(atom) if inside && atom.wants_rebuild() => found.push(atom),
                    _ => collect(
                        node.children(),
                        inside || matches!(node, Node::AnyOf(_)),
                        found,
                    ),
                }
            }
        }
        let mut found = Vec::new();
        collect(&self.nodes, false, &mut found);
        found
    }
}

impl DepSpec<String> {
    /// Reads LICENSE.
    ///
    /// # Errors
    /// Points at the token that does not fit or is no licence name.
    pub fn parse_license(text: &str, eapi: Eapi) -> Result<Self, DependencyError> {
        parse::parse(text, eapi, Groups::ANY_OF, |token| {
            NameKind::License
                .check(token.text)
                .map_err(|source| token.name_error(source))?;
            Ok(token.text.to_owned())
        })
    }

    /// Reads RESTRICT. Any word is taken, since managers may know words of their own.
    ///
    /// # Errors
    /// Points at the token that does not fit.
    pub fn parse_restrict(text: &str, eapi: Eapi) -> Result<Self, DependencyError> {
        parse::parse(text, eapi, Groups::NONE, |token| Ok(token.text.to_owned()))
    }

    /// Reads PROPERTIES. Any word is taken, since managers may know words of their own.
    ///
    /// # Errors
    /// Points at the token that does not fit.
    pub fn parse_properties(text: &str, eapi: Eapi) -> Result<Self, DependencyError> {
        DepSpec::parse_restrict(text, eapi)
    }
}

impl DepSpec<UseCondition> {
    /// Reads REQUIRED_USE. Unlike other specifications it may have groups with nothing in them,
    /// which ebuilds generate and Portage takes.
    ///
    /// # Errors
    /// Points at the token that does not fit or is no flag.
    pub fn parse_required_use(text: &str, eapi: Eapi) -> Result<Self, DependencyError> {
        let groups = Groups {
            any_of: true,
            exactly_one: true,
            at_most_one: true,
            empty: true,
        };
        parse::parse(text, eapi, groups, |token| {
            UseCondition::parse(token.text).map_err(|source| token.name_error(source))
        })
    }
}

impl DepSpec<SrcUri> {
    /// Reads SRC_URI.
    ///
    /// # Errors
    /// Points at the token that does not fit, or carries the URI's own error.
    pub fn parse_src_uri(text: &str, eapi: Eapi) -> Result<Self, DependencyError> {
        parse::parse_src_uri(text, eapi)
    }
}

impl<T> DepSpec<T> {
    /// A specification of these elements, whose empty groups count as in that EAPI.
    pub fn from_nodes(nodes: Vec<Node<T>>, eapi: Eapi) -> Self {
        DepSpec {
            nodes,
            empty_groups_match: eapi.empty_groups_match(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every leaf, in order of the text.
    pub fn leaves(&self) -> impl Iterator<Item = &T> {
        let mut stack: Vec<_> = vec![self.nodes.iter()];
        std::iter::from_fn(move || {
            loop {
                match stack.last_mut()?.next() {
                    Some(Node::Leaf(leaf)) => return Some(leaf),
                    Some(group) => stack.push(group.children().iter()),
                    None => {
                        stack.pop();
                    }
                }
            }
        })
    }

    /// The flags of the USE conditional groups, in order of the text. Each must be part of
    /// IUSE_EFFECTIVE.
    pub fn conditional_flags(&self) -> impl Iterator<Item = &str> {
        let mut stack: Vec<_> = vec![self.nodes.iter()];
        std::iter::from_fn(move || {
            loop {
                match stack.last_mut()?.next() {
                    Some(Node::Use { flag, children, .. }) => {
                        stack.push(children.iter());
                        return Some(flag.as_str());
                    }
                    Some(group) => stack.push(group.children().iter()),
                    None => {
                        stack.pop();
                    }
                }
            }
        })
    }

    /// The same groups around other leaves.
    ///
    /// # Errors
    /// The first error of `change`.
    pub fn try_map<U, E>(
        &self,
        mut change: impl FnMut(&T) -> Result<U, E>,
    ) -> Result<DepSpec<U>, E> {
        Ok(DepSpec {
            nodes: try_map_nodes(&self.nodes, &mut change)?,
            empty_groups_match: self.empty_groups_match,
        })
    }

    /// The same groups around other leaves.
    pub fn map<U>(&self, mut change: impl FnMut(&T) -> U) -> DepSpec<U> {
        let changed = self.try_map(|leaf| Ok::<_, std::convert::Infallible>(change(leaf)));
        match changed {
            Ok(spec) => spec,
            Err(never) => match never {},
        }
    }
}

fn try_map_nodes<T, U, E>(
    nodes: &[Node<T>],
    change: &mut impl FnMut(&T) -> Result<U, E>,
) -> Result<Vec<Node<U>>, E> {
    nodes
        .iter()
        .map(|node| {
            Ok(match node {
                Node::Leaf(leaf) => Node::Leaf(change(leaf)?),
                Node::AllOf(children) => Node::AllOf(try_map_nodes(children, change)?),
                Node::AnyOf(children) => Node::AnyOf(try_map_nodes(children, change)?),
                Node::ExactlyOne(children) => Node::ExactlyOne(try_map_nodes(children, change)?),
                Node::AtMostOne(children) => Node::AtMostOne(try_map_nodes(children, change)?),
                Node::Use {
                    flag,
                    negated,
                    children,
                } => Node::Use {
                    flag: flag.clone(),
                    negated: *negated,
                    children: try_map_nodes(children, change)?,
                },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;

    #[test]
    fn leaves_in_order() {
        let spec =
            DepSpec::parse_license("a || ( b x? ( ( c d ) ) ) !y? ( z? ( e ) ) f", Eapi::LATEST)
                .unwrap();
        assert_eq!(
            spec.leaves().map(String::as_str).collect::<Vec<_>>(),
            ["a", "b", "c", "d", "e", "f"]
        );
        assert_eq!(
            spec.conditional_flags().collect::<Vec<_>>(),
            ["x", "y", "z"]
        );
        assert_eq!(
            spec.map(|leaf| leaf.to_uppercase()).to_string(),
            "A || ( B x? ( ( C D ) ) ) !y? ( z? ( E ) ) F"
        );
    }

    #[test]
    fn finds_misplaced_slot_operators() {
        let _rows = rows(&[195]);
        let spec =
            DepSpec::parse_dependencies("a/a:= || ( b/b:0= x? ( c/c:= ) d/d )", Eapi::LATEST)
                .unwrap();
        let found: Vec<_> = spec
            .slot_operators_in_any_of()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["b/b:0=", "c/c:="]);
    }
}
