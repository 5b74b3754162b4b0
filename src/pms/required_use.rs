//! REQUIRED_USE, the constraints on a package's flags (PMS 7.3.4, 8.2).

use std::fmt;

use super::dependency::{DepSpec, Node};
use super::eapi::Eapi;
use super::names::{NameError, NameKind};

/// A flag that must be enabled, or disabled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UseCondition {
    /// The flag.
    pub flag: String,
    /// Whether it must be disabled.
    pub negated: bool,
}

impl UseCondition {
    /// Reads `flag` or `!flag`.
    ///
    /// # Errors
    /// When the name is not one of a flag.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (flag, negated) = match text.strip_prefix('!') {
            Some(flag) => (flag, true),
            None => (text, false),
        };
        NameKind::UseFlag.check(flag)?;
        Ok(UseCondition {
            flag: flag.to_owned(),
            negated,
        })
    }
}

impl fmt::Display for UseCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.negated { "!" } else { "" })?;
        f.write_str(&self.flag)
    }
}

/// REQUIRED_USE is not met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("REQUIRED_USE is not met: {expression}")]
pub struct Unmet {
    /// The parts that are not met, in order of the text, without what is met beside them.
    pub expression: String,
}

/// Checks the flags of a package against its REQUIRED_USE.
///
/// USE conditional groups whose condition does not hold are no members of the group they stand
/// in. A group of which no member is left counts as met or not by the EAPI
/// ([`Eapi::empty_groups_match`]); at most one of nothing is always met. An all-of group of which
/// no member is left is met, as the text has it, where Portage does not count it as a member.
///
/// # Errors
/// Gives the parts that are not met.
pub fn check(
    spec: &DepSpec<UseCondition>,
    enabled: impl Fn(&str) -> bool,
    eapi: Eapi,
) -> Result<(), Unmet> {
    let checker = Checker {
        enabled: &enabled,
        eapi,
    };
    let unmet: Vec<_> = spec
        .nodes
        .iter()
        .filter_map(|node| checker.unmet(node))
        .collect();
    match unmet.is_empty() {
        true => Ok(()),
        false => Err(Unmet {
            expression: unmet.join(" "),
        }),
    }
}

struct Checker<'a> {
    enabled: &'a dyn Fn(&str) -> bool,
    eapi: Eapi,
}

impl Checker<'_> {
    /// Whether a node is met; nothing if it is no member of the group it stands in.
    fn is_met(&self, node: &Node<UseCondition>) -> Option<bool> {
        let met = match node {
            Node::Leaf(condition) => (self.enabled)(&condition.flag) != condition.negated,
            Node::AllOf(children) => self.all(children),
            Node::Use {
                flag,
                negated,
                children,
            } => ((self.enabled)(flag) != *negated).then(|| self.all(children))?,
            Node::AnyOf(children) => match self.count(children) {
                (0, _) => self.eapi.empty_groups_match(),
                (_, met) => met > 0,
            },
            Node::ExactlyOne(children) => match self.count(children) {
                (0, _) => self.eapi.empty_groups_match(),
                (_, met) => met == 1,
            },
            Node::AtMostOne(children) => self.count(children).1 <= 1,
        };
        Some(met)
    }

    fn all(&self, children: &[Node<UseCondition>]) -> bool {
        children
            .iter()
            .all(|child| self.is_met(child).unwrap_or(true))
    }

    /// How many members a group has, and how many of them are met.
    fn count(&self, children: &[Node<UseCondition>]) -> (usize, usize) {
        children
            .iter()
            .filter_map(|child| self.is_met(child))
            .fold((0, 0), |(members, met), child| {
                (members + 1, met + usize::from(child))
            })
    }

    /// The text of what is not met in a node.
    fn unmet(&self, node: &Node<UseCondition>) -> Option<String> {
        if self.is_met(node).unwrap_or(true) {
            return None;
        }
        let inside = |children: &[Node<UseCondition>]| {
            let unmet: Vec<_> = children
                .iter()
                .filter_map(|child| self.unmet(child))
                .collect();
            unmet.join(" ")
        };
        Some(match node {
            Node::AllOf(children) => inside(children),
            Node::Use {
                flag,
                negated,
                children,
            } => {
                let mark = if *negated { "!" } else { "" };
                format!("{mark}{flag}? ( {} )", inside(children))
            }
            _ => node.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;

    /// Flags beginning with `y` are enabled.
    fn unmet(text: &str, eapi: &str) -> String {
        let eapi = Eapi::parse(eapi).unwrap();
        let spec = DepSpec::parse_required_use(text, eapi).unwrap();
        match check(&spec, |flag| flag.starts_with('y'), eapi) {
            Ok(()) => String::new(),
            Err(error) => error.expression,
        }
    }

    #[test]
    fn checks() {
        let _rows = rows(&[201]);
        for (text, expected) in [
            ("", ""),
            ("y1 !n1", ""),
            ("y1 n1 !y2 !n2", "n1 !y2"),
            ("y1? ( y2 n1 n2 )", "y1? ( n1 n2 )"),
            ("n1? ( n2 ) !y1? ( n2 )", ""),
            ("!n1? ( n2 )", "!n1? ( n2 )"),
            ("|| ( n1 y1 )", ""),
            ("|| ( n1 n2 )", "|| ( n1 n2 )"),
            ("^^ ( y1 n1 )", ""),
            ("^^ ( y1 y2 )", "^^ ( y1 y2 )"),
            ("^^ ( n1 n2 )", "^^ ( n1 n2 )"),
            ("?? ( n1 n2 )", ""),
            ("?? ( y1 n1 )", ""),
            ("?? ( y1 n1 y2 )", "?? ( y1 n1 y2 )"),
            ("|| ( ( y1 n1 ) ( y2 y3 ) )", ""),
            ("^^ ( ( y1 n1 ) ( y2 y3 ) )", ""),
            ("( y1 ( n1 ) )", "n1"),
            ("|| ( n1? ( y1 ) n2 )", "|| ( n1? ( y1 ) n2 )"),
            ("^^ ( n1? ( y1 ) y2 )", ""),
            ("?? ( y1? ( y2 ) y3 )", "?? ( y1? ( y2 ) y3 )"),
            ("y1? ( || ( n1 n2 ) y2 )", "y1? ( || ( n1 n2 ) )"),
        ] {
            assert_eq!(unmet(text, "8"), expected, "{text}");
        }
    }

    #[test]
    fn empty_groups_by_eapi() {
        let _rows = rows(&[198]);
        for text in ["|| ( )", "^^ ( )", "|| ( n1? ( y1 ) )", "^^ ( n1? ( y1 ) )"] {
            assert_eq!(unmet(text, "6"), "", "{text}");
            assert_eq!(unmet(text, "7"), text, "{text}");
        }
        assert_eq!(unmet("?? ( ) ?? ( n1? ( y1 ) )", "8"), "");
    }

    #[test]
    fn reads_conditions() {
        assert_eq!(UseCondition::parse("!a").unwrap().to_string(), "!a");
        assert!(UseCondition::parse("!!a").is_err());
        assert!(UseCondition::parse("!").is_err());
    }
}
