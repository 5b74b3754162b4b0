//! The grammar of atoms.
//!
//! It splits the text and no more. Whether the pieces are valid is checked behind it, so that a
//! name with a wrong ending is reported as such and not as a missing bracket.

use winnow::combinator::{alt, cut_err, delimited, eof, not, opt, preceded, separated, terminated};
use winnow::error::{ContextError, ErrMode, StrContext, StrContextValue};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location};
use winnow::token::{literal, take_while};

use crate::pms::names::NameKind;

type Input<'a> = LocatingSlice<&'a str>;

/// A piece of the text and where it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) offset: usize,
}

#[derive(Debug)]
pub(super) enum RawSlot<'a> {
    Any,
    Rebuild,
    Named {
        slot: Piece<'a>,
        subslot: Option<Piece<'a>>,
        rebuild: Option<usize>,
    },
}

#[derive(Debug)]
pub(super) struct RawUse<'a> {
    pub(super) prefix: Option<char>,
    pub(super) flag: Piece<'a>,
    pub(super) default: Option<(bool, usize)>,
    pub(super) suffix: Option<Piece<'a>>,
}

#[derive(Debug)]
pub(super) struct Raw<'a> {
    pub(super) blocker: Option<Piece<'a>>,
    pub(super) operator: Option<Piece<'a>>,
    pub(super) category: Piece<'a>,
    pub(super) package: Piece<'a>,
    pub(super) slot: Option<(usize, RawSlot<'a>)>,
    pub(super) repository: Option<Piece<'a>>,
    pub(super) use_deps: Option<(usize, Vec<RawUse<'a>>)>,
}

fn expected(description: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(description))
}

fn piece<'a>(
    parser: impl Parser<Input<'a>, &'a str, ErrMode<ContextError>>,
) -> impl Parser<Input<'a>, Piece<'a>, ErrMode<ContextError>> {
    parser.with_span().map(|(text, span)| Piece {
        text,
        offset: span.start,
    })
}

/// One or more characters that may be part of such a name.
fn name<'a>(input: &mut Input<'a>, kind: NameKind, extra: &str) -> ModalResult<Piece<'a>> {
    let allowed = |c: char| kind.allows(c) || extra.contains(c);
    piece(take_while(1.., allowed)).parse_next(input)
}

/// Splits an atom into its pieces.
pub(super) fn raw_atom<'a>(input: &mut Input<'a>) -> ModalResult<Raw<'a>> {
    let blocker = opt(piece(alt((literal("!!"), literal("!"))))).parse_next(input)?;
    let operator = opt(piece(alt(("<=", ">=", "<", ">", "=", "~")))).parse_next(input)?;
    let category = (|input: &mut Input<'a>| name(input, NameKind::Category, "*"))
        .context(expected("a category"))
        .parse_next(input)?;
    literal("/").context(expected("`/`")).parse_next(input)?;
    let package = (|input: &mut Input<'a>| name(input, NameKind::Package, ".*"))
        .context(expected("a package name"))
        .parse_next(input)?;
    let slot = opt(raw_slot).parse_next(input)?;
    let repository = opt(preceded(
        "::",
        cut_err(|input: &mut Input<'a>| name(input, NameKind::Repository, ""))
            .context(expected("a repository name")),
    ))
    .parse_next(input)?;
    let use_deps = opt(raw_use_deps).parse_next(input)?;
    let missing = match (&use_deps, &repository, &slot) {
        (Some(_), ..) => "the end",
        (None, Some(_), _) => "`[` or the end",
        (None, None, Some(_)) => "`::`, `[` or the end",
        (None, None, None) => "`:`, `[` or the end",
    };
    eof.context(expected(missing)).parse_next(input)?;
    Ok(Raw {
        blocker,
        operator,
        category,
        package,
        slot,
        repository,
        use_deps,
    })
}

fn raw_slot<'a>(input: &mut Input<'a>) -> ModalResult<(usize, RawSlot<'a>)> {
    let offset = input.current_token_start();
    terminated(literal(":"), not(literal(":"))).parse_next(input)?;
    let slot = cut_err(alt((
        literal("*").map(|_| RawSlot::Any),
        literal("=").map(|_| RawSlot::Rebuild),
        named_slot,
    )))
    .context(expected("a slot, `*` or `=`"))
    .parse_next(input)?;
    Ok((offset, slot))
}

fn named_slot<'a>(input: &mut Input<'a>) -> ModalResult<RawSlot<'a>> {
    let slot = name(input, NameKind::Slot, "")?;
    let subslot = opt(preceded(
        "/",
        cut_err(|input: &mut Input<'a>| name(input, NameKind::Slot, ""))
            .context(expected("a sub-slot")),
    ))
    .parse_next(input)?;
    let offset = input.current_token_start();
    let rebuild = opt(literal("=")).parse_next(input)?.map(|_| offset);
    Ok(RawSlot::Named {
        slot,
        subslot,
        rebuild,
    })
}

fn raw_use_deps<'a>(input: &mut Input<'a>) -> ModalResult<(usize, Vec<RawUse<'a>>)> {
    let offset = input.current_token_start();
    let deps = delimited(
        literal("["),
        cut_err(separated(1.., raw_use_dep, literal(","))),
        cut_err(literal("]")).context(expected("`,` or `]`")),
    )
    .parse_next(input)?;
    Ok((offset, deps))
}

fn raw_use_dep<'a>(input: &mut Input<'a>) -> ModalResult<RawUse<'a>> {
    let prefix = opt(alt(('!', '-'))).parse_next(input)?;
    let flag = cut_err(|input: &mut Input<'a>| name(input, NameKind::UseFlag, ""))
        .context(expected("a USE flag"))
        .parse_next(input)?;
    let offset = input.current_token_start();
    let default = opt(alt((
        literal("(+)").map(|_| true),
        literal("(-)").map(|_| false),
    )))
    .parse_next(input)?
    .map(|default| (default, offset));
    let suffix = opt(piece(alt((literal("?"), literal("="))))).parse_next(input)?;
    Ok(RawUse {
        prefix,
        flag,
        default,
        suffix,
    })
}
