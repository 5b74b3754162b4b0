//! Dependency texts as Portage stores them in binary packages and in the index: conditionals decided by the USE
//! flags the package was built with, and brackets that say nothing taken away.

use crate::pms::names::NameKind;

/// A dependency text cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReduceError {
    /// A bracket has no partner.
    #[error("unbalanced brackets")]
    Unbalanced,
    /// `||` or a condition stands without a group, or a group is empty.
    #[error("{0:?} is not followed by a group with content")]
    NoGroup(String),
    /// A condition names no USE flag.
    #[error("{0:?} is not a USE conditional")]
    Condition(String),
}

/// What the words of a text are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// Atoms, as in `RDEPEND`.
    Atoms,
    /// Plain words, as in `LICENSE`, `PROPERTIES` and `RESTRICT`.
    Plain,
}

/// What an empty any-of group becomes: an atom that nothing satisfies.
const EMPTY_ANY_OF: &str = "__const__/empty-any-of";

enum Item {
    Token(String),
    AllOf(Vec<Item>),
    AnyOf(Vec<Item>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    None,
    AnyOf,
    Use { active: bool },
}

/// A group that is still open.
struct Group {
    operator: Operator,
    items: Vec<Item>,
}

/// Reduces `text`, a dependency or another text with USE conditionals, to what holds with the flags for which `is_on`
/// says so.
///
/// USE dependencies of atoms (`[flag?]`, `[flag=]`) are decided as well. The result has its tokens separated by single
/// spaces; groups that only repeat what the group around them says are dissolved, as Portage does.
///
/// # Errors
/// The brackets do not pair, or an operator has no group.
pub fn reduce(
    text: &str,
    words: Words,
    is_on: impl Fn(&str) -> bool,
) -> Result<String, ReduceError> {
    let mut open = vec![Group {
        operator: Operator::None,
        items: Vec::new(),
    }];
    let mut operator = None;
    let mut tokens = text.split_whitespace().peekable();
    while let Some(token) = tokens.next() {
        if token == "(" {
            if tokens.peek() == Some(&")") {
                return Err(ReduceError::NoGroup(token.to_owned()));
            }
            let operator = operator
                .take()
                .map_or(Operator::None, |(operator, _)| operator);
            open.push(Group {
                operator,
                items: Vec::new(),
            });
            continue;
        }
        if let Some((_, word)) = operator {
            return Err(ReduceError::NoGroup(word));
        }
        if token == ")" {
            let Some(closed) = open.pop().filter(|_| !open.is_empty()) else {
                return Err(ReduceError::Unbalanced);
            };
            close(closed, &mut open, words);
        } else if token == "||" {
            operator = Some((Operator::AnyOf, token.to_owned()));
        } else if let Some(condition) = token.strip_suffix('?') {
            let (flag, wanted) = condition
                .strip_prefix('!')
                .map_or((condition, true), |flag| (flag, false));
            if !NameKind::UseFlag.is_valid(flag) {
                return Err(ReduceError::Condition(token.to_owned()));
            }
            operator = Some((
                Operator::Use {
                    active: is_on(flag) == wanted,
                },
                token.to_owned(),
            ));
        } else if let Some(group) = open.last_mut() {
            group.items.push(Item::Token(match words {
                Words::Atoms => decide_use_dependencies(token, &is_on),
                Words::Plain => token.to_owned(),
            }));
        }
    }
    if let Some((_, word)) = operator {
        return Err(ReduceError::NoGroup(word));
    }
    match (open.pop(), open.is_empty()) {
        (Some(group), true) => {
            let mut words = Vec::new();
            print(&group.items, &mut words);
            Ok(words.join(" "))
        }
        _ => Err(ReduceError::Unbalanced),
    }
}

/// Adds a group that ends to the group around it, without its brackets wherever they change nothing.
fn close(mut closed: Group, open: &mut [Group], words: Words) {
    if closed.operator == (Operator::Use { active: false }) {
        return;
    }
    let below_any_of = is_below_any_of(open, words);
    let Some(parent) = open.last_mut() else {
        return;
    };
    let parent_is_any_of = parent.operator == Operator::AnyOf;
    let is_any_of = closed.operator == Operator::AnyOf;
    if closed.items.is_empty() {
        let nothing = Item::Token(EMPTY_ANY_OF.to_owned());
        match (is_any_of, parent_is_any_of) {
            (true, true) => parent.items.push(Item::AllOf(vec![nothing])),
            (true, false) => parent.items.push(nothing),
            (false, _) => {}
        }
        return;
    }
    if !is_any_of && !parent_is_any_of {
        parent.items.append(&mut closed.items);
        return;
    }
    if closed.items.len() != 1 {
        match (is_any_of, parent_is_any_of) {
            (true, true) => parent.items.append(&mut closed.items),
            (true, false) => parent.items.push(Item::AnyOf(closed.items)),
            (false, _) => parent.items.push(Item::AllOf(closed.items)),
        }
        return;
    }
    match closed.items.pop() {
        Some(Item::AnyOf(mut items)) if parent_is_any_of => parent.items.append(&mut items),
        Some(Item::AllOf(mut items)) if !below_any_of => parent.items.append(&mut items),
        Some(item) => parent.items.push(item),
        None => {}
    }
}

/// Whether the innermost open group stands somewhere in an any-of group.
///
/// Portage does not look beyond a plain word that stands before a group, but does look beyond an atom there.
fn is_below_any_of(open: &[Group], words: Words) -> bool {
    for (position, group) in open.iter().enumerate().rev() {
        match group.operator {
            Operator::AnyOf => return true,
            Operator::Use { .. } => {}
            Operator::None => {
                let around = position
                    .checked_sub(1)
                    .and_then(|position| open.get(position));
                if words == Words::Plain
                    && let Some(Item::Token(_)) = around.and_then(|group| group.items.last())
                {
                    return false;
                }
            }
        }
    }
    false
}

fn print(items: &[Item], words: &mut Vec<String>) {
    for item in items {
        match item {
            Item::Token(token) => words.push(token.clone()),
            Item::AllOf(items) | Item::AnyOf(items) => {
                if let Item::AnyOf(_) = item {
                    words.push("||".to_owned());
                }
                words.push("(".to_owned());
                print(items, words);
                words.push(")".to_owned());
            }
        }
    }
}

/// `cat/pkg[a?,!b=,c]` with the conditional parts decided; brackets that end up empty go (PMS 8.3.4).
fn decide_use_dependencies(token: &str, is_on: impl Fn(&str) -> bool) -> String {
    let Some((atom, rest)) = token.split_once('[') else {
        return token.to_owned();
    };
    let Some((parts, rest)) = rest.split_once(']') else {
        return token.to_owned();
    };
    let mut decided = Vec::new();
    for part in parts.split(',') {
        let (conditional, equal) = match (part.strip_suffix('?'), part.strip_suffix('=')) {
            (Some(part), _) => (part, false),
            (_, Some(part)) => (part, true),
            _ => {
                decided.push(part.to_owned());
                continue;
            }
        };
        let (conditional, wanted) = conditional
            .strip_prefix('!')
            .map_or((conditional, true), |flag| (flag, false));
        let flag = conditional.split('(').next().unwrap_or_default();
        match (equal, is_on(flag) == wanted) {
            // [a?] asks for a when it is on, [!a?] for its absence when it is off.
            (false, true) if wanted => decided.push(conditional.to_owned()),
            (false, true) => decided.push(format!("-{conditional}")),
            (false, false) => {}
            (true, true) => decided.push(conditional.to_owned()),
            (true, false) => decided.push(format!("-{conditional}")),
        }
    }
    if decided.is_empty() {
        format!("{atom}{rest}")
    } else {
        format!("{atom}[{}]{rest}", decided.join(","))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reduced(text: &str) -> String {
        reduce(text, Words::Atoms, |flag| flag == "on").unwrap()
    }

    #[test]
    fn decides_conditions() {
        assert_eq!(
            reduced(" a/b\n\ton? ( c/d ) off? ( e/f )  !on? ( g/h ) !off? ( i/j ) "),
            "a/b c/d i/j"
        );
        assert_eq!(reduced(""), "");
    }

    #[test]
    fn decides_use_dependencies() {
        for (text, expected) in [
            ("a/b[on?]", "a/b[on]"),
            ("a/b[off?]", "a/b"),
            ("a/b[!on?]", "a/b"),
            ("a/b[!off?]", "a/b[-off]"),
            ("a/b[on=,off=]", "a/b[on,-off]"),
            ("a/b[!on=,!off=]", "a/b[-on,off]"),
            (
                ">=a/b-1:0=[x,-y,on(+)?,off(-)=]",
                ">=a/b-1:0=[x,-y,on(+),-off(-)]",
            ),
            ("a/b[x(+)]", "a/b[x(+)]"),
        ] {
            assert_eq!(reduced(text), expected, "{text}");
        }
    }

    /// What Portage's own reduction gives for the same texts.
    #[test]
    fn dissolves_groups_as_portage() {
        for (text, expected) in [
            ("( a )", "a"),
            ("( ( a b ) c )", "a b c"),
            ("|| ( a )", "a"),
            ("|| ( a b )", "|| ( a b )"),
            ("|| ( || ( a b ) c )", "|| ( a b c )"),
            ("|| ( a || ( b c ) )", "|| ( a b c )"),
            ("|| ( ( a b ) c )", "|| ( ( a b ) c )"),
            ("|| ( ( a ) b )", "|| ( a b )"),
            ("|| ( ( a b ) )", "a b"),
            ("|| ( || ( ( a b ) ) c )", "|| ( ( a b ) c )"),
            ("|| ( on? ( a b ) c )", "|| ( ( a b ) c )"),
            ("|| ( off? ( a ) b )", "b"),
            ("|| ( off? ( a ) )", EMPTY_ANY_OF),
            (
                "|| ( || ( off? ( a ) ) b )",
                "|| ( ( __const__/empty-any-of ) b )",
            ),
            ("|| ( on? ( || ( a b ) ) c )", "|| ( a b c )"),
            ("|| ( on? ( a || ( b c ) ) d )", "|| ( ( a || ( b c ) ) d )"),
            ("x || ( ( ( a b ) ) )", "x a b"),
            ("on? ( || ( a ( b c ) ) )", "|| ( a ( b c ) )"),
        ] {
            assert_eq!(reduced(text), expected, "{text}");
        }
    }

    #[test]
    fn atoms_and_words_differ() {
        let text = "|| ( x ( || ( ( a b ) ) c ) )";
        assert_eq!(reduced(text), "|| ( x ( ( a b ) c ) )");
        assert_eq!(
            reduce(text, Words::Plain, |_| true).unwrap(),
            "|| ( x ( a b c ) )"
        );
    }

    #[test]
    fn refuses_what_does_not_pair() {
        for text in [
            "(",
            ")",
            "( a",
            "a )",
            "( )",
            "on? ( )",
            "||",
            "|| a",
            "on? a",
            "on? || ( a )",
            "|| )",
            "? ( a )",
        ] {
            assert!(reduce(text, Words::Atoms, |_| true).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_reduces_once(text in "((\\( | \\) |\\|\\| \\( |a/b |on\\? \\( |off\\? \\( |c/d\\[on=\\] ){0,20})") {
            if let Ok(once) = reduce(&text, Words::Atoms, |flag| flag == "on") {
                prop_assert!(!once.contains('?') || once.contains("[?"), "{}", once);
                prop_assert!(reduce(&once, Words::Atoms, |_| false).is_ok());
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = reduce(&text, Words::Atoms, |_| true);
            let _ = reduce(&text, Words::Plain, |_| true);
        }
    }
}
