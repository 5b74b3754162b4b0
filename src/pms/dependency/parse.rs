//! Reading specifications: tokens between whitespace, and a stack of open groups.

use super::{DepSpec, DependencyError, Groups, MAX_DEPTH, Node};
use crate::pms::atom::AtomError;
use crate::pms::eapi::Eapi;
use crate::pms::names::{NameError, NameKind};
use crate::pms::src_uri::{SrcUri, SrcUriError};

/// A word of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) offset: usize,
}

impl Token<'_> {
    fn unexpected(self, expected: &'static str) -> DependencyError {
        DependencyError::Token {
            token: self.text.to_owned(),
            offset: self.offset,
            expected,
        }
    }

    /// A bracket or an operator glued to something explains what is wrong with a word better
    /// than the word's own error.
    fn glued(self) -> Option<DependencyError> {
        let text = self.text;
        let part = ["(", ")", "||", "^^", "??"]
            .into_iter()
            .find(|part| text.starts_with(part) || text.ends_with(part))
            // The bracket of a flag's default, in `cat/pkg[foo(+)`, is something else.
            .filter(|part| *part != ")" || !text.contains('('))?;
        Some(DependencyError::Whitespace {
            token: self.text.to_owned(),
            offset: self.offset,
            part,
        })
    }

    pub(super) fn atom_error(self, source: AtomError) -> DependencyError {
        self.glued().unwrap_or_else(|| DependencyError::Atom {
            token: self.text.to_owned(),
            offset: self.offset,
            source,
        })
    }

    pub(super) fn name_error(self, source: NameError) -> DependencyError {
        self.glued().unwrap_or_else(|| DependencyError::Name {
            token: self.text.to_owned(),
            offset: self.offset,
            source,
        })
    }

    fn uri_error(self, source: SrcUriError) -> DependencyError {
        self.glued().unwrap_or_else(|| DependencyError::SrcUri {
            token: self.text.to_owned(),
            offset: self.offset,
            source,
        })
    }
}

/// The words of a text with their offsets.
fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let is_space = |c: char| c.is_ascii_whitespace() || c == '\x0b';
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(is_space);
        if rest.is_empty() {
            return None;
        }
        let offset = text.len() - rest.len();
        let end = rest.find(is_space).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Some(Token { text: word, offset })
    })
}

/// What stands before a group's bracket.
#[derive(Debug, Clone)]
enum Opener {
    AllOf,
    AnyOf,
    ExactlyOne,
    AtMostOne,
    Use { flag: String, negated: bool },
}

impl Opener {
    fn close<T>(self, children: Vec<Node<T>>) -> Node<T> {
        match self {
            Opener::AllOf => Node::AllOf(children),
            Opener::AnyOf => Node::AnyOf(children),
            Opener::ExactlyOne => Node::ExactlyOne(children),
            Opener::AtMostOne => Node::AtMostOne(children),
            Opener::Use { flag, negated } => Node::Use {
                flag,
                negated,
                children,
            },
        }
    }
}

/// The groups that are open, and the elements read so far.
struct Builder<T> {
    eapi: Eapi,
    groups: Groups,
    /// What encloses the elements of the innermost open group, outermost first.
    open: Vec<(Opener, Vec<Node<T>>)>,
    nodes: Vec<Node<T>>,
    /// An operator or a condition that waits for its bracket.
    waiting: Option<Opener>,
}

impl<T> Builder<T> {
    fn new(eapi: Eapi, groups: Groups) -> Self {
        Builder {
            eapi,
            groups,
            open: Vec::new(),
            nodes: Vec::new(),
            waiting: None,
        }
    }

    /// Takes a bracket, an operator or a condition; gives back other tokens.
    fn structure<'a>(&mut self, token: Token<'a>) -> Result<Option<Token<'a>>, DependencyError> {
        match token.text {
            "(" => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(DependencyError::TooDeep {
                        offset: token.offset,
                    });
                }
                let opener = self.waiting.take().unwrap_or(Opener::AllOf);
                self.open.push((opener, std::mem::take(&mut self.nodes)));
                return Ok(None);
            }
            _ if self.waiting.is_some() => return Err(token.unexpected("`(`")),
            ")" => {
                if self.nodes.is_empty() && !self.groups.empty && !self.open.is_empty() {
                    return Err(token.unexpected("something in the group"));
                }
                let Some((opener, outer)) = self.open.pop() else {
                    return Err(token.unexpected("no `)`, since no group is open"));
                };
                let children = std::mem::replace(&mut self.nodes, outer);
                self.nodes.push(opener.close(children));
                return Ok(None);
            }
            "||" => self.operator(token, "||", self.groups.any_of, Opener::AnyOf)?,
            "^^" => self.operator(token, "^^", self.groups.exactly_one, Opener::ExactlyOne)?,
            "??" => {
                self.operator(token, "??", self.groups.at_most_one, Opener::AtMostOne)?;
                if !self.eapi.at_most_one_of() {
                    return Err(DependencyError::Eapi {
                        token: token.text.to_owned(),
                        offset: token.offset,
                        feature: "`??` groups",
                        eapi: self.eapi,
                    });
                }
            }
            text => {
                let Some(condition) = text.strip_suffix('?') else {
                    return Ok(Some(token));
                };
                let (flag, negated) = match condition.strip_prefix('!') {
                    Some(flag) => (flag, true),
                    None => (condition, false),
                };
                NameKind::UseFlag
                    .check(flag)
                    .map_err(|source| token.name_error(source))?;
                self.waiting = Some(Opener::Use {
                    flag: flag.to_owned(),
                    negated,
                });
            }
        }
        Ok(None)
    }

    fn operator(
        &mut self,
        token: Token,
        operator: &'static str,
        allowed: bool,
        opener: Opener,
    ) -> Result<(), DependencyError> {
        if !allowed {
            return Err(DependencyError::Group {
                operator,
                offset: token.offset,
            });
        }
        self.waiting = Some(opener);
        Ok(())
    }

    fn finish(self, length: usize) -> Result<DepSpec<T>, DependencyError> {
        let missing = match (self.waiting, self.open.is_empty()) {
            (Some(_), _) => Some("`(`"),
            (None, false) => Some("`)`"),
            (None, true) => None,
        };
        match missing {
            Some(expected) => Err(DependencyError::End {
                offset: length,
                expected,
            }),
            None => Ok(DepSpec {
                nodes: self.nodes,
                empty_groups_match: self.eapi.empty_groups_match(),
            }),
        }
    }
}

/// Reads a specification whose leaves are single words.
pub(super) fn parse<T>(
    text: &str,
    eapi: Eapi,
    groups: Groups,
    leaf: impl Fn(Token) -> Result<T, DependencyError>,
) -> Result<DepSpec<T>, DependencyError> {
    let mut builder = Builder::new(eapi, groups);
    for token in tokens(text) {
        if let Some(token) = builder.structure(token)? {
            builder.nodes.push(Node::Leaf(leaf(token)?));
        }
    }
    builder.finish(text.len())
}

/// Reads SRC_URI, whose leaves may be three words long.
pub(super) fn parse_src_uri(text: &str, eapi: Eapi) -> Result<DepSpec<SrcUri>, DependencyError> {
    let mut builder = Builder::new(eapi, Groups::NONE);
    let mut tokens = tokens(text).peekable();
    while let Some(token) = tokens.next() {
        let Some(token) = builder.structure(token)? else {
            continue;
        };
        if token.text == "->" {
            return Err(token.unexpected("a URI before the arrow"));
        }
        let mut uri = SrcUri::parse(token.text, eapi).map_err(|error| token.uri_error(error))?;
        if let Some(arrow) = tokens.next_if(|next| next.text == "->") {
            if !eapi.src_uri_arrows() {
                return Err(DependencyError::Eapi {
                    token: arrow.text.to_owned(),
                    offset: arrow.offset,
                    feature: "arrows",
                    eapi,
                });
            }
            let Some(name) = tokens.next() else {
                return Err(DependencyError::End {
                    offset: text.len(),
                    expected: "a file name behind the arrow",
                });
            };
            if matches!(name.text, "(" | ")" | "->" | "||") {
                return Err(name.unexpected("a file name"));
            }
            uri = uri
                .renamed(name.text)
                .map_err(|error| name.uri_error(error))?;
        }
        // The file's name is only known with the arrow read.
        uri.check_filename()
            .map_err(|error| token.uri_error(error))?;
        builder.nodes.push(Node::Leaf(uri));
    }
    builder.finish(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;
    use crate::pms::atom::Atom;
    use crate::pms::required_use::UseCondition;
    use proptest::prelude::*;
    use std::error::Error;

    fn eapi(name: &str) -> Eapi {
        Eapi::parse(name).unwrap()
    }

    #[test]
    fn prints_one_line() {
        let text = "a/b\n\t|| ( c/d\n x? ( e/f ) )   ( g/h\r i/j ) \x0b !y? ( k/l )\n";
        let spec = DepSpec::parse_dependencies(text, Eapi::LATEST).unwrap();
        assert_eq!(
            spec.to_string(),
            "a/b || ( c/d x? ( e/f ) ) ( g/h i/j ) !y? ( k/l )"
        );
        assert!(
            DepSpec::parse_dependencies(" \n", Eapi::LATEST)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn says_what_is_wrong() {
        let _rows = rows(&[200]);
        for (text, message) in [
            (
                "a/b )",
                "`)` at character 5: expected no `)`, since no group is open",
            ),
            ("( a/b", "end of the text: expected `)`"),
            ("||", "end of the text: expected `(`"),
            ("|| a/b", "`a/b` at character 4: expected `(`"),
            ("|| || ( a/b )", "`||` at character 4: expected `(`"),
            ("x? )", "`)` at character 4: expected `(`"),
            ("( )", "`)` at character 3: expected something in the group"),
            (
                "x? ( )",
                "`)` at character 6: expected something in the group",
            ),
            (
                "|| ( a/b c/d)",
                "`c/d)` at character 10: `)` must stand alone, with whitespace around it",
            ),
            (
                "||( a/b )",
                "`||(` at character 1: `(` must stand alone, with whitespace around it",
            ),
            (
                "(a/b )",
                "`(a/b` at character 1: `(` must stand alone, with whitespace around it",
            ),
            (
                "^^ ( a/b )",
                "`^^` at character 1: no such groups are possible here",
            ),
            (
                "?? ( a/b )",
                "`??` at character 1: no such groups are possible here",
            ),
            ("_x? ( a/b )", "`_x?` at character 1: invalid name"),
            ("!!x? ( a/b )", "`!!x?` at character 1: invalid name"),
            ("? ( a/b )", "`?` at character 1: invalid name"),
            ("a/b[c(+)", "`a/b[c(+)` at character 1: invalid dependency"),
            ("a/b   c/d:", "`c/d:` at character 7: invalid dependency"),
        ] {
            let error = DepSpec::parse_dependencies(text, Eapi::LATEST).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let error = DepSpec::parse_dependencies("a/b   c/d:", Eapi::LATEST).unwrap_err();
        assert_eq!(error.offset(), 10);
        assert_eq!(
            error.source().unwrap().to_string(),
            "atom `c/d:`: expected a slot, `*` or `=` at character 5"
        );
    }

    #[test]
    fn groups_by_kind() {
        let _rows = rows(&[205]);
        let latest = Eapi::LATEST;
        assert!(DepSpec::parse_license("|| ( GPL-2 MIT ) x? ( BSD )", latest).is_ok());
        assert!(DepSpec::parse_license("+GPL", latest).is_err());
        assert!(DepSpec::parse_restrict("test? ( x ) !y? ( fetch )", latest).is_ok());
        assert!(DepSpec::parse_restrict("|| ( a b )", latest).is_err());
        assert!(DepSpec::parse_properties("live", latest).is_ok());
        let text = "^^ ( a !b ) ?? ( c d ) || ( ) x? ( ( e f ) )";
        let spec = DepSpec::parse_required_use(text, latest).unwrap();
        assert_eq!(spec.to_string(), text);
        let error = DepSpec::parse_required_use("?? ( a b )", eapi("4")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`??` at character 1: `??` groups are not part of EAPI 4"
        );
        assert!(DepSpec::<UseCondition>::parse_required_use("a(", latest).is_err());
    }

    #[test]
    fn limits_depth() {
        let nested = |depth| format!("{}a/b{}", "( ".repeat(depth), " )".repeat(depth));
        let deep = DepSpec::parse_dependencies(&nested(MAX_DEPTH), Eapi::LATEST).unwrap();
        assert_eq!(deep.evaluate(|_| true).to_string(), "a/b");
        assert_eq!(
            DepSpec::parse_dependencies(&nested(MAX_DEPTH + 1), Eapi::LATEST).unwrap_err(),
            DependencyError::TooDeep {
                offset: 2 * MAX_DEPTH
            }
        );
        assert!(DepSpec::parse_dependencies(&"( ".repeat(1_000_000), Eapi::LATEST).is_err());
    }

    #[test]
    fn src_uri_arrows() {
        let _rows = rows(&[202, 203]);
        let text = "https://x.org/a.tar.gz x? ( https://x.org/v1 -> b-1.zip ) c.bin";
        let spec = DepSpec::parse_src_uri(text, Eapi::LATEST).unwrap();
        assert_eq!(spec.to_string(), text);
        assert_eq!(
            spec.leaves().map(SrcUri::filename).collect::<Vec<_>>(),
            ["a.tar.gz", "b-1.zip", "c.bin"]
        );
        for (name, text, message) in [
            (
                "8",
                "-> b",
                "`->` at character 1: expected a URI before the arrow",
            ),
            (
                "8",
                "a ->",
                "end of the text: expected a file name behind the arrow",
            ),
            ("8", "a -> )", "`)` at character 6: expected a file name"),
            ("8", "a -> b/c", "`b/c` at character 6: invalid source"),
            ("8", "a -> ..", "`..` at character 6: invalid source"),
            (
                "8",
                "https://x.org/",
                "`https://x.org/` at character 1: invalid source",
            ),
            (
                "1",
                "http://x/a -> b",
                "`->` at character 12: arrows are not part of EAPI 1",
            ),
            (
                "7",
                "mirror+http://x/a",
                "`mirror+http://x/a` at character 1: invalid source",
            ),
            (
                "8",
                "|| ( a b )",
                "`||` at character 1: no such groups are possible here",
            ),
        ] {
            let error = DepSpec::parse_src_uri(text, eapi(name)).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        assert!(DepSpec::parse_src_uri("https://x.org/ -> b", Eapi::LATEST).is_ok());
    }

    proptest! {
        #[test]
        fn never_panics(text in r"((\(|\)|\|\||\^\^|\?\?|a\?|!b\?|c/d|->|e|http://x/y|)[ \n]?){0,12}|\PC{0,12}") {
            for eapi in [Eapi::DEFAULT, Eapi::LATEST] {
                if let Ok(spec) = DepSpec::<Atom>::parse_dependencies(&text, eapi) {
                    let printed = spec.to_string();
                    prop_assert_eq!(&DepSpec::parse_dependencies(&printed, eapi).unwrap(), &spec);
                    spec.evaluate(|flag| flag == "a").to_string();
                }
                if let Err(error) = DepSpec::<UseCondition>::parse_required_use(&text, eapi) {
                    prop_assert!(error.offset() <= text.len());
                }
                if let Ok(spec) = DepSpec::<SrcUri>::parse_src_uri(&text, eapi) {
                    prop_assert_eq!(&DepSpec::parse_src_uri(&spec.to_string(), eapi).unwrap(), &spec);
                }
                let _ = DepSpec::<String>::parse_license(&text, eapi);
                let _ = DepSpec::<String>::parse_restrict(&text, eapi);
            }
        }
    }
}
