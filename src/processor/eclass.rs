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

mod introspection;

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use self::introspection::{Introspection, has};
use super::library::quote;
use super::scan::Scanner;
use crate::util::digest::HashName;

/// An eclass in two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitEclass {
    /// The functions, in the order in which they stand.
    pub functions: Vec<EclassFunction>,
    /// What stands before each function and behind the last, without comments.
    between: Vec<Vec<u8>>,
    /// The same with comments, to be compared with.
    commented: Vec<Vec<u8>>,
}

/// A function of an eclass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EclassFunction {
    /// The name.
    pub name: String,
    /// The whole definition as it stands in the eclass.
    pub definition: Vec<u8>,
    /// Where in the definition the body begins, behind the brace.
    body: usize,
}

impl EclassFunction {
    /// What stands in its place until it is called; `id` is that of the eclass, `number` its
    /// position.
    fn stub(&self, id: &str, number: usize) -> Vec<u8> {
        let name = &self.name;
        format!("{name}() {{ __ebd_body {id}.{number} {name} \"$@\"; }}").into_bytes()
    }

    /// The definition with a note that it was entered.
    fn noting(&self, id: &str, number: usize) -> Vec<u8> {
        let body = self.body.min(self.definition.len());
        let (head, body) = self.definition.split_at(body);
        let note = format!(" __ebd_note {id}.{number};");
        [head, note.as_bytes(), body].concat()
    }
}

impl SplitEclass {
    /// The top level with a stub in the place of each function but those at the positions `hot`,
    /// which are there whole. `id` is the eclass's, made of letters, digits and underscores; the
    /// function at position N (from 0) is known as `ID.N`.
    #[must_use]
    pub fn top_level(&self, id: &str, hot: &BTreeSet<usize>) -> Vec<u8> {
        self.join(&self.between, |number, function| {
            if hot.contains(&number) {
                function.noting(id, number)
            } else {
                function.stub(id, number)
            }
        })
    }

    /// The texts between functions, and what is made of these.
    fn join(
        &self,
        between: &[Vec<u8>],
        part: impl Fn(usize, &EclassFunction) -> Vec<u8>,
    ) -> Vec<u8> {
        let mut text = Vec::new();
        for (number, before) in between.iter().enumerate() {
            text.extend_from_slice(before);
            if let Some(function) = self.functions.get(number) {
                text.extend(part(number, function));
            }
        }
        text
    }

    /// What can be compared of it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            top_level: HashName::Md5.hex(&self.top_level("", &BTreeSet::new())),
            functions: self
                .functions
                .iter()
                .map(|function| HashName::Md5.hex(&function.definition))
                .collect(),
        }
    }
}

/// What can be compared of an eclass: as long as the top level and a function are the same, so is
/// what they do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The MD5 sum of the top level, with the names of all functions.
    pub top_level: String,
    /// The MD5 sum of each function's definition.
    pub functions: Vec<String>,
}

/// Takes the text of an eclass apart. Nothing for text that cannot be taken apart, which is to be
/// used whole.
#[must_use]
pub fn split(text: &[u8]) -> Option<SplitEclass> {
    if text.contains(&0) || reads_itself(text) {
        return None;
    }
    let script = Scanner::new(text).script().ok()?;
    let mut parts = Parts {
        text,
        comments: script.comments,
        next_comment: 0,
        between: vec![Vec::new()],
        commented: vec![Vec::new()],
    };
    let mut functions = Vec::new();
    let mut at = 0;
    for span in script.functions {
        let name = std::str::from_utf8(text.get(span.name.clone())?).ok()?;
        // Nothing could be asked of bash any more.
        if name == "builtin" {
            return None;
        }
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.+:@".contains(&b));
        if !plain || span.whole.start < at {
            continue;
        }
        let definition = text.get(span.whole.clone())?;
        parts.take(at..span.whole.start)?;
        at = span.whole.end;
        if Introspection::of(definition) == Introspection::Caller {
            parts.add(definition);
            continue;
        }
        parts.between.push(Vec::new());
        parts.commented.push(Vec::new());
        functions.push(EclassFunction {
            name: name.to_owned(),
            definition: definition.to_vec(),
            body: span.brace + 1 - span.whole.start,
        });
    }
    parts.take(at..text.len())?;
    Some(SplitEclass {
        functions,
        between: parts.between,
        commented: parts.commented,
    })
}

/// The top level of an eclass while it is taken apart.
struct Parts<'a> {
    text: &'a [u8],
    comments: Vec<Range<usize>>,
    next_comment: usize,
    between: Vec<Vec<u8>>,
    commented: Vec<Vec<u8>>,
}

impl Parts<'_> {
    /// Takes what stands between functions. Nothing if it reads what only a function has.
    fn take(&mut self, between: Range<usize>) -> Option<()> {
        let text = self.text.get(between.clone())?;
        if has(text, b"FUNCNAME") {
            return None;
        }
        if let Some(commented) = self.commented.last_mut() {
            commented.extend_from_slice(text);
        }
        let top_level = self.between.last_mut()?;
        let mut at = between.start;
        while let Some(comment) = self.comments.get(self.next_comment)
            && comment.start < between.end
        {
            let comment = comment.clone();
            self.next_comment += 1;
            if comment.start < at {
                continue;
            }
            let before = self.text.get(..comment.start)?;
            let blanks = before
                .iter()
                .rev()
                .take_while(|byte| matches!(byte, b' ' | b'\t'))
                .count();
            let line = comment.start - blanks;
            let above = before.get(..line)?;
            let alone = line >= at && (above.is_empty() || above.ends_with(b"\n"));
            if alone && !above.ends_with(b"\\\n") {
                top_level.extend_from_slice(self.text.get(at..line)?);
                at = (comment.end + 1).min(between.end);
            } else {
                top_level.extend_from_slice(self.text.get(at..comment.start)?);
                at = comment.end;
            }
        }
        top_level.extend_from_slice(self.text.get(at..between.end)?);
        Some(())
    }

    /// Adds a function that has to stay.
    fn add(&mut self, text: &[u8]) {
        for parts in [&mut self.between, &mut self.commented] {
            if let Some(last) = parts.last_mut() {
                last.extend_from_slice(text);
            }
        }
    }
}

/// Whether what a text does depends on how its shell holds functions and files, so that neither it
/// nor what it inherits may be taken apart.
#[must_use]
pub fn reads_itself(text: &[u8]) -> bool {
    Introspection::of(text) == Introspection::Whole
}

/// The job, for a fork, that has bash print to `file` how it understands each function: as part of
/// another function, and alone.
#[must_use]
pub fn check_script(split: &SplitEclass, file: &[u8]) -> Vec<u8> {
    let mut script = b"{\n".to_vec();
    for function in &split.functions {
        let mut nested = b"__ebd_whole() {\n".to_vec();
        nested.extend_from_slice(&function.definition);
        nested.extend_from_slice(b"\n}");
        let name = quote(function.name.as_bytes());
        for (definition, name) in [
            (&nested, &b"__ebd_whole"[..]),
            (&function.definition, &name),
        ] {
            script.extend_from_slice(b"builtin unset -f -- ");
            script.extend_from_slice(name);
            script.extend_from_slice(b"; builtin eval ");
            script.extend(quote(definition));
            script.extend_from_slice(b" && builtin declare -f -- ");
            script.extend_from_slice(name);
            script.extend_from_slice(b"; builtin printf '\\0'\n");
        }
    }
    // The top level must be valid with its stubs too, and the same without its comments.
    let stub = |number: usize, function: &EclassFunction| function.stub("", number);
    for between in [&split.between, &split.commented] {
        let text = split.join(between, stub);
        let mut top_level = b"__ebd_whole() {\n".to_vec();
        top_level.extend(text);
        top_level.extend_from_slice(b"\n}");
        script.extend_from_slice(b"builtin unset -f __ebd_whole; builtin eval ");
        script.extend(quote(&top_level));
        script.extend_from_slice(
            b" && builtin declare -f __ebd_whole && builtin printf 'valid'; builtin printf '\\0'\n",
        );
    }
    script.extend_from_slice(b"} >|");
    script.extend(quote(file));
    script.extend_from_slice(b" 2>/dev/null\n");
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
    let (top_level, commented) = (texts.next(), texts.next());
    top_level == commented && top_level.is_some_and(|text| text.ends_with(b"}\nvalid"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, Vec<String>) {
        let split = split(text.as_bytes()).unwrap();
        (
            String::from_utf8(split.top_level("e1", &BTreeSet::new())).unwrap(),
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
            "A=1\nif [[ -z ${X} ]]; then\nfoo() { __ebd_body e1.0 foo \"$@\"; }\nfi\nB=2\nbaz () (\n:\n)\n"
        );
        assert_eq!(bodies, ["foo() {\n\tlocal a=\"}\"\n\tbar() { :; }\n}"]);
    }

    #[test]
    fn comments_are_left_out() {
        let (top, _) = parts(
            "# a\n  # b\nA=1 # c\nB='# no' # d\n# e\nf() { :; } # g\n\t# h\nC=$(x # i\n)\ncase a in # j\n# k\na) ;; # l\nesac\nx \\\n# m\ny#z\nD=(\n# n\n)\ncat <<E # o\n# no\nE\n# p",
        );
        assert_eq!(
            top,
            "A=1 \nB='# no' \nf() { __ebd_body e1.0 f \"$@\"; } \nC=$(x # i\n)\ncase a in \na) ;; \nesac\nx \\\n\ny#z\nD=(\n# n\n)\ncat <<E \n# no\nE\n"
        );
    }

    #[test]
    fn the_fingerprint_is_of_what_matters() {
        let print = |text: &str| split(text.as_bytes()).unwrap().fingerprint();
        let first = print("# a\nf() { 1; }\nA=1\ng() { 2; }\n");
        assert_eq!(print("# b\n# c\nf() { 1; }\nA=1\ng() { 2; }\n"), first);
        let body = print("f() { 1; }\nA=1\ng() { 3; }\n");
        assert_eq!(body.top_level, first.top_level);
        assert_eq!(body.functions[0], first.functions[0]);
        assert_ne!(body.functions[1], first.functions[1]);
        for text in [
            "f() { 1; }\nA=2\ng() { 2; }\n",
            "g() { 1; }\nA=1\nf() { 2; }\n",
            "f() { 1; }\nA=1\ng() { 2; }\nh() { 2; }\n",
            "f() { 1; }\nA=1\n",
        ] {
            assert_ne!(print(text).top_level, first.top_level, "{text}");
        }
    }

    #[test]
    fn a_function_that_is_redirected_stays() {
        let text = "foo() { :; } >&2\nbar() { :; } # note\n";
        let (top, bodies) = parts(text);
        assert!(top.starts_with("foo() { :; } >&2\n"), "{top}");
        assert_eq!(bodies, ["bar() { :; }"]);
    }

    #[test]
    fn what_is_hot_stays_and_says_that_it_was_entered() {
        let text = "f() { 1; }\ng () # x\n{\n\t2; }\n";
        let split = split(text.as_bytes()).unwrap();
        let hot = split.top_level("e7", &BTreeSet::from([1]));
        assert_eq!(
            String::from_utf8(hot).unwrap(),
            "f() { __ebd_body e7.0 f \"$@\"; }\ng () # x\n{ __ebd_note e7.1;\n\t2; }\n"
        );
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
            "a() { debug-print \"${LINENO}\"; }\n",
            "# set -e, caller, BASH_SOURCE\na() { :; }\n",
            "a() { declare -f b >/dev/null && type c &>/dev/null; }\n",
            "a() { b=$(type -p c) d=$(type -P e); }\n",
            "a() { LINENO_START=1; set -- -e; reset -e; }\n",
            "a() { die \"${FUNCNAME[1]} is no source\"; }\n",
        ] {
            assert!(split(text.as_bytes()).is_some(), "{text}");
        }
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
            "a() { b=${LINENO}; }\n",
            "a() { b=$((LINENO)); }\n",
            "a() { b=$(caller 0); }\n",
            "a() { while caller $i; do :; done; }\n",
            "a() { b=$(declare -pf a); }\n",
            "a() { b=$(declare -f a 2>/dev/null); }\n",
            "a() { b=$(type a); }\n",
            "a() { b=$(compgen -A function); }\n",
            "a() { trap 'b' err; }\n",
            "set -ue\na() { b; }\n",
            "a() { set -o pipefail -e; }\n",
            "a() { set -o posix; }\n",
            "shopt -s expand_aliases\na() { b; }\n",
            "a() { b=${FUNCNAME[*]}; }\n",
            "a() { [[ ${FUNCNAME[1]} == source ]]; }\n",
            "a() { read -r l < \"${D}/eclass/a.eclass\"; }\n",
            "a() { :; }\nbuiltin() { :; }\n",
        ] {
            assert!(split(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn broken_text_is_not_taken_apart() {
        assert!(split(b"foo() {\n").is_none());
        assert!(split(b"echo \"\n").is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: Vec<u8>) {
            let _ = split(&text);
        }

        #[test]
        fn what_is_taken_apart_can_be_put_together(text in "[a-z(){};\n\"'# ]{0,60}") {
            if let Some(parts) = split(text.as_bytes()) {
                for function in &parts.functions {
                    assert!(function.definition.ends_with(b"}"));
                }
            }
        }
    }
}
