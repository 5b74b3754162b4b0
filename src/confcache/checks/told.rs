//! Which variables a check can set, where its text shows that.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::super::outline::is_name;
use super::{BY_NAME, Output, PLACES, Whole};

/// Ways to set variables other than assignments, `eval` and `unset`. Two parentheses behind a quotation mark or in a
/// comment, as in `case "(($ac_try" in #(((`, calculate nothing.
static SETS_UNSEEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?m)(?:^|[\s;&|({`!\x22'\\])(?:read|source|getopts|let|mapfile|readarray|declare|typeset|local|printf\s+-v|coproc)(?:$|[\s\x22'\\])|(?:^|[\s;&|({`!)])\.\s|\$\{\w+:?=|\$\(\(|(?:^|[^\x22#(])\(\(",
    )
    .ok()
});
static COMMENT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?m)^[ \t]*#.*$").ok());
static UNSETS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bunset((?:[ \t]+\w+)+)").ok());
static EVALUATES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?m)(^|.)\beval\b").ok());
/// What is evaluated and sets nothing but what is never told.
static SETS_NOTHING: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^(?: ac_try_echo=| \$as_lineno_stack;| "?test )"#).ok());
static SETS_ARGUMENT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^ "?\$\{?([2-9])\}?="#).ok());

impl Whole<'_> {
    /// All variables that texts can set, `outputs` among them; none if that cannot be seen.
    pub(super) fn told(
        &self,
        texts: &[Range<usize>],
        body: &Range<usize>,
        outputs: &BTreeSet<String>,
        in_function: bool,
    ) -> Option<Vec<Output>> {
        let mut by_argument = BTreeSet::new();
        let mut unset = BTreeSet::new();
        for part in texts {
            let code = self.code(part);
            if SETS_UNSEEN.as_ref()?.is_match(&code) {
                return None;
            }
            for found in UNSETS.as_ref()?.captures_iter(&code) {
                let words = found.get(1)?.as_bytes().split(u8::is_ascii_whitespace);
                for name in words.filter(|word| is_name(word)) {
                    unset.insert(String::from_utf8_lossy(name).into_owned());
                }
            }
            let is_by_name = BY_NAME.iter().any(|name| {
                self.functions_called(name.as_bytes())
                    .any(|each| each.body == *part)
            });
            for found in EVALUATES.as_ref()?.captures_iter(&code) {
                let rest = code.get(found.get(0)?.end()..).unwrap_or_default();
                if is_by_name
                    || found.get(1)?.as_bytes().ends_with(b"(")
                    || SETS_NOTHING.as_ref()?.is_match(rest)
                {
                    continue;
                }
                let argument = SETS_ARGUMENT.as_ref()?.captures(rest)?.get(1)?;
                // In another function the third argument is another.
                if part != body || !in_function {
                    return None;
                }
                by_argument.insert(format!("${}", String::from_utf8_lossy(argument.as_bytes())));
            }
        }
        unset.retain(|name| !PLACES.contains(&name.as_str()));
        let names: BTreeSet<&String> = outputs.iter().chain(&unset).chain(&by_argument).collect();
        let all = names.into_iter().filter(|name| *name != "$1");
        Some(
            all.map(|name| Output {
                name: name.clone(),
                unset: unset.contains(name),
            })
            .collect(),
        )
    }

    /// A text without its here-documents, and without lines that are comments.
    pub(super) fn code(&self, part: &Range<usize>) -> Vec<u8> {
        let mut code = Vec::new();
        let mut done = part.start;
        for each in &self.outline.documents {
            if part.start <= each.text.start && each.text.end <= part.end && done <= each.text.start
            {
                code.extend_from_slice(self.bytes(done..each.text.start));
                done = each.text.end;
            }
        }
        code.extend_from_slice(self.bytes(done..part.end));
        match COMMENT.as_ref() {
            Some(comment) => comment.replace_all(&code, &b""[..]).into_owned(),
            None => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Asking, Script};

    /// What the only check of a script tells; nothing either if it is none whose answer may be shared.
    fn told(before: &str, body: &str) -> Option<Vec<(String, bool)>> {
        let text = format!(
            "#! /bin/sh\n{before}\nf () {{\nif test ${{ac_cv_x+y}}\nthen :\n  printf %s \"(cached) \" >&6\n\
             else $as_nop\n{body}\nfi\n}}\n"
        );
        let asking = Asking {
            start: "'start'",
            within: None,
            environment: &[],
        };
        let script = Script::of(text.as_bytes(), &asking).unwrap();
        let [check] = script.checks.as_slice() else {
            assert!(body.contains("./file"), "no check in {text}");
            return None;
        };
        let told = check.told.as_ref()?.iter();
        Some(
            told.map(|output| (output.name.clone(), output.unset))
                .collect(),
        )
    }

    #[test]
    fn what_is_set_is_seen() {
        let output = |name: &str| (name.to_owned(), false);
        assert_eq!(told("", "ac_cv_x=1"), Some(vec![output("ac_cv_x")]));
        assert_eq!(
            told(
                "",
                "for ac_a in 1 2; do ac_cv_x=$ac_a; done; unset ac_b ac_a"
            ),
            Some(vec![
                ("ac_a".to_owned(), true),
                ("ac_b".to_owned(), true),
                output("ac_cv_x")
            ])
        );
        assert_eq!(
            told("", "eval \"$3=yes\"; ac_cv_x=1"),
            Some(vec![output("$3"), output("ac_cv_x")])
        );
        // What is evaluated in a shell of its own sets nothing here.
        let body =
            "(eval \"$ac_link\") 2>&5; eval ac_try_echo=\"\\$x\"; eval \"test \\$3\"; ac_cv_x=1";
        assert_eq!(told("", body), Some(vec![output("ac_cv_x")]));
        // As it is in all scripts, with quoted parentheses that calculate nothing.
        let body = "{ ac_try=\"$ac_compile\"\ncase \"(($ac_try\" in #(((\n  *) ac_try_echo=\\$ac_try;;\nesac\n\
                    # read this: let x=1\neval ac_try_echo=\"\\$x\"\nac_dirs=/usr/local/bin; }; ac_cv_x=1";
        let outputs = [output("ac_cv_x"), output("ac_dirs"), output("ac_try")];
        assert_eq!(told("", body), Some(outputs.to_vec()));
        // Nor does a text that is written.
        let body = "cat <<_ACEOF >conftest.c\nread x; y=1\n_ACEOF\nac_cv_x=1";
        assert_eq!(told("", body), Some(vec![output("ac_cv_x")]));
        // Of a function that is called.
        let function = "g () {\nac_g=1\n}";
        assert_eq!(
            told(function, "g; ac_cv_x=1"),
            Some(vec![output("ac_cv_x"), output("ac_g")])
        );
    }

    #[test]
    fn what_cannot_be_seen_is_known_not_to_be() {
        for body in [
            "read x <file",
            "eval \"$name=1\"",
            "eval \"ac_cv_$name=1\"",
            "eval $command",
            ". ./file",
            "if . ./file; then :; fi",
            "true && command . ./file",
            "x=`. ./file`",
            "source ./file",
            ": ${x=1}",
            ": ${x:=1}",
            "y=$((x=1))",
            "printf -v x 1",
            "getopts a x",
            "let x=1",
            "((x=1))",
            "if true;then ((x=1)); fi",
            "'read' x",
            "\\read x",
            "local x=1",
            "declare x=1",
        ] {
            assert_eq!(told("", &format!("{body}\nac_cv_x=1")), None, "{body}");
        }
        let function = "g () {\neval \"$3=1\"\n}";
        assert_eq!(told(function, "g a b c; ac_cv_x=1"), None);
    }
}
