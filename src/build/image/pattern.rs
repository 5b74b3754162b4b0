//! The regular expressions that QA variables carry.

use regex::bytes::Regex;

use super::ImageError;

/// A basic regular expression, as `sed` reads it, turned into the syntax of [`regex`].
///
/// In a basic expression `+ ? | ( ) { }` stand for themselves and get their meaning from a
/// backslash.
fn from_basic(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    let mut at_start = true;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('+' | '?' | '|' | '(' | ')' | '{' | '}')) => out.push(next),
                Some(next) => {
                    out.push('\\');
                    out.push(next);
                }
                None => out.push_str("\\\\"),
            },
            '+' | '?' | '|' | '(' | ')' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '*' if at_start => out.push_str("\\*"),
            '[' => {
                out.push('[');
                // Within a bracket a backslash is a plain member.
                let mut first = true;
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
                for member in chars.by_ref() {
                    match member {
                        ']' if first => out.push_str("\\]"),
                        ']' => {
                            out.push(']');
                            break;
                        }
                        '\\' | '[' | '&' | '~' => {
                            out.push('\\');
                            out.push(member);
                        }
                        other => out.push(other),
                    }
                    first = false;
                }
            }
            other => out.push(other),
        }
        at_start = false;
    }
    out
}

fn compile(variable: &str, text: &str, expression: &str) -> Result<Regex, ImageError> {
    Regex::new(expression).map_err(|source| ImageError::Pattern {
        variable: variable.to_owned(),
        text: text.to_owned(),
        source: Box::new(source),
    })
}

/// Patterns of a QA variable that name whole paths in the syntax of `sed`, a leading `/` ignored.
pub(crate) struct PathPatterns(Vec<Regex>);

impl PathPatterns {
    /// Compiles each word of `words`.
    pub(crate) fn basic<'a>(
        variable: &str,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ImageError> {
        words
            .into_iter()
            .map(|word| {
                let word = word.strip_prefix('/').unwrap_or(word);
                compile(variable, word, &format!("^(?:{})$", from_basic(word)))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The same for the syntax of Python, which is that of [`regex`].
    pub(crate) fn extended<'a>(
        variable: &str,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ImageError> {
        words
            .into_iter()
            .map(|word| compile(variable, word, &format!("^(?:{word})$")))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Tells whether one pattern matches all of `path`, given without a leading `/`.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(path))
    }
}

/// Splits a value into words as a POSIX shell would, quotes and backslashes taken away.
///
/// # Errors
///
/// When a quote is not closed or a backslash ends the value.
pub(crate) fn shell_words(variable: &'static str, value: &str) -> Result<Vec<String>, ImageError> {
    let unbalanced = || ImageError::Quote {
        variable,
        text: value.to_owned(),
    };
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            '\\' => {
                let next = chars.next().ok_or_else(unbalanced)?;
                word.get_or_insert_default().push(next);
            }
            '\'' => loop {
                match chars.next().ok_or_else(unbalanced)? {
                    '\'' => {
                        word.get_or_insert_default();
                        break;
                    }
                    c => word.get_or_insert_default().push(c),
                }
            },
            '"' => loop {
                match chars.next().ok_or_else(unbalanced)? {
                    '"' => {
                        word.get_or_insert_default();
                        break;
                    }
                    '\\' => {
                        let next = chars.next().ok_or_else(unbalanced)?;
                        let word = word.get_or_insert_default();
                        if !matches!(next, '"' | '\\') {
                            word.push('\\');
                        }
                        word.push(next);
                    }
                    c => word.get_or_insert_default().push(c),
                }
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// An extended regular expression searched for anywhere, as `grep -E` does.
pub(crate) fn search(variable: &str, text: &str) -> Result<Regex, ImageError> {
    compile(variable, text, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_syntax_is_not_extended() {
        assert_eq!(from_basic("a+b?(c)"), r"a\+b\?\(c\)");
        assert_eq!(from_basic(r"\(a\|b\)*"), "(a|b)*");
        assert_eq!(from_basic("*x"), r"\*x");
        assert_eq!(from_basic(r"[]a\]"), r"[\]a\\]");
    }

    #[test]
    fn whole_paths_without_leading_slash() {
        let patterns = PathPatterns::basic("QA_PRESTRIPPED", ["/opt/.*", "usr/bin/g++"]).unwrap();
        assert!(patterns.matches(b"opt/x/y"));
        assert!(patterns.matches(b"usr/bin/g++"));
        assert!(!patterns.matches(b"usr/opt/x"));
    }

    #[test]
    fn words_of_a_shell() {
        assert_eq!(
            shell_words("X", r#"a 'b c'  "d\"e"\ f '' "#).unwrap(),
            ["a", "b c", "d\"e f", ""]
        );
        assert!(shell_words("X", "a\"b").is_err());
    }

    #[test]
    fn a_bad_expression_names_its_variable() {
        let error = PathPatterns::extended("QA_SONAME", ["("]).err().unwrap();
        assert!(error.to_string().starts_with("QA_SONAME: "), "{error}");
    }
}
