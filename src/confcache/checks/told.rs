//! Which variables a check can set, where its text shows that.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::super::outline::{Command, is_name};
use super::{BY_NAME, Output, PLACES, Whole};

/// Commands that set variables, other than assignments, `eval` and `unset`.
pub(super) const SETTERS: [&[u8]; 7] = [
    b"declare",
    b"getopts",
    b"let",
    b"local",
    b"mapfile",
    b"readarray",
    b"typeset",
];
/// An expansion that sets what it expands, if that is not set.
static SETS_IF_UNSET: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$\{(\w+):?=").ok());
/// An assignment in arithmetic, or what may be one.
static CALCULATES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[^=!<>]=[^=]|\+\+|--").ok());
static COMMENT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?m)^[ \t]*#.*$").ok());
static UNSETS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bunset((?:[ \t]+\w+)+)").ok());
/// What is evaluated and sets nothing but what is never told.
static SETS_NOTHING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"^(?:ac_try_echo=|\$as_lineno_stack$|"?(?:test|echo|printf) )"#).ok()
});
/// An assignment that is evaluated and nothing else: a name, which may be put together, and a value.
static SETS_ONE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"^"?((?:\w|\$\w+|\$\{\w+\})+)=["']?(?:[\w.,:+/@%-]|\\\$\{?(?:\w+|\$\{?\w+\}?)\}?|\\")*["']*$"#,
    )
    .ok()
});
static REPLACED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$\{?(\w+)\}?").ok());

impl Whole<'_> {
    /// All variables that the texts of a check can set, `outputs` among them; none if that cannot be seen. What may
    /// stay as it was is added to `inputs`. `asked` are the variables whose values are asked for or known to be none, as
    /// they are written: with the name of another in them.
    pub(super) fn told(
        &self,
        texts: &[Range<usize>],
        inputs: &mut BTreeSet<String>,
        outputs: &BTreeSet<String>,
        asked: &[String],
        in_function: bool,
    ) -> Option<Vec<Output>> {
        let plain = |name: &str| name.replace(['{', '}'], "");
        let mut named = outputs.clone();
        let mut unset = BTreeSet::new();
        let mut evaluated = Vec::new();
        for (at, part) in texts.iter().enumerate() {
            let code = self.code(part);
            if self.sets_unseen(part) {
                return None;
            }
            for found in SETS_IF_UNSET.as_ref()?.captures_iter(&code) {
                named.insert(String::from_utf8_lossy(found.get(1)?.as_bytes()).into_owned());
            }
            for found in UNSETS.as_ref()?.captures_iter(&code) {
                let words = found.get(1)?.as_bytes().split(u8::is_ascii_whitespace);
                for name in words.filter(|word| is_name(word)) {
                    unset.insert(String::from_utf8_lossy(name).into_owned());
                }
            }
            let function = self.name_of(part);
            if BY_NAME.iter().any(|name| name.as_bytes() == function) {
                continue;
            }
            for command in self.commands(part) {
                let targets = self.targets(command)?.into_iter();
                evaluated.extend(targets.map(|target| (at == 0 && in_function, function, target)));
            }
        }
        let literal = evaluated.iter().map(|(.., target)| target);
        named.extend(literal.filter(|target| is_name(target.as_bytes())).cloned());
        for (has_arguments, function, target) in evaluated {
            let mut parts = REPLACED.as_ref()?.captures_iter(target.as_bytes());
            let known = parts.all(|found| {
                let name = found.get(1).map_or(&b""[..], |name| name.as_bytes());
                let name = String::from_utf8_lossy(name);
                match name.parse::<usize>() {
                    Ok(argument) => has_arguments && argument > 1,
                    // What it sets itself may be anything by then.
                    Err(_) => inputs.contains(&*name) && !named.contains(&*name),
                }
            });
            if !known {
                named.extend(self.given(texts, function, &target)?);
            } else if is_name(target.as_bytes())
                || asked.iter().any(|asked| plain(asked) == plain(&target))
            {
                named.insert(target);
            } else {
                // What it was before is not asked for.
                return None;
            }
        }
        let literal = named.iter().filter(|name| is_name(name.as_bytes()));
        inputs.extend(literal.filter(|name| !outputs.contains(*name)).cloned());
        unset.retain(|name| !PLACES.contains(&name.as_str()));
        let names: BTreeSet<&String> = named.iter().chain(&unset).collect();
        Some(
            names
                .into_iter()
                .map(|name| Output {
                    name: name.clone(),
                    unset: unset.contains(name),
                    left: false,
                })
                .collect(),
        )
    }

    /// The names that a command which the shell itself runs sets, as they are written, where these may be put
    /// together; none if that cannot be seen.
    fn targets(&self, command: &Command) -> Option<Vec<String>> {
        let rest = command.rest();
        let (text, first) = (rest.join(&b' '), rest.first());
        match command.name().as_slice() {
            _ if command.apart => Some(Vec::new()),
            b"eval" if SETS_NOTHING.as_ref()?.is_match(&text) => Some(Vec::new()),
            b"eval" => {
                let target = SETS_ONE.as_ref()?.captures(&text)?.get(1)?;
                Some(vec![
                    String::from_utf8_lossy(target.as_bytes()).into_owned(),
                ])
            }
            b"read" | b"as_fn_append" => {
                let options = rest
                    .iter()
                    .take_while(|word| word.starts_with(b"-"))
                    .count();
                let names = match command.name().as_slice() {
                    b"read" => rest.get(options..)?,
                    _ => std::slice::from_ref(first?),
                };
                let names = names.iter().map(|name| {
                    let name = name.strip_prefix(b"\"").unwrap_or(name);
                    let name = name.strip_suffix(b"\"").unwrap_or(name);
                    let plain = [name, b"=x"].concat();
                    let target = SETS_ONE.as_ref()?.captures(&plain)?.get(1)?;
                    Some(String::from_utf8_lossy(target.as_bytes()).into_owned())
                });
                names.collect()
            }
            _ => Some(Vec::new()),
        }
    }

    /// What a function's argument that is the name of a variable is where texts call the function; none if that is
    /// not written there.
    fn given(&self, texts: &[Range<usize>], function: &[u8], target: &str) -> Option<Vec<String>> {
        let argument: usize = target
            .strip_prefix('$')?
            .trim_matches(['{', '}'])
            .parse()
            .ok()?;
        if function.is_empty() {
            return None;
        }
        let mut names = Vec::new();
        for command in texts.iter().flat_map(|part| self.commands(part)) {
            if command.name() != function {
                continue;
            }
            let word = command.words.get(argument)?;
            let word = word.strip_prefix(b"\"").unwrap_or(word);
            let word = word.strip_suffix(b"\"").unwrap_or(word);
            if !is_name(word) {
                return None;
            }
            names.push(String::from_utf8_lossy(word).into_owned());
        }
        Some(names)
    }

    /// Whether a text has commands, or arithmetic, by which a shell sets variables that are not seen.
    fn sets_unseen(&self, part: &Range<usize>) -> bool {
        let calculates = |range: &Range<usize>| {
            let text = self.bytes(range.clone());
            part.contains(&range.start)
                && CALCULATES.as_ref().is_none_or(|regex| regex.is_match(text))
        };
        self.outline.arithmetic.iter().any(calculates)
            || self.commands(part).iter().any(|command| {
                let name = command.name();
                let sets = command.rest().iter().any(|word| word.starts_with(b"-v"));
                !command.apart
                    && (SETTERS.contains(&name.as_slice()) || (name == b"printf" && sets))
            })
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
        told_by("test ${ac_cv_x+y}", before, body)
    }

    /// The same of one with this condition.
    fn told_by(condition: &str, before: &str, body: &str) -> Option<Vec<(String, bool)>> {
        let text = format!(
            "#! /bin/sh\n{before}\nf () {{\nif {condition}\nthen :\n  printf %s \"(cached) \" >&6\n\
             else $as_nop\n{body}\nfi\n}}\n"
        );
        let asking = Asking {
            start: Some("start"),
            within: None,
            environment: &[],
        };
        let script = Script::of(text.as_bytes(), &asking).unwrap();
        let [check] = script.checks.as_slice() else {
            return None;
        };
        let told = check.told.iter();
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
        for (condition, body, name) in [
            ("eval test \\${$3+y}", "eval \"$3=yes\"", "$3"),
            (
                "eval test \\${x_${y}_z+y}",
                "eval x_${y}_z=\\$y",
                "x_${y}_z",
            ),
            ("eval test \\${$y+y}", "eval \"$y=yes\"", "$y"),
            ("eval test \\${$y+y}", "eval $y=\\$$3", "$y"),
        ] {
            let mut outputs = vec![output(name), output("ac_cv_x")];
            outputs.sort();
            let outputs = Some(outputs);
            let body = format!("{body}; ac_cv_x=1");
            assert_eq!(told_by(condition, "", &body), outputs, "{body}");
            // What another than the answer was before is not asked for.
            assert_eq!(told("", &body), None, "{body}");
        }
        // What it has set itself may be anything.
        let body = "y=`cat x`; eval \"$y=yes\"";
        assert_eq!(told_by("eval test \\${$y+y}", "", body), None);
        // What is evaluated in a shell of its own sets nothing here.
        for body in [
            "read x <file",
            "'read' x <file",
            "\\read -r x <file",
            ": ${x=1}",
            ": ${x:=1}",
            "eval x=1",
            "eval \"x=\\$y\"",
        ] {
            let outputs = [output("ac_cv_x"), output("x")];
            let body = format!("{body}\nac_cv_x=1");
            assert_eq!(told("", &body), Some(outputs.to_vec()), "{body}");
        }
        let function = "g () {\neval \"$3=1\"\n}";
        assert_eq!(
            told(function, "g a b c; ac_cv_x=1"),
            Some(vec![output("ac_cv_x"), output("c")])
        );
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
            "eval \"$name=1\"",
            "eval \"ac_cv_$name=1\"",
            "eval $command",
            "eval x=$command",
            "eval \"x=$command\"",
            ". ./file",
            "if . ./file; then :; fi",
            "true && command . ./file",
            "x=`. ./file`",
            "source ./file",
            "y=$((x=1))",
            "printf -v x 1",
            "getopts a x",
            "let x=1",
            "((x=1))",
            "if true;then ((x=1)); fi",
            "local x=1",
            "declare x=1",
        ] {
            assert_eq!(told("", &format!("{body}\nac_cv_x=1")), None, "{body}");
        }
        for (function, body) in [
            ("g () {\neval \"$3=1\"\n}", "g a b $c"),
            ("g () {\neval \"$3=1; y=2\"\n}", "g a b c"),
            ("g () {\neval \"x_$3=1\"\n}", "g a b c"),
        ] {
            assert_eq!(
                told(function, &format!("{body}; ac_cv_x=1")),
                None,
                "{body}"
            );
        }
    }
}
