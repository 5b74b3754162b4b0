//! Statements that recreate an environment.

use super::value::Value;
use super::{Attributes, Environment, StoredVariable};
use crate::processor::scan::RESERVED;

/// Attributes that change a value when it is assigned. A value that was there before the
/// attribute must be assigned before it.
const CHANGING: Attributes = Attributes::of(b"iclu");

/// Where the statements make their variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Where they are evaluated: to be evaluated at top level.
    Here,
    /// At top level, wherever they are evaluated.
    Global,
}

pub(super) fn print(environment: &Environment, scope: Scope) -> Vec<u8> {
    let mut out = Vec::with_capacity(environment.text.len() + 64);
    for variable in &environment.variables {
        let value = variable.value.clone().map(|span| environment.text(span));
        let late = match value {
            Some(text) if changes(variable, Value::new(text)) => {
                // Readonly must come last too: nothing can be added to it.
                variable
                    .attributes
                    .without(variable.attributes.without(CHANGING_OR_READONLY))
            }
            _ => Attributes::default(),
        };
        declare(
            &mut out,
            scope,
            variable,
            variable.attributes.without(late),
            value,
        );
        if late != Attributes::default() {
            declare(&mut out, scope, variable, late, None);
        }
    }
    for function in environment.functions() {
        let name = function.name();
        if RESERVED.contains(&name) || name.contains(&b'=') {
            out.extend_from_slice(b"function ");
        }
        out.extend_from_slice(name);
        out.extend_from_slice(b" ()");
        out.extend_from_slice(function.body());
        if out.last() != Some(&b'\n') {
            out.push(b'\n');
        }
        if function.attributes() != Attributes::default() {
            out.extend_from_slice(b"declare -f");
            out.extend_from_slice(function.attributes().letters().as_bytes());
            out.push(b' ');
            out.extend_from_slice(name);
            out.push(b'\n');
        }
    }
    out
}

const CHANGING_OR_READONLY: Attributes = Attributes::of(b"iclur");

fn declare(
    out: &mut Vec<u8>,
    scope: Scope,
    variable: &StoredVariable,
    attributes: Attributes,
    value: Option<&[u8]>,
) {
    out.extend_from_slice(match scope {
        Scope::Here => b"declare ",
        Scope::Global => b"declare -g ",
    });
    if attributes != Attributes::default() {
        out.push(b'-');
        out.extend_from_slice(attributes.letters().as_bytes());
        out.push(b' ');
    } else if !variable.bare {
        out.extend_from_slice(b"-- ");
    }
    out.extend_from_slice(variable.name.as_bytes());
    if let Some(value) = value {
        out.push(b'=');
        out.extend_from_slice(value);
    }
    out.push(b'\n');
}

/// True when assigning the value under the variable's attributes would not give the value.
fn changes(variable: &StoredVariable, value: Value<'_>) -> bool {
    let attributes = variable.attributes;
    if !attributes.intersects(CHANGING) {
        return false;
    }
    value.elements().iter().any(|element| {
        let value = &element.value;
        (attributes.has(b'i') && !is_plain_integer(value))
            || (attributes.has(b'l')
                && !value
                    .iter()
                    .all(|b| b.is_ascii() && !b.is_ascii_uppercase()))
            || (attributes.has(b'u')
                && !value
                    .iter()
                    .all(|b| b.is_ascii() && !b.is_ascii_lowercase()))
            || attributes.has(b'c')
    })
}

/// True for a decimal integer as bash prints one, which arithmetic leaves alone.
fn is_plain_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        b"0" => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.len() < 18 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}
