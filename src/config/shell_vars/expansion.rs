//! `$name` and `${name}` in values.

use std::collections::HashMap;

/// Why a value cannot be expanded.
pub(super) struct ExpansionError {
    pub(super) problem: String,
    pub(super) cure: &'static str,
}

impl ExpansionError {
    fn new(problem: impl Into<String>, cure: &'static str) -> Self {
        ExpansionError {
            problem: problem.into(),
            cure,
        }
    }
}

/// Replaces `$name` and `${name}` and turns newlines into blanks.
pub(super) fn expand(
    text: &str,
    known: &HashMap<String, String>,
) -> Result<String, ExpansionError> {
    let chars: Vec<char> = text.chars().collect();
    let at = |position: usize| chars.get(position).copied();
    let mut result = String::with_capacity(text.len());
    let (mut single, mut double) = (false, false);
    let mut position = 0;
    while let Some(c) = at(position) {
        position += 1;
        match c {
            '\'' => {
                result.push(c);
                if !double {
                    single = !single;
                }
            }
            '"' => {
                result.push(c);
                if !single {
                    double = !double;
                }
            }
            c if single => result.push(c),
            '\n' => result.push(' '),
            '\\' => {
                let Some(next) = at(position) else {
                    result.push('\\');
                    break;
                };
                position += 1;
                match next {
                    '$' => result.push('$'),
                    '\\' => {
                        result.push('\\');
                        // Portage takes the character behind two backslashes as it is.
                        if let Some(after @ ('\'' | '"' | '$')) = at(position) {
                            result.push(after);
                            position += 1;
                        }
                    }
                    '\n' => {}
                    other => {
                        result.push('\\');
                        result.push(other);
                    }
                }
            }
            '$' => match at(position) {
                None => result.push('$'),
                Some(next) => {
                    let braced = next == '{';
                    let start = position + usize::from(braced);
                    let mut end = start;
                    while at(end).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                        end += 1;
                    }
                    let name: String = chars.get(start..end).unwrap_or_default().iter().collect();
                    if next == '(' {
                        return Err(ExpansionError::new(
                            "`$(` begins a command substitution, which is not allowed here",
                            "write the value out",
                        ));
                    }
                    if braced && at(end) != Some('}') {
                        return Err(match at(end) {
                            None => ExpansionError::new(
                                format!("`${{{name}` is never closed"),
                                "add the missing }",
                            ),
                            Some(sign) => ExpansionError::new(
                                format!("`${{{name}{sign}…`: only plain ${{name}} is understood"),
                                "write the value out",
                            ),
                        });
                    }
                    if name.is_empty() {
                        return Err(ExpansionError::new(
                            format!(
                                "`${}` names no variable",
                                if braced {
                                    "{}".to_owned()
                                } else {
                                    next.to_string()
                                }
                            ),
                            "write \\$ inside double quotes for a dollar sign",
                        ));
                    }
                    if let Some(value) = known.get(&name) {
                        result.push_str(value);
                    }
                    position = end + usize::from(braced);
                }
            },
            c => result.push(c),
        }
    }
    Ok(result)
}
