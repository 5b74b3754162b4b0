//! Taking eclasses apart, so that bash need not parse what an ebuild never calls.
//!
//! Sourcing an ebuild for its metadata calls almost none of the functions of its eclasses. So a
//! processor keeps each eclass as one function whose body is the eclass's text with every
//! function's body replaced by a stub, parsed once; and the bodies as text, parsed when their stub
//! is entered. A stub also notes that it was entered, which is how it is known what an entry of the
//! cache depends on.
//!
//! The bodies belong to the eclass, not to the functions' names: different eclasses, and branches
//! of one, define functions of the same name.

use super::library::quote;
use super::scan::Scanner;

/// An eclass in two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitEclass {
    /// The text with stubs in the place of functions.
    pub top_level: Vec<u8>,
    /// The functions, in the order in which they stand.
    pub functions: Vec<EclassFunction>,
}

/// A function of an eclass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EclassFunction {
    /// The name.
    pub name: String,
    /// The whole definition as it stands in the eclass.
    pub definition: Vec<u8>,
}

/// Takes the text of an eclass apart. The stub of the function at position N (from 0) names it as
/// `ID.N`. Nothing for text that cannot be taken apart, which is to be used whole.
///
/// `id` must be made of letters, digits and underscores.
#[must_use]
pub fn split(text: &[u8], id: &str) -> Option<SplitEclass> {
    if text.contains(&0) || Introspection::of(text) == Introspection::Whole {
        return None;
    }
    let spans = Scanner::new(text).script_functions().ok()?;
    let mut top_level = Vec::with_capacity(text.len() / 4);
    let mut functions = Vec::new();
    let mut at = 0;
    for span in spans {
        let name = std::str::from_utf8(text.get(span.name.clone())?).ok()?;
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.+:@".contains(&b));
        if !plain || span.whole.start < at {
            continue;
        }
        let between = text.get(at..span.whole.start)?;
        if has(between, b"FUNCNAME") {
            return None;
        }
        top_level.extend_from_slice(between);
        let definition = text.get(span.whole.clone())?;
        at = span.whole.end;
        if Introspection::of(definition) == Introspection::Caller {
            top_level.extend_from_slice(definition);
            continue;
        }
        let number = functions.len();
        top_level.extend_from_slice(
            format!("{name}() {{ __ebd_body {id}.{number}; {name} \"$@\"; }}").as_bytes(),
        );
        functions.push(EclassFunction {
            name: name.to_owned(),
            definition: definition.to_vec(),
        });
    }
    let rest = text.get(at..)?;
    if has(rest, b"FUNCNAME") {
        return None;
    }
    top_level.extend_from_slice(rest);
    Some(SplitEclass {
        top_level: without_comments(&top_level),
        functions,
    })
}

/// What a text reads about the shell's own state that a stub would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Introspection {
    /// Nothing, or its own name.
    None,
    /// Who called it, or the statuses of the pipeline before it: it may have no stub itself.
    Caller,
    /// Files, depths, callers of callers, the text of functions, what every command or function
    /// sets off: nothing in its eclass may have one.
    Whole,
}

impl Introspection {
    fn of(text: &[u8]) -> Self {
        let whole: [&[u8]; 7] = [
            b"BASH_SOURCE",
            b"BASH_LINENO",
            b"BASH_ARGV",
            b"#FUNCNAME",
            b"extdebug",
            b"errexit",
            b"set -e",
        ];
        let shows_functions = text.split(|&byte| byte == b'\n').any(|line| {
            (has(line, b"declare -f ") || has(line, b"typeset -f ")) && !has(line, b"/dev/null")
        });
        let traps = text.split(|&byte| byte == b'\n').any(|line| {
            let signals: [&[u8]; 3] = [b"RETURN", b"DEBUG", b"ERR"];
            has(line, b"trap ") && signals.iter().any(|name| has(line, name))
        });
        if shows_functions || traps || whole.iter().any(|name| has(text, name)) {
            return Self::Whole;
        }
        let mut most = if has(text, b"PIPESTATUS") {
            Self::Caller
        } else {
            Self::None
        };
        let name = b"FUNCNAME[";
        let places = text
            .windows(name.len())
            .enumerate()
            .filter(|(_, window)| window == name);
        for (at, _) in places {
            let rest = text.get(at + name.len()..).unwrap_or_default();
            let all = rest.starts_with(b"@]}") || rest.starts_with(b"*]}");
            most = most.max(if rest.starts_with(b"0]") {
                Self::None
            } else if all || rest.starts_with(b"1]") {
                Self::Caller
            } else {
                Self::Whole
            });
        }
        most
    }
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The job, for a fork, that has bash print to `file` how it understands each function: as part of
/// another function, and alone.
#[must_use]
pub fn check_script(split: &SplitEclass, file: &[u8]) -> Vec<u8> {
    let mut script = b"command exec >".to_vec();
    script.extend(quote(file));
    script.extend_from_slice(b" 2>/dev/null\n");
    for function in &split.functions {
        let mut nested = b"__ebd_whole() {\n".to_vec();
        nested.extend_from_slice(&function.definition);
        nested.extend_from_slice(b"\n}");
        let name = quote(function.name.as_bytes());
        for (definition, name) in [
            (&nested, &b"__ebd_whole"[..]),
            (&function.definition, &name),
        ] {
            script.extend_from_slice(b"unset -f -- ");
            script.extend_from_slice(name);
            script.extend_from_slice(b"; eval ");
            script.extend(quote(definition));
            script.extend_from_slice(b" && declare -f -- ");
            script.extend_from_slice(name);
            script.extend_from_slice(b"; printf '\\0'\n");
        }
    }
    // The top level must be valid with its stubs too.
    script.extend_from_slice(b"eval ");
    let mut top_level = b"__ebd_whole() {\n".to_vec();
    top_level.extend_from_slice(&split.top_level);
    top_level.extend_from_slice(b"\n}");
    script.extend(quote(&top_level));
    script.extend_from_slice(b" && printf 'valid\\0'\n");
    script
}

/// Whether what bash printed for [`check_script`] says that every function is one definition and
/// nothing else, so that a stub may stand in its place.
#[must_use]
pub fn is_sound(split: &SplitEclass, answer: &[u8]) -> bool {
    let mut texts = answer.split(|&byte| byte == 0);
    for function in &split.functions {
        let (Some(nested), Some(alone)) = (texts.next(), texts.next()) else {
            return false;
        };
        if !is_same(nested, alone, &function.name) {
            return false;
        }
    }
    texts.next() == Some(b"valid")
}

/// Whether a function that bash printed inside of another is the one that it printed alone: the
/// first is indented, but for here-documents, and has its keyword.
fn is_same(nested: &[u8], alone: &[u8], name: &str) -> bool {
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split(|&byte| byte == b'\n')
            .map(|line| line.trim_ascii().to_vec())
            .filter(|line| !line.is_empty())
            .collect()
    };
    let (nested, alone) = (lines(nested), lines(alone));
    let Some(inner) = nested
        .len()
        .checked_sub(1)
        .and_then(|last| nested.get(2..last))
    else {
        return false;
    };
    let Some((head, body)) = inner.split_first() else {
        return false;
    };
    let Some((own_head, own_body)) = alone.split_first() else {
        return false;
    };
    *head == format!("function {name} ()").into_bytes()
        && *own_head == format!("{name} ()").into_bytes()
        && body == own_body
}

/// The text without lines that are nothing but a comment, where that is safe to say: outside of
/// anything that spans lines.
fn without_comments(text: &[u8]) -> Vec<u8> {
    let has_here_document = text.windows(2).any(|pair| pair == b"<<");
    if has_here_document {
        return text.to_vec();
    }
    let mut kept = Vec::with_capacity(text.len());
    let mut leading = true;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let comment = line.trim_ascii_start().first() == Some(&b'#');
        // Only the block at the top of the file: further down, quotes may be open.
        leading = leading && (comment || line.trim_ascii().is_empty());
        if !leading {
            kept.extend_from_slice(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, Vec<String>) {
        let split = split(text.as_bytes(), "e1").unwrap();
        (
            String::from_utf8(split.top_level).unwrap(),
            split
                .functions
                .into_iter()
                .map(|f| String::from_utf8(f.definition).unwrap())
                .collect(),
        )
    }

    #[test]
    fn functions_are_replaced_wherever_they_stand() {
        let (top, bodies) = parts(
            "# head\nA=1\nif [[ -z ${X} ]]; then\nfoo() {\n\tlocal a=\"}\"\n\tbar() { :; }\n}\nfi\nB=2\nbaz () (\n:\n)\n",
        );
        assert_eq!(
            top,
            "A=1\nif [[ -z ${X} ]]; then\nfoo() { __ebd_body e1.0; foo \"$@\"; }\nfi\nB=2\nbaz () (\n:\n)\n"
        );
        assert_eq!(bodies, ["foo() {\n\tlocal a=\"}\"\n\tbar() { :; }\n}"]);
    }

    #[test]
    fn a_function_that_is_redirected_stays() {
        let text = "foo() { :; } >&2\nbar() { :; } # note\n";
        let (top, bodies) = parts(text);
        assert!(top.starts_with("foo() { :; } >&2\n"), "{top}");
        assert_eq!(bodies, ["bar() { :; }"]);
    }

    #[test]
    fn names_are_told_by_their_place() {
        let (top, bodies) = parts("case x in\na) f() { 1; } ;;\nb) f() { 2; } ;;\nesac\n");
        assert!(top.contains("__ebd_body e1.0") && top.contains("__ebd_body e1.1"));
        assert_eq!(bodies, ["f() { 1; }", "f() { 2; }"]);
    }

    #[test]
    fn what_reads_its_caller_has_no_stub() {
        let (top, bodies) =
            parts("a() { b; }\nb() { c=${FUNCNAME[1]}; }\nc() { die \"${FUNCNAME}\"; }\n");
        assert_eq!(bodies.len(), 2);
        assert!(top.contains("b() { c=${FUNCNAME[1]}; }"), "{top}");
        let (_, bodies) = parts("a() { has x \"${FUNCNAME[@]}\"; }\nb() { d=${PIPESTATUS[0]}; }\n");
        assert!(bodies.is_empty());
        for text in [
            "a() { b=${FUNCNAME[2]}; }\n",
            "a() { b=${#FUNCNAME[@]}; }\n",
            "a() { b=${FUNCNAME[@]:1}; }\n",
            "a() { b=${BASH_SOURCE}; }\n",
            "a() { :; }\nb=${FUNCNAME}\n",
            "b=${FUNCNAME}\na() { :; }\n",
            "a() { b=$(declare -f a); }\n",
            "a() { trap 'b' RETURN; }\n",
            "set -e\na() { b; }\n",
        ] {
            assert!(split(text.as_bytes(), "e").is_none(), "{text}");
        }
    }

    #[test]
    fn broken_text_is_not_taken_apart() {
        assert!(split(b"foo() {\n", "e").is_none());
        assert!(split(b"echo \"\n", "e").is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: Vec<u8>) {
            let _ = split(&text, "e");
        }

        #[test]
        fn what_is_taken_apart_can_be_put_together(text in "[a-z(){};\n\"'# ]{0,60}") {
            if let Some(parts) = split(text.as_bytes(), "e") {
                for function in &parts.functions {
                    assert!(function.definition.ends_with(b"}"));
                }
            }
        }
    }
}
