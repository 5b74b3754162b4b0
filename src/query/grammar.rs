//! The grammar of queries. It splits the text and no more; what the terms mean is decided behind it.

use winnow::combinator::{alt, cut_err, delimited, eof, opt, peek, preceded, repeat, terminated};
use winnow::error::{StrContext, StrContextValue};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location};
use winnow::token::{any, none_of, one_of, take_while};

use super::QueryError;
use crate::pms::syntax::fault;

type Input<'a> = LocatingSlice<&'a str>;

/// How deep parentheses may stand in one another.
const DEEPEST: usize = 100;

/// How many bytes a query may have.
const LONGEST: usize = 64 * 1024;

/// A query before its terms are understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Raw<'a> {
    All(Vec<Raw<'a>>),
    Any(Vec<Raw<'a>>),
    Not(Box<Raw<'a>>),
    Term { text: &'a str, offset: usize },
}

/// Splits a whole text.
pub(super) fn parse(text: &str) -> Result<Raw<'_>, QueryError> {
    if text.len() > LONGEST {
        return Err(QueryError::Size {
            limit: "64 KiB at most",
        });
    }
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(QueryError::Size {
                limit: "100 parentheses in one another at most",
            });
        }
    }
    delimited(
        space,
        any_of,
        (space, eof.context(expected("`&`, `|` or the end"))),
    )
    .parse(LocatingSlice::new(text))
    .map_err(|error| {
        let (offset, expected) = fault(&error);
        QueryError::Syntax {
            text: text.to_owned(),
            offset,
            expected,
        }
    })
}

fn expected(description: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(description))
}

fn space(input: &mut Input<'_>) -> ModalResult<()> {
    take_while(0.., char::is_whitespace)
        .void()
        .parse_next(input)
}

/// A word that stands for a sign, before a blank or a parenthesis.
fn word<'a>(
    word: &'static str,
) -> impl Parser<Input<'a>, (), winnow::error::ErrMode<winnow::error::ContextError>> {
    (word, peek(one_of(|c: char| c.is_whitespace() || c == '('))).void()
}

fn any_of<'a>(input: &mut Input<'a>) -> ModalResult<Raw<'a>> {
    let mut parts = vec![all_of.parse_next(input)?];
    let sign = alt((alt(("||", "|")).void(), word("or")));
    let mut next = opt(preceded((space, sign, space), cut_err(all_of)));
    while let Some(part) = next.parse_next(input)? {
        parts.push(part);
    }
    Ok(one_or(parts, Raw::Any))
}

fn all_of<'a>(input: &mut Input<'a>) -> ModalResult<Raw<'a>> {
    let mut parts = vec![unary.parse_next(input)?];
    loop {
        let sign = alt((alt(("&&", "&")).void(), word("and")));
        if opt((space, sign, space)).parse_next(input)?.is_some() {
            parts.push(cut_err(unary).parse_next(input)?);
            continue;
        }
        // What stands side by side belongs together too.
        let side_by_side = preceded(
            space,
            opt(alt((word("or"), one_of(['|', ')']).void(), eof.void()))),
        );
        if peek(side_by_side).parse_next(input)?.is_some() {
            break;
        }
        parts.push(preceded(space, cut_err(unary)).parse_next(input)?);
    }
    Ok(one_or(parts, Raw::All))
}

fn one_or<'a>(mut parts: Vec<Raw<'a>>, several: fn(Vec<Raw<'a>>) -> Raw<'a>) -> Raw<'a> {
    match parts.pop() {
        Some(part) if parts.is_empty() => part,
        Some(part) => {
            parts.push(part);
            several(parts)
        }
        None => several(parts),
    }
}

fn unary<'a>(input: &mut Input<'a>) -> ModalResult<Raw<'a>> {
    // Signs are counted, so that a million of them is no depth.
    let sign = alt((
        terminated("!", space).void(),
        terminated(word("not"), space),
    ));
    let signs: usize = repeat(0.., sign).parse_next(input)?;
    let group = delimited(
        ("(", space),
        cut_err(any_of),
        (space, cut_err(")").context(expected("`)`"))),
    );
    let inner = alt((group, term))
        .context(expected("an attribute, an atom, a name, `!` or `(`"))
        .parse_next(input)?;
    Ok(match signs % 2 {
        0 => inner,
        _ => Raw::Not(Box::new(inner)),
    })
}

/// Everything up to a blank or a sign; quotes and brackets keep both inside.
fn term<'a>(input: &mut Input<'a>) -> ModalResult<Raw<'a>> {
    let offset = input.current_token_start();
    let quoted = |quote: char| {
        (
            quote,
            take_while(0.., move |c| c != quote),
            cut_err(any.verify(move |c| *c == quote)).context(expected("the closing quote")),
        )
            .void()
    };
    let brackets = (
        "[",
        take_while(0.., |c| c != ']'),
        cut_err("]").context(expected("`]`")),
    )
        .void();
    let plain = none_of(|c: char| c.is_whitespace() || "&|()\"'[".contains(c)).void();
    let parts = repeat(1.., alt((quoted('"'), quoted('\''), brackets, plain)));
    let text = parts.map(|()| ()).take().parse_next(input)?;
    Ok(Raw::Term { text, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(raw: &Raw<'_>) -> String {
        let join = |parts: &[Raw<'_>], sign: &str| {
            let parts: Vec<String> = parts.iter().map(shown).collect();
            format!("({})", parts.join(sign))
        };
        match raw {
            Raw::All(parts) => join(parts, "&"),
            Raw::Any(parts) => join(parts, "|"),
            Raw::Not(part) => format!("!{}", shown(part)),
            Raw::Term { text, .. } => (*text).to_owned(),
        }
    }

    #[test]
    fn combines() {
        for (text, expected) in [
            ("a", "a"),
            (" a & b|c ", "((a&b)|c)"),
            ("a b c", "(a&b&c)"),
            ("a (b or c) not d", "(a&(b|c)&!d)"),
            ("!a & !(b | c)", "(!a&!(b|c))"),
            ("!!a and x", "(a&x)"),
            ("a:\"b c\" & d~'x|y'", "(a:\"b c\"&d~'x|y')"),
            ("dev-lang/foo[a(+),!b?] & c", "(dev-lang/foo[a(+),!b?]&c)"),
            ("version!=1", "version!=1"),
            ("android order notx", "(android&order&notx)"),
        ] {
            assert_eq!(shown(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn errors_point_at_the_character() {
        for (text, wanted) in [
            (
                "",
                "an attribute, an atom, a name, `!` or `(` at character 1",
            ),
            ("a &", "character 4"),
            ("(a | b", "`)` at character 7"),
            ("a )", "character 3"),
            ("a:\"b", "the closing quote at character 5"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{text}: {message}");
        }
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_refused() {
        assert!(parse(&"(".repeat(100_000)).is_err());
        assert!(parse(&"a".repeat(1 << 20)).is_err());
        assert!(parse(&("!".repeat(60_000) + "a")).is_ok());
        assert!(parse(&"!".repeat(60_000)).is_err());
        assert!(parse(&"a ".repeat(30_000)).is_ok());
    }
}
