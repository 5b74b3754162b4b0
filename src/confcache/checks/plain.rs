//! What a check must not have in it: whatever changes the shell in another way than by setting variables, and whatever
//! depends on what is not seen in its text.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::super::outline::Outline;
use super::super::outline::{Command, is_name};
use super::told::SETTERS;
use super::{LEFT, PLACES, Whole, find, names};

/// Builtins that change the shell, or tell something of it that is no value of a variable.
const STATE: [&[u8]; 38] = [
    b".",
    b"alias",
    b"bg",
    b"bind",
    b"builtin",
    b"command",
    b"complete",
    b"coproc",
    b"declare",
    b"dirs",
    b"disown",
    b"enable",
    b"exec",
    b"export",
    b"fc",
    b"fg",
    b"getopts",
    b"hash",
    b"history",
    b"jobs",
    b"logout",
    b"popd",
    b"pushd",
    b"readonly",
    b"set",
    b"setopt",
    b"shift",
    b"shopt",
    b"source",
    b"suspend",
    b"times",
    b"trap",
    b"type",
    b"typeset",
    b"ulimit",
    b"umask",
    b"unalias",
    b"wait",
];

/// A variable whose name is put together in what is evaluated.
static PUT_TOGETHER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\\\$\{?\w+["'\\]*[$`]|\$'|`|\$\("#).ok());
/// The arguments of a function or script, in any form.
static ARGUMENTS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\$(?:[*@#]|\{[*@]|\{#[*@}])|\bfor\s+\w+\s*(?:;|\n|do\b)").ok());
/// The numbers of processes, and of the line.
static PROCESS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\$(?:[$!]|\{[$!]\}|\{?LINENO\b)").ok());
/// Those of processes where they are no part of a name, and that of the line where it is a word of a loop or a case.
static DECIDES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?:^|[^\w./$\\'-])\$(?:[$!]|\{[$!]\})|\b(?:for\s+\w+\s+in|case)\b[^\n;)]*\$\{?LINENO\b"#,
    )
    .ok()
});
static LOOPS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[\n;])[ \t]*(do|done)\b").ok());
static FIRST: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$(?:1|\{#?1\b)").ok());
static DEFINES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?m)(?:^["']?|[;&|{(])[ \t]*([\w.-]+)[ \t]*\([ \t]*\)\s*(?:\{\s|\()"#).ok()
});
/// Parts of values, and arithmetic, where a here-document has them.
static UNREAD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\$\{\w+:[^-=?+]|\$\(\(").ok());

fn has(regex: &'static LazyLock<Option<Regex>>, text: &[u8]) -> bool {
    regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

impl Whole<'_> {
    /// Whether a text does nothing that would not be done by who gets its answer, or that does not depend on
    /// variables, files and programs only.
    pub(super) fn is_plain(&self, part: &Range<usize>) -> bool {
        let outline = self.outline;
        let within = |all: &[usize]| all.iter().any(|at| part.contains(at));
        if within(&outline.background) || within(&outline.unread) || within(&outline.descriptors) {
            return false;
        }
        let is_inner = |range: &Range<usize>| part.start < range.start && range.end < part.end;
        if outline.functions.iter().any(|each| is_inner(&each.body)) {
            return false;
        }
        let mut documents = outline.documents.iter().filter(|each| is_inner(&each.text));
        if documents.any(|each| each.expands && has(&UNREAD, self.bytes(each.text.clone()))) {
            return false;
        }
        self.commands(part)
            .iter()
            .all(|each| self.is_plain_command(each))
    }

    /// Whether a text has a variable set to what a process is called, or to where in the script it is, or does one
    /// thing or another by that.
    pub(super) fn keeps_a_process(&self, part: &Range<usize>) -> bool {
        let mut assignments = self.outline.assignments.iter();
        let decides = has(&DECIDES, &self.code(part));
        decides
            || assignments.any(|each| {
                let value = self.bytes(each.value.clone());
                let is_quoted = value.len() > 1 && value.starts_with(b"'") && value.ends_with(b"'");
                let name = String::from_utf8_lossy(self.bytes(each.name.clone()));
                part.contains(&each.name.start)
                    && !is_quoted
                    && !PLACES.contains(&&*name)
                    && has(&PROCESS, value)
            })
    }

    /// Whether the text of a check may be left before its end, with the script going on.
    pub(super) fn leaves_early(&self, body: &Range<usize>) -> bool {
        self.commands(body).iter().any(|command| {
            let is_in_own_loop = || {
                let before = self.code(&(body.start..command.at));
                let words = LOOPS.iter().flat_map(|regex| regex.captures_iter(&before));
                let mut deep = 0_i32;
                for word in words.filter_map(|found| found.get(1)) {
                    deep += if word.as_bytes() == b"do" { 1 } else { -1 };
                }
                deep > 0 && command.rest().is_empty()
            };
            match command.name().as_slice() {
                _ if command.apart => false,
                b"return" => true,
                b"break" | b"continue" => !is_in_own_loop(),
                _ => false,
            }
        })
    }

    /// The commands of a text.
    pub(super) fn commands(&self, part: &Range<usize>) -> &[Command] {
        let all = &self.outline.commands;
        let before = |at: usize| all.partition_point(|each| each.at < at);
        all.get(before(part.start)..before(part.end))
            .unwrap_or_default()
    }

    fn is_plain_command(&self, command: &Command) -> bool {
        let rest = command.rest();
        match command.name().as_slice() {
            b"cd" | b"chdir" => command.apart,
            // Without any words it lists all variables.
            b"set" => command.apart && !rest.is_empty(),
            b"unset" => rest.iter().all(|word| is_name(word)),
            b"eval" => !has(&PUT_TOGETHER, &rest.join(&b' ')),
            name if STATE.contains(&name) => false,
            name => match name.iter().position(|byte| *byte == b'$') {
                None => true,
                // As `$as_unset` is.
                Some(_) if find(name, b"unset").is_some() => false,
                Some(0) => true,
                Some(at) => {
                    let begin = name.get(..at).unwrap_or_default();
                    !self.functions.keys().any(|each| each.starts_with(begin))
                }
            },
        }
    }

    /// Whether a text depends on the first argument of the function that it is in, or on how many there are.
    pub(super) fn sees_first_argument(&self, part: &Range<usize>) -> bool {
        let text = self.bytes(part.clone());
        has(&FIRST, text) || has(&ARGUMENTS, text)
    }

    /// Whether a text goes through the arguments without naming them.
    pub(super) fn goes_through_arguments(&self, part: &Range<usize>) -> bool {
        has(&ARGUMENTS, self.bytes(part.clone()))
    }

    /// Whether what stands behind a check, whose text ends here, looks at the status that the check has ended with.
    pub(super) fn is_asked_for_its_status(&self, end: usize) -> bool {
        let rest = self.text.get(end..).unwrap_or_default();
        let near = rest.get(..rest.len().min(200)).unwrap_or_default();
        let lines: Vec<&[u8]> = near.split(|byte| *byte == b'\n').take(3).collect();
        lines.iter().any(|line| find(line, b"$?").is_some())
    }

    /// Whether the script changes for all that comes behind what no check can tell.
    pub(super) fn changes_the_shell(&self) -> bool {
        self.outline.commands.iter().any(|command| {
            match command.name().as_slice() {
                b"ulimit" => !command.apart,
                // All scripts have that one for zsh.
                b"alias" => command.rest().first().map(Vec::as_slice) != Some(b"-g"),
                _ => false,
            }
        })
    }

    /// Whether a value that is assigned may define functions where it is evaluated, others than those of autoconf and
    /// automake.
    pub(super) fn holds_functions(&self) -> bool {
        let mut assignments = self.outline.assignments.iter();
        assignments.any(|each| {
            let value = self.bytes(each.value.clone());
            DEFINES.as_ref().is_none_or(|regex| {
                let mut defined = regex.captures_iter(value).filter_map(|found| found.get(1));
                let is_own = |name: &[u8]| name.starts_with(b"as_fn_") || name.starts_with(b"am__");
                defined.any(|name| !is_own(name.as_bytes()))
            })
        })
    }

    /// The functions of the script by name.
    pub(super) fn all_functions(&self) -> HashMap<Vec<u8>, Named> {
        let all = self.functions.iter().map(|(name, each)| {
            let texts: Vec<Range<usize>> = each.iter().map(|each| each.body.clone()).collect();
            let is_constant = texts.iter().all(|text| self.is_constant(text));
            (name.to_vec(), Named { texts, is_constant })
        });
        all.collect()
    }

    /// Whether a text only ends with a status that it names, or that there was.
    fn is_constant(&self, text: &Range<usize>) -> bool {
        let bytes = self.bytes(text.clone());
        let mut dollars = bytes.windows(2).filter(|two| two.starts_with(b"$"));
        let is_status = dollars.all(|two| two == b"$?");
        let is_known = |command: &Command| {
            let name = command.name();
            matches!(name.as_slice(), b":" | b"true" | b"false" | b"return")
        };
        is_status && !bytes.contains(&b'`') && self.commands(text).iter().all(is_known)
    }
}

/// Those of [`LEFT`] that no trap looks at, and that are variables and nothing more.
pub(super) fn left(outline: &Outline, environment: &[String]) -> Vec<&'static str> {
    let minds = |command: &&Command| {
        matches!(
            command.name().as_slice(),
            b"declare" | b"export" | b"local" | b"readonly" | b"trap" | b"typeset"
        )
    };
    let commands: Vec<&Command> = outline.commands.iter().filter(minds).collect();
    let is_left = |name: &&str| {
        let words = commands.iter().flat_map(|command| command.rest());
        let mut named = words.flat_map(|word| names(word));
        !named.any(|(word, _)| word == name.as_bytes())
            && !environment.iter().any(|each| each == name)
    };
    LEFT.into_iter().filter(is_left).collect()
}

/// Names that the script may have said are not to be set any more.
pub(super) fn fixed(outline: &Outline) -> HashSet<Vec<u8>> {
    let fixes = |command: &&Command| {
        let name = command.name();
        matches!(name.as_slice(), b"readonly" | b"declare" | b"typeset")
    };
    let commands = outline.commands.iter().filter(fixes);
    let words = commands.flat_map(|command| command.rest());
    words
        .flat_map(|word| names(word))
        .map(|(name, _)| name.to_vec())
        .collect()
}

/// All functions of one name.
#[derive(Debug, Clone)]
pub(in super::super) struct Named {
    /// Their bodies.
    pub(in super::super) texts: Vec<Range<usize>>,
    /// Whether each only ends with a status that it names, or that there was, as `as_fn_nop` does.
    pub(in super::super) is_constant: bool,
}

/// Builtins that set variables, go elsewhere, or evaluate what is not seen.
const OTHERS: [&[u8]; 6] = [b"cd", b"eval", b"let", b"local", b"read", b"unset"];

/// Whether a word may be a builtin that does more than telling something of files.
pub(in super::super) fn does_more(word: &[u8]) -> bool {
    STATE.contains(&word) || OTHERS.contains(&word) || SETTERS.contains(&word)
}

/// What a value may run that a check was not known to run: a function that is not among its texts, or, as the first
/// word, a builtin that changes the shell.
pub(in super::super) fn runs_another<'v>(
    functions: &HashMap<Vec<u8>, Named>,
    texts: &[Range<usize>],
    value: &'v [u8],
) -> Option<&'v [u8]> {
    let mut words = value.split(u8::is_ascii_whitespace);
    let first = words.find(|word| !word.is_empty()).unwrap_or_default();
    if STATE.contains(&first) || OTHERS.contains(&first) {
        return Some(first);
    }
    let is_other = |name: &&[u8]| {
        functions.get(*name).is_some_and(|named| {
            !named.is_constant && !named.texts.iter().all(|text| texts.contains(text))
        })
    };
    names(value).map(|(name, _)| name).find(is_other)
}
