//! Values of variables: text that is data, never code.
//!
//! What `declare -p` prints holds quotes and escapes but nothing that is expanded or executed
//! when it is read back. A value that would be is refused, so loading an environment runs none
//! of its text.

use crate::processor::scan::{Broken, Scanner, ends_word};

/// The value of a variable, as it stands in the environment's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    text: &'a [u8],
}

/// One element of an array's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The subscript, decoded; none where the text gives the value alone.
    pub subscript: Option<Vec<u8>>,
    /// The value, decoded.
    pub value: Vec<u8>,
}

impl<'a> Value<'a> {
    /// Takes text that [`skip_value`] has accepted.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text }
    }

    /// The value as bash quoted it.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// True for the parenthesised value of an array.
    pub fn is_array(&self) -> bool {
        self.text.first() == Some(&b'(')
    }

    /// The bytes of a scalar value; none for an array.
    pub fn scalar(&self) -> Option<Vec<u8>> {
        if self.is_array() {
            None
        } else {
            Some(decode(self.text))
        }
    }

    /// The elements of an array, in the order of the text; a scalar gives one without subscript.
    pub fn elements(&self) -> Vec<Element> {
        let mut elements = Vec::new();
        if !self.is_array() {
            elements.push(Element {
                subscript: None,
                value: decode(self.text),
            });
            return elements;
        }
        let mut scanner = Scanner::new(self.text);
        scanner.at = 1;
        while let Ok(Some((subscript, value))) = next_element(&mut scanner, false) {
            let subscript = subscript.map(|(from, to)| decode(scanner.span(from, to)));
            let value = decode(scanner.span(value.0, value.1));
            elements.push(Element { subscript, value });
        }
        elements
    }
}

type Span = (usize, usize);

/// Moves over the value that stands here. An array's subscripts must be numbers when `indexed`,
/// because bash evaluates them as arithmetic, and that can run commands.
pub(super) fn skip_value(scanner: &mut Scanner<'_>, indexed: bool) -> Result<(), Broken> {
    if scanner.peek() == Some(b'(') {
        scanner.at += 1;
        while next_element(scanner, indexed)?.is_some() {}
        Ok(())
    } else {
        skip_data(scanner, false)
    }
}

/// Moves over the next element of an array, or over the parenthesis that ends it.
fn next_element(
    scanner: &mut Scanner<'_>,
    indexed: bool,
) -> Result<Option<(Option<Span>, Span)>, Broken> {
    while matches!(scanner.peek(), Some(b' ' | b'\t' | b'\n')) {
        scanner.at += 1;
    }
    let mut subscript = None;
    match scanner.peek() {
        None => return scanner.broken(scanner.at, "an array has no )"),
        Some(b')') => {
            scanner.at += 1;
            return Ok(None);
        }
        Some(b'[') => {
            scanner.at += 1;
            let from = scanner.at;
            skip_data(scanner, true)?;
            let key = scanner.span(from, scanner.at);
            if indexed && (key.is_empty() || !key.iter().all(u8::is_ascii_digit)) {
                return scanner.broken(from, "a subscript that is not a number");
            }
            subscript = Some((from, scanner.at));
            if !scanner.starts_with(b"]=") {
                return scanner.broken(scanner.at, "no ]= follows a subscript");
            }
            scanner.at += 2;
        }
        Some(_) => {}
    }
    let from = scanner.at;
    skip_data(scanner, false)?;
    if subscript.is_none() && from == scanner.at {
        return scanner.broken(from, "text that is no array element");
    }
    Ok(Some((subscript, (from, scanner.at))))
}

/// Moves over quoted and plain text up to an unquoted byte that ends it.
fn skip_data(scanner: &mut Scanner<'_>, subscript: bool) -> Result<(), Broken> {
    let from = scanner.at;
    while let Some(byte) = scanner.peek() {
        match byte {
            b']' if subscript => return Ok(()),
            _ if ends_word(byte) => return Ok(()),
            b'\'' => scanner.single_quotes()?,
            b'"' => skip_double(scanner)?,
            b'$' if scanner.peek_at(1) == Some(b'\'') => {
                scanner.at += 1;
                scanner.ansi_quotes()?;
            }
            b'\\' if scanner.peek_at(1).is_some() => scanner.at += 2,
            b'~' | b'#' if scanner.at > from => scanner.at += 1,
            b'@' | b'*' if subscript => scanner.at += 1,
            b'$' | b'`' | b'~' | b'#' | b'\\' | b'*' | b'?' | b'[' | b'{' | b'!' => {
                return scanner.broken(
                    scanner.at,
                    format!("a value with an unquoted {}", byte as char),
                );
            }
            _ => scanner.at += 1,
        }
    }
    Ok(())
}

fn skip_double(scanner: &mut Scanner<'_>) -> Result<(), Broken> {
    let opened = scanner.at;
    scanner.at += 1;
    while let Some(byte) = scanner.peek() {
        match byte {
            b'"' => {
                scanner.at += 1;
                return Ok(());
            }
            b'\\' => scanner.at += 2,
            b'`' => return scanner.broken(scanner.at, "a value that runs a command"),
            b'$' => {
                let expands = scanner.peek_at(1).is_some_and(|next| {
                    next.is_ascii_alphanumeric() || b"_{([@*#?$!-".contains(&next)
                });
                if expands {
                    return scanner.broken(scanner.at, "a value that expands something");
                }
                scanner.at += 1;
            }
            _ => scanner.at += 1,
        }
    }
    scanner.broken(opened, "the double quote that begins here has no end")
}

/// Removes the quoting of text that [`skip_value`] has accepted.
pub(super) fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\'' => {
                let length = rest.iter().position(|b| *b == b'\'').unwrap_or(rest.len());
                out.extend_from_slice(rest.get(..length).unwrap_or_default());
                rest = rest.get(length + 1..).unwrap_or_default();
            }
            b'"' => rest = decode_double(rest, &mut out),
            b'$' if rest.first() == Some(&b'\'') => {
                rest = decode_ansi(rest.get(1..).unwrap_or_default(), &mut out);
            }
            b'\\' => {
                if let Some((escaped, after)) = rest.split_first() {
                    if *escaped != b'\n' {
                        out.push(*escaped);
                    }
                    rest = after;
                }
            }
            _ => out.push(*byte),
        }
    }
    out
}

fn decode_double<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => break,
            b'\\' => match rest.split_first() {
                Some((escaped @ (b'"' | b'\\' | b'$' | b'`'), after)) => {
                    out.push(*escaped);
                    rest = after;
                }
                Some((b'\n', after)) => rest = after,
                _ => out.push(b'\\'),
            },
            _ => out.push(*byte),
        }
    }
    rest
}

/// Decodes the inside of `$'…'` and gives what follows its closing quote.
fn decode_ansi<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\'' => break,
            b'\\' => rest = decode_escape(rest, out),
            _ => out.push(*byte),
        }
    }
    rest
}

fn decode_escape<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let Some((kind, after)) = rest.split_first() else {
        out.push(b'\\');
        return rest;
    };
    let simple = match kind {
        b'a' => 7,
        b'b' => 8,
        b'e' | b'E' => 27,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' | b'\'' | b'"' | b'?' => *kind,
        b'0'..=b'7' => {
            let (number, after) = digits(rest, 8, 3);
            out.push((number & 0xff) as u8);
            return after;
        }
        b'x' | b'u' | b'U' => {
            let most = match kind {
                b'x' => 2,
                b'u' => 4,
                _ => 8,
            };
            let (number, behind) = digits(after, 16, most);
            if behind.len() == after.len() {
                out.extend_from_slice(&[b'\\', *kind]);
            } else if *kind == b'x' {
                out.push((number & 0xff) as u8);
            } else {
                let character = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            return behind;
        }
        b'c' => {
            return match after.split_first() {
                Some((control, behind)) => {
                    out.push(control.to_ascii_uppercase() & 0x1f);
                    behind
                }
                None => after,
            };
        }
        other => {
            out.extend_from_slice(&[b'\\', *other]);
            return after;
        }
    };
    out.push(simple);
    after
}

fn digits(text: &[u8], radix: u32, most: usize) -> (u32, &[u8]) {
    let mut number = 0u32;
    let mut used = 0;
    for digit in text
        .iter()
        .take(most)
        .map_while(|b| (*b as char).to_digit(radix))
    {
        number = number.wrapping_mul(radix).wrapping_add(digit);
        used += 1;
    }
    (number, text.get(used..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn skip(text: &str, indexed: bool) -> Result<usize, String> {
        let mut scanner = Scanner::new(text.as_bytes());
        skip_value(&mut scanner, indexed)
            .map(|()| scanner.at)
            .map_err(|broken| broken.what)
    }

    #[test]
    fn refuses_values_that_run_or_expand() {
        for text in [
            r#""$(id)""#,
            r#""`id`""#,
            r#""$HOME""#,
            "$(id)",
            "`id`",
            "$x",
            "*",
            "~",
            "{a,b}",
            r#"([0]="$(id)")"#,
            r#"([x[$(id)]]="a")"#,
            "(*)",
            "([0]=<(id))",
            "(a",
        ] {
            assert!(skip(text, true).is_err(), "{text}");
        }
        assert!(skip(r#"(["x[\$(id)]"]="a" )"#, true).is_err());
        assert!(skip(r#"(["x[\$(id)]"]="a" )"#, false).is_ok());
    }

    #[test]
    fn takes_what_bash_prints() {
        for text in [
            r#""a\$b\`c\"\\""#,
            r"$'a\nb\001'",
            "'a b'",
            "abc",
            "",
            r#""costs 5$""#,
            r#"([0]="a" [7]=$'\n')"#,
            "()",
        ] {
            assert_eq!(skip(text, true), Ok(text.len()), "{text}");
        }
        let text = r#"(["a b"]="1" [x@]="2" [$'\t']="3" )"#;
        assert_eq!(skip(text, false), Ok(text.len()));
    }

    #[test]
    fn decodes_as_bash_does() {
        let words = [
            r"$'a\tb\'c\001\303\251\x41\u00e9\cA\e\q'",
            r#""a\$b\`c\"d\\e\f""#,
            r#"'a'\''b'"#,
            r#"a\ b"c d"'e f'"#,
            r"$'\x'",
            r"$'\1234'",
        ];
        for word in words {
            let script = format!("printf %s {word}");
            let out = Command::new("bash")
                .env("LC_ALL", "C.UTF-8")
                .args(["-c", &script])
                .output()
                .unwrap();
            assert_eq!(decode(word.as_bytes()), out.stdout, "{word}");
        }
    }
}
