//! What parsers say of texts that are not what they should be.

use winnow::LocatingSlice;
use winnow::error::{ContextError, ParseError, StrContext};

/// Where a text stops being what it should be, in bytes, and what was expected there.
pub(crate) fn fault(error: &ParseError<LocatingSlice<&str>, ContextError>) -> (usize, String) {
    let expected = error.inner().context().find_map(|context| match context {
        StrContext::Expected(value) => Some(value.to_string()),
        _ => None,
    });
    let expected = expected.unwrap_or_else(|| "something else".to_owned());
    (error.offset(), expected)
}
