//! Resolving USE conditionals.
//!
//! The result is in the form in which Portage records dependencies, so that what is written from
//! it is the same text: groups that say nothing are dissolved, nested any-of groups are joined,
//! and which brackets remain inside of an any-of group follows its habits to the letter.

use super::{DepSpec, Element, Node};

impl<T: Element> DepSpec<T> {
    /// The specification for a package with these flags: without USE conditional groups, with
    /// the conditional flags of atoms resolved, and without groups that say nothing.
    ///
    /// An any-of group of which nothing is left is dropped in EAPIs in which it counts as met. In
    /// others something remains that nothing can meet: as in Portage's records the atom
    /// `__const__/empty-any-of`, in REQUIRED_USE the empty group.
    pub fn evaluate(&self, enabled: impl Fn(&str) -> bool) -> DepSpec<T> {
        let evaluation = Evaluation {
            enabled: &enabled,
            empty_groups_match: self.empty_groups_match,
        };
        let mut nodes = Vec::new();
        evaluation.list(&self.nodes, Place::TOP, &mut nodes);
        DepSpec {
            nodes,
            empty_groups_match: self.empty_groups_match,
        }
    }
}

/// Where a list of elements stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// What the list is the content of.
    list_of: ListOf,
    /// Whether the enclosing groups lead to an any-of group, so that the brackets of a group
    /// that stands alone in an any-of group are kept.
    below_any_of: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListOf {
    /// An all-of or USE conditional group, or the whole.
    All,
    /// An any-of group.
    Any,
    /// A group whose members are counted.
    Counted,
}

impl Place {
    const TOP: Place = Place {
        list_of: ListOf::All,
        below_any_of: false,
    };
}

struct Evaluation<'a> {
    enabled: &'a dyn Fn(&str) -> bool,
    empty_groups_match: bool,
}

impl Evaluation<'_> {
    /// Adds what is left of `nodes` to `result`, the list at `place`.
    fn list<T: Element>(&self, nodes: &[Node<T>], place: Place, result: &mut Vec<Node<T>>) {
        for node in nodes {
            match node {
                Node::Leaf(leaf) => result.push(Node::Leaf(leaf.resolve(self.enabled))),
                Node::Use {
                    flag,
                    negated,
                    children,
                } => {
                    if (self.enabled)(flag) != *negated {
                        self.all_of(children, place, place.below_any_of, result);
                    }
                }
                Node::AllOf(children) => {
                    // A text right before the group ends Portage's search for an any-of group
                    // around it.
                    let hidden = T::IS_TEXT && matches!(result.last(), Some(Node::Leaf(_)));
                    self.all_of(children, place, place.below_any_of && !hidden, result);
                }
                Node::AnyOf(children) => self.any_of(children, place, result),
                Node::ExactlyOne(children) => {
                    result.push(Node::ExactlyOne(self.counted(children)));
                }
                Node::AtMostOne(children) => {
                    result.push(Node::AtMostOne(self.counted(children)));
                }
            }
        }
    }

    fn all_of<T: Element>(
        &self,
        children: &[Node<T>],
        place: Place,
        below_any_of: bool,
        result: &mut Vec<Node<T>>,
    ) {
        let mut content = Vec::new();
        let inner = Place {
            list_of: ListOf::All,
            below_any_of,
        };
        self.list(children, inner, &mut content);
        match place.list_of {
            ListOf::All => result.append(&mut content),
            ListOf::Any if content.is_empty() => {}
            ListOf::Any => add_alternative(content, place, result),
            ListOf::Counted => match content.len() {
                1 => result.append(&mut content),
                _ => result.push(Node::AllOf(content)),
            },
        }
    }

    fn any_of<T: Element>(&self, children: &[Node<T>], place: Place, result: &mut Vec<Node<T>>) {
        let mut content = Vec::new();
        let inner = Place {
            list_of: ListOf::Any,
            below_any_of: true,
        };
        self.list(children, inner, &mut content);
        match (content.len(), place.list_of) {
            (0, _) if self.empty_groups_match => {}
            (0, list_of) => {
                let unmeetable = T::unmeetable().map_or(Node::AnyOf(content), Node::Leaf);
                result.push(match list_of {
                    ListOf::Any => Node::AllOf(vec![unmeetable]),
                    ListOf::All | ListOf::Counted => unmeetable,
                });
            }
            (1, _) => add_alternative(content, place, result),
            (_, ListOf::Any) => result.append(&mut content),
            (_, ListOf::All | ListOf::Counted) => result.push(Node::AnyOf(content)),
        }
    }

    fn counted<T: Element>(&self, children: &[Node<T>]) -> Vec<Node<T>> {
        let mut content = Vec::new();
        let inner = Place {
            list_of: ListOf::Counted,
            below_any_of: false,
        };
        self.list(children, inner, &mut content);
        content
    }
}

/// Adds the content of a group where it stands for one element, in as few brackets as Portage
/// uses.
fn add_alternative<T>(mut content: Vec<Node<T>>, place: Place, result: &mut Vec<Node<T>>) {
    if content.len() > 1 {
        result.push(Node::AllOf(content));
        return;
    }
    match content.pop() {
        Some(Node::AnyOf(mut alternatives))
            if place.list_of == ListOf::Any && !alternatives.is_empty() =>
        {
            result.append(&mut alternatives);
        }
        Some(Node::AllOf(mut members))
            if place.list_of != ListOf::Counted && !place.below_any_of =>
        {
            result.append(&mut members);
        }
        Some(node) => result.push(node),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;
    use crate::pms::eapi::Eapi;

    fn evaluated(text: &str, eapi: &str) -> String {
        let eapi = Eapi::parse(eapi).unwrap();
        DepSpec::parse_dependencies(text, eapi)
            .unwrap()
            .evaluate(|flag| flag == "on")
            .to_string()
    }

    #[test]
    fn as_portage_records() {
        let _rows = rows(&[198, 199]);
        for (text, expected) in [
            ("a/a b/b", "a/a b/b"),
            ("( a/a ( b/b ) )", "a/a b/b"),
            ("on? ( a/a ) off? ( b/b ) !off? ( c/c )", "a/a c/c"),
            ("|| ( a/a )", "a/a"),
            ("|| ( a/a b/b )", "|| ( a/a b/b )"),
            ("|| ( ( a/a b/b ) )", "a/a b/b"),
            ("|| ( ( a/a b/b ) c/c )", "|| ( ( a/a b/b ) c/c )"),
            ("|| ( a/a || ( b/b c/c ) )", "|| ( a/a b/b c/c )"),
            ("|| ( || ( a/a b/b ) )", "|| ( a/a b/b )"),
            ("|| ( a/a ( || ( b/b c/c ) ) )", "|| ( a/a b/b c/c )"),
            ("|| ( off? ( a/a ) b/b )", "b/b"),
            ("|| ( on? ( a/a b/b ) c/c )", "|| ( ( a/a b/b ) c/c )"),
            ("|| ( on? ( a/a ) c/c )", "|| ( a/a c/c )"),
            ("off? ( || ( a/a b/b ) )", ""),
            ("|| ( off? ( a/a ) )", "__const__/empty-any-of"),
            (
                "|| ( a/a || ( off? ( b/b ) ) )",
                "|| ( a/a ( __const__/empty-any-of ) )",
            ),
            (
                "|| ( a/a on? ( || ( off? ( b/b ) ) ) )",
                "|| ( a/a __const__/empty-any-of )",
            ),
            ("|| ( || ( off? ( b/b ) ) )", "__const__/empty-any-of"),
            ("a/a[on?,off?,x=] b/b[!off?]", "a/a[on,-x] b/b[-off]"),
            (
                "|| ( ( a/a || ( b/b c/c ) ) d/d )",
                "|| ( ( a/a || ( b/b c/c ) ) d/d )",
            ),
            (
                "|| ( x/x ( || ( ( a/a b/b ) ) d/d ) c/c )",
                "|| ( x/x ( ( a/a b/b ) d/d ) c/c )",
            ),
        ] {
            assert_eq!(evaluated(text, "8"), expected, "{text}");
        }
        assert_eq!(evaluated("|| ( off? ( a/a ) )", "6"), "");
        assert_eq!(
            evaluated("|| ( off? ( a/a ) b/b c/c )", "6"),
            "|| ( b/b c/c )"
        );
    }

    #[test]
    fn text_and_atoms_differ_where_portage_does() {
        let text = "|| ( x ( || ( ( a b ) ) d ) c )";
        let spec = DepSpec::parse_license(text, Eapi::LATEST).unwrap();
        assert_eq!(spec.evaluate(|_| true).to_string(), "|| ( x ( a b d ) c )");
    }

    #[test]
    fn counted_groups_keep_their_members() {
        let spec = DepSpec::parse_required_use(
            "^^ ( on? ( a ) off? ( b ) ( c d ) ( e ) ) ?? ( || ( f g ) )",
            Eapi::LATEST,
        )
        .unwrap();
        assert_eq!(
            spec.evaluate(|flag| flag == "on").to_string(),
            "^^ ( a ( c d ) e ) ?? ( || ( f g ) )"
        );
    }
}
