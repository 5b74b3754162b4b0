//! The checks of a configure script whose answers can be shared, and the script that asks for them.
//!
//! A check is what autoconf's `AC_CACHE_VAL` writes:
//!
//! ```sh
//! if test ${ac_cv_x+y}
//! then :
//!   printf %s "(cached) " >&6
//! else …
//!   ac_cv_x=…
//! fi
//! ```
//!
//! What is behind `else` sees its own text, that of the functions it calls, variables, `confdefs.h`, and what the
//! programs that it runs find. Here it is found out which variables these may be: every name that the texts
//! mention, in any form, but for those that each text sets before it uses them.
//!
//! The script that asks has no more lines than the one it was made from, so that line numbers stay.

mod edits;
mod names;
mod plain;
mod told;
mod used;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

use self::edits::{SOURCES, ask, tell};
use self::names::{find, line_at};
pub(super) use self::names::{named_in, names};
pub(super) use self::plain::{Named, does_more, runs_another};
use super::facts::{Sum, sum};
use super::outline::{Assignment, Function, Outline, Strange};

/// Variables that only say where in the script it is, or hold what is written to `config.log`.
const PLACES: [&str; 6] = [
    "LINENO",
    "as_lineno",
    "as_lineno_stack",
    "ac_try_echo",
    "ac_log",
    "_",
];

/// Variables that autoconf's functions set in each of two branches before they use them.
const SET_BY_BRANCHES: [&str; 2] = ["ac_retval", "as_status"];

/// Variables that autoconf's functions set before they look at them: what was there before does not matter to a check, and
/// is left by one that calls none of these functions.
const LEFT: [&str; 4] = ["ac_retval", "ac_status", "ac_try", "as_status"];

/// Variables of autoconf's functions, which are what they are to others where the script itself uses them.
const THEIRS: [&str; 4] = ["ac_log", "ac_retval", "as_status", "as_lineno_stack"];

/// Functions of autoconf that get the names of variables, which are looked for where they are called.
const BY_NAME: [&str; 2] = ["as_fn_append", "as_fn_arith"];

/// Functions of autoconf that get a status, or texts for people.
const SAYING: [&[u8]; 3] = [b"as_fn_error", b"as_fn_exit", b"as_fn_set_status"];

/// Words of commands that change what is no variable, wherever they stand.
const UNSEEN: [&str; 8] = [
    "export", "exec", "trap", "umask", "ulimit", "alias", "readonly", "wait",
];

/// A check.
#[derive(Debug, Clone)]
pub(super) struct Check {
    /// The variable that has its answer, as the script calls it: `ac_cv_func_mmap`, or `$3`.
    pub(super) variable: String,
    /// Tells the texts that it consists of: its own and those of functions.
    pub(super) sum: Sum,
    /// The variables whose values it may depend on.
    pub(super) inputs: Vec<String>,
    /// Whether its arguments are among what it depends on.
    pub(super) in_function: bool,
    /// Whether the first of them is too, which is a line number in autoconf's own.
    pub(super) sees_first: bool,
    /// The variables that it may set.
    pub(super) outputs: BTreeSet<String>,
    /// All variables that it can set, whose values it tells: as the script calls them.
    pub(super) told: Vec<Output>,
    /// Where the texts are.
    pub(super) texts: Vec<Range<usize>>,
    /// Whether it knows in which directory it is.
    pub(super) sees_directory: bool,
    /// Whether it looks at `confdefs.h` in another way than compiling it.
    pub(super) reads_defines: bool,
    /// Whether it looks for files by patterns, others than those which only checks make.
    pub(super) globs: bool,
}

/// A variable that a check sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    /// Its name, or how that is put together: `$3` is the one that the third argument names.
    pub(super) name: String,
    /// Whether the check may unset it.
    pub(super) unset: bool,
    /// Whether it is not asked for, and told only if the check sets it: else it is what it was.
    pub(super) left: bool,
}

/// Variables of shells that have another value each time.
pub(super) const OF_THE_MOMENT: [&[u8]; 5] = [
    b"RANDOM",
    b"SRANDOM",
    b"SECONDS",
    b"EPOCHSECONDS",
    b"EPOCHREALTIME",
];

/// A script and its checks.
#[derive(Debug)]
pub(super) struct Script {
    /// The script that asks.
    pub(super) asking: Vec<u8>,
    /// Its checks; it asks by their place here.
    pub(super) checks: Vec<Check>,
    /// In how many places it runs compilers, and asks before it does.
    pub(super) compilers: usize,
    /// In how many places it starts other scripts.
    pub(super) starts: usize,
    /// Whether it may source files, or define functions, where that is not seen.
    pub(super) sources_unseen: bool,
    /// Its functions by name.
    pub(super) functions: HashMap<Vec<u8>, Named>,
}

/// How a script asks: what starts it once more in another shell.
pub(super) struct Asking<'a> {
    /// The file, which need not be quoted, that a shell is to read to run the script once more.
    pub(super) start: Option<&'a str>,
    /// The file, which need not be quoted, that a shell is to read to run a script that this one starts.
    pub(super) within: Option<&'a str>,
    /// The variables of the environment.
    pub(super) environment: &'a [String],
}

impl Script {
    /// Looks for the checks of a script.
    ///
    /// # Errors
    /// It is not understood.
    pub(super) fn of(text: &[u8], asking: &Asking<'_>) -> Result<Self, Strange> {
        let outline = Outline::of(text)?;
        let whole = Whole::new(text, &outline, asking.environment);
        let mut edits: Vec<(usize, String)> = Vec::new();
        let mut checks = Vec::new();
        let askable = !whole.changes_the_shell();
        for each in outline.ifs.iter().filter(|_| askable) {
            let Some(body) = each.or_else.clone() else {
                continue;
            };
            let (Some(condition), Some(said)) = (
                whole.condition(each.condition.clone()),
                whole.said(each.then.clone()),
            ) else {
                continue;
            };
            let Some((check, indirect)) = whole.check(&condition, body.clone()) else {
                continue;
            };
            let number = checks.len();
            edits.push((condition.end, ask(number, &check, &indirect)));
            edits.push((
                said.start,
                "case ${__ebd_hit-} in y) __ebd_hit= ;; *) ".to_owned(),
            ));
            edits.push((said.end, " ;; esac".to_owned()));
            edits.push((body.end, tell(number, &check)));
            checks.push(check);
        }
        edits.extend(asking.start.iter().flat_map(|start| whole.restarts(start)));
        edits.extend(outline.sources.iter().map(|at| (*at, SOURCES.to_owned())));
        let starts = asking
            .within
            .map_or_else(Vec::new, |within| whole.starts(within));
        let started = starts.len();
        edits.extend(starts);
        let compilers = whole.compilers();
        let count = compilers.len();
        edits.extend(compilers);
        edits.sort();
        let mut changed = Vec::with_capacity(text.len() + text.len() / 4);
        let mut done = 0;
        for (at, more) in edits {
            changed.extend_from_slice(text.get(done..at).unwrap_or_default());
            changed.extend_from_slice(more.as_bytes());
            done = at;
        }
        changed.extend_from_slice(text.get(done..).unwrap_or_default());
        Ok(Self {
            asking: changed,
            checks,
            compilers: count,
            starts: started,
            sources_unseen: outline.sources_unseen
                || whole.defines_unseen()
                || whole.holds_functions(),
            functions: whole.all_functions(),
        })
    }
}

/// Where the condition of a check is.
struct Condition {
    variable: String,
    end: usize,
}

/// A script that is looked through.
struct Whole<'a> {
    text: &'a [u8],
    outline: &'a Outline,
    /// By name; one that is defined twice may be either.
    functions: HashMap<&'a [u8], Vec<&'a Function>>,
    /// By name.
    assignments: HashMap<&'a [u8], Vec<&'a Assignment>>,
    /// The places where names are set.
    set_at: HashMap<usize, &'a Assignment>,
    environment: &'a [String],
    /// Those of [`LEFT`] that nobody else looks at or makes more than a variable of.
    left: Vec<&'static str>,
    /// Names that may not be set.
    fixed: HashSet<Vec<u8>>,
}

static CONDITION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"^(?:eval )?(?:test |"?test \\?"?)?\\?\$\{([$A-Za-z0-9_{}]+?)\+(?:y\}|:\} false|set\}\\?""? = set)$"#).ok()
});
static SAID: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"^(?::\s*)?((?:printf %s|\$as_echo_n) "\(cached\) " >&6|echo \$ECHO_N "\(cached\) \$ECHO_C" >&6)\s*$"#)
        .ok()
});
static ARRAY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\$\{#?\w+\[|(?m:^|[\s;&|({])[A-Za-z_]\w*\[[^\]\s]*\]\+?=").ok());
/// Sourcing, and definitions of functions, where the outline does not see them.
static EVALUATED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?m)\b(?:eval|command|builtin)\b[^\n]*?(?:[\s'\x22`;]\.\s|\bsource\s|\b(\w+)\s*\(\))",
    )
    .ok()
});
static INDIRECT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\\\$[{"\\]*\$\{?([A-Za-z_0-9]+)"#).ok());
static APPEND: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"as_fn_append "?(\$?\{?[A-Za-z_0-9]+)"#).ok());

impl<'a> Whole<'a> {
    fn new(text: &'a [u8], outline: &'a Outline, environment: &'a [String]) -> Self {
        let mut assignments: HashMap<&[u8], Vec<&Assignment>> = HashMap::new();
        let mut set_at = HashMap::new();
        for each in &outline.assignments {
            let name = text.get(each.name.clone()).unwrap_or_default();
            assignments.entry(name).or_default().push(each);
            set_at.insert(each.name.start, each);
        }
        let mut functions: HashMap<&[u8], Vec<&Function>> = HashMap::new();
        for each in &outline.functions {
            let name = text.get(each.name.clone()).unwrap_or_default();
            functions.entry(name).or_default().push(each);
        }
        Self {
            text,
            outline,
            functions,
            assignments,
            set_at,
            environment,
            left: plain::left(outline, environment),
            fixed: plain::fixed(outline),
        }
    }

    fn bytes(&self, range: Range<usize>) -> &'a [u8] {
        self.text.get(range).unwrap_or_default()
    }

    /// The name of the function that this is the body of; empty if it is none's.
    fn name_of(&self, part: &Range<usize>) -> &'a [u8] {
        let function = self
            .outline
            .functions
            .iter()
            .find(|each| each.body == *part);
        function.map_or(&b""[..], |each| self.bytes(each.name.clone()))
    }

    /// The functions of this name.
    fn functions_called(&self, name: &[u8]) -> impl Iterator<Item = &'a Function> {
        self.functions.get(name).into_iter().flatten().copied()
    }

    /// Whether it may source files, or define functions, in what is evaluated.
    fn defines_unseen(&self) -> bool {
        let code = self.code(&(0..self.text.len()));
        let mut found = EVALUATED
            .iter()
            .flat_map(|regex| regex.captures_iter(&code));
        EVALUATED.is_none()
            || found.any(|found| {
                let name = found.get(1).map(|name| name.as_bytes());
                !name.is_some_and(|name| BY_NAME.iter().any(|known| known.as_bytes() == name))
            })
    }

    /// The condition, if it is that of a check.
    fn condition(&self, range: Range<usize>) -> Option<Condition> {
        let text = self.bytes(range.clone());
        let plain = text.trim_ascii_end();
        let plain = plain.strip_suffix(b";").unwrap_or(plain);
        let found = CONDITION.as_ref()?.captures(plain.trim_ascii_start())?;
        Some(Condition {
            variable: String::from_utf8_lossy(found.get(1)?.as_bytes()).into_owned(),
            end: range.start + plain.len(),
        })
    }

    /// Where it says that an answer was cached.
    fn said(&self, range: Range<usize>) -> Option<Range<usize>> {
        let text = self.bytes(range.clone());
        let lead = text.len() - text.trim_ascii_start().len();
        let found = SAID.as_ref()?.captures(text.trim_ascii_start())?.get(1)?;
        let from = range.start + lead;
        Some(from + found.start()..from + found.end())
    }

    /// The check, and by what names of names it depends on variables; none if its answer cannot be
    /// shared.
    fn check(&self, condition: &Condition, body: Range<usize>) -> Option<(Check, Vec<String>)> {
        let around = self
            .outline
            .functions
            .iter()
            .find(|each| each.body.start < body.start && body.end < each.body.end);
        let texts = self.texts(&body);
        // What is exported is asked for besides.
        let mut inputs = BTreeSet::from(["PATH".to_owned()]);
        let mut outputs = BTreeSet::new();
        let mut indirect = BTreeSet::new();
        let mut hashed = Vec::new();
        let mut used_by_others = BTreeSet::new();
        let (mut certain, mut called) = (BTreeSet::new(), BTreeSet::new());
        let mut looked_at: BTreeSet<String> = BTreeSet::new();
        let (mut sees_directory, mut reads_defines) = (false, false);
        if self.is_asked_for_its_status(body.end) {
            return None;
        }
        for part in &texts {
            let own = *part == body;
            let function = self.name_of(part);
            let is_by_name = BY_NAME.iter().any(|name| name.as_bytes() == function);
            if !is_by_name && !SAYING.contains(&function) && !self.is_plain(part) {
                return None;
            }
            if self.keeps_a_process(part) {
                return None;
            }
            hashed.extend_from_slice(self.bytes(part.clone()));
            hashed.push(0);
            let used = self.used(part);
            for name in &used.words {
                sees_directory |= matches!(name.as_str(), "pwd" | "PWD" | "OLDPWD");
                if UNSEEN.contains(&name.as_str()) || name.starts_with("__ebd_") {
                    return None;
                }
            }
            reads_defines |= self.reads_defines(part);
            if !function.starts_with(b"ac_fn_") && !function.starts_with(b"as_fn_") {
                let all = used.inputs.union(&used.outputs);
                let theirs = all.filter(|name| THEIRS.contains(&name.as_str()));
                used_by_others.extend(theirs.cloned());
            }
            if !function.starts_with(b"ac_fn_") && !function.starts_with(b"as_fn_") {
                looked_at.extend(used.inputs.iter().cloned());
            }
            inputs.extend(used.inputs);
            match own {
                true => certain.extend(used.outputs.iter().cloned()),
                false => called.extend(used.outputs.iter().cloned()),
            }
            outputs.extend(used.outputs);
            let text = self.bytes(part.clone());
            // Of arrays only the first element would be asked for.
            let is_strange = text.windows(3).any(|window| window == b"${!")
                || ARRAY.as_ref().is_none_or(|regex| regex.is_match(text));
            if is_strange {
                return None;
            }
            if is_by_name {
                continue;
            }
            for found in INDIRECT.iter().flat_map(|regex| regex.captures_iter(text)) {
                let name = String::from_utf8_lossy(found.get(1)?.as_bytes()).into_owned();
                // What another function calls its third argument is not known here.
                if !own {
                    if name != "ac_try" {
                        return None;
                    }
                    continue;
                }
                indirect.insert(name);
            }
            for found in APPEND.iter().flat_map(|regex| regex.captures_iter(text)) {
                let name = String::from_utf8_lossy(found.get(1)?.as_bytes()).into_owned();
                match name.strip_prefix('$') {
                    Some(of) if own => {
                        indirect.insert(of.trim_start_matches('{').to_owned());
                    }
                    Some(_) => return None,
                    None => {
                        inputs.insert(name.clone());
                        outputs.insert(name);
                    }
                }
            }
        }
        let texts_glob = texts.iter().any(|part| self.globs(part));
        let in_function = around.is_some();
        for name in &indirect {
            let positional = name.bytes().all(|byte| byte.is_ascii_digit());
            // What the check itself sets cannot be asked for before.
            if (positional && !in_function) || (!positional && !inputs.contains(name)) {
                return None;
            }
        }
        if !in_function && (self.uses_arguments(&body) || self.goes_through_arguments(&body)) {
            return None;
        }
        let is_place = |name: &str| PLACES.contains(&name) && !used_by_others.contains(name);
        inputs.retain(|name| !is_place(name));
        self.close(&mut inputs);
        for name in PLACES.iter().chain(&SET_BY_BRANCHES) {
            if !used_by_others.contains(*name) {
                inputs.remove(*name);
                outputs.remove(*name);
            }
        }
        called.extend(
            SET_BY_BRANCHES
                .iter()
                .filter(|name| find(&hashed, name.as_bytes()).is_some())
                .map(|name| (*name).to_owned()),
        );
        // If a function is not called, what was there before is left.
        let may_leave = !self.leaves_early(&body);
        let mut left = Vec::new();
        for name in called.difference(&certain) {
            if PLACES.contains(&name.as_str()) {
                continue;
            }
            if may_leave && self.left.contains(&name.as_str()) && !looked_at.contains(name) {
                inputs.remove(name);
                outputs.remove(name);
                left.push(name.clone());
            } else {
                inputs.insert(name.clone());
                outputs.insert(name.clone());
            }
        }
        // What has the answer is not set before.
        let mut asked = vec![condition.variable.clone()];
        asked.extend(indirect.iter().map(|name| format!("${name}")));
        let mut told = self.told(&texts, &mut inputs, &outputs, &asked, in_function)?;
        let is_fixed = |output: &Output| self.fixed.contains(output.name.as_bytes());
        if told.iter().any(is_fixed) {
            return None;
        }
        left.retain(|name| told.iter().all(|output| output.name != *name));
        told.extend(left.into_iter().map(|name| Output {
            name,
            unset: false,
            left: true,
        }));
        let indirect: Vec<String> = indirect.into_iter().collect();
        let names = indirect.iter().map(|name| format!("${name}"));
        let check = Check {
            variable: condition.variable.clone(),
            sum: sum(&hashed),
            inputs: names.chain(inputs).collect(),
            sees_first: in_function && self.sees_first_argument(&body),
            in_function,
            outputs,
            told,
            texts,
            sees_directory,
            reads_defines,
            globs: texts_glob,
        };
        Some((check, indirect))
    }

    /// The texts that run: this one, and those of all functions that it may call, in the order of
    /// the script.
    fn texts(&self, body: &Range<usize>) -> Vec<Range<usize>> {
        let mut all = vec![body.clone()];
        let mut known: HashSet<usize> = HashSet::new();
        let mut at = 0;
        while let Some(part) = all.get(at).cloned() {
            at += 1;
            for (name, _) in names(self.bytes(part)) {
                for function in self.functions_called(name) {
                    if !(function.body.start < body.start && body.end < function.body.end)
                        && known.insert(function.body.start)
                    {
                        all.push(function.body.clone());
                    }
                }
            }
        }
        all.get_mut(1..)
            .unwrap_or_default()
            .sort_by_key(|part| part.start);
        all
    }

    /// Whether a text depends on the arguments of the script.
    fn uses_arguments(&self, part: &Range<usize>) -> bool {
        let text = self.bytes(part.clone());
        let mut quoted = false;
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            match byte {
                b'\'' => quoted = !quoted,
                b'\\' => at += 1,
                b'$' if !quoted => {
                    let next = text.get(at + 1).copied().unwrap_or(0);
                    if next.is_ascii_digit() || matches!(next, b'@' | b'*' | b'#') {
                        return true;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        false
    }

    /// Whether a text does something else with `confdefs.h` than putting it before a program.
    fn reads_defines(&self, part: &Range<usize>) -> bool {
        let text = self.bytes(part.clone());
        let name = b"confdefs.h";
        let mut from = 0;
        while let Some(by) = find(text.get(from..).unwrap_or_default(), name) {
            let at = from + by;
            let before = text.get(..at).unwrap_or_default();
            let after = text.get(at + name.len()..).unwrap_or_default();
            let included = before.ends_with(b"cat ")
                && (after.starts_with(b" - ") || after.starts_with(b" >>conftest."));
            let said = before.ends_with(b"/* end ") || before.ends_with(b"#include \"");
            if !included && !said {
                return true;
            }
            from = at + name.len();
        }
        false
    }

    /// Whether a text may list the folder for other names than those of checks.
    fn globs(&self, part: &Range<usize>) -> bool {
        let inside = |range: &&Range<usize>| part.start <= range.start && range.end <= part.end;
        // `$?` is a status.
        let is_pattern = |text: &[u8]| {
            let before = std::iter::once(&0).chain(text);
            text.iter()
                .zip(before)
                .any(|(byte, before)| matches!(byte, b'*' | b'?' | b'[') && *before != b'$')
        };
        let words = self.outline.patterns.iter().filter(inside);
        let of_checks = |text: &[u8]| {
            let text = text.strip_prefix(b"./").unwrap_or(text);
            text.starts_with(b"conftest")
                || text.starts_with(b"conf$$")
                // What a program leaves that crashed, and autoconf removes.
                || matches!(text, b"*.core" | b"core.conftest.*")
        };
        words
            .map(|range| self.bytes(range.clone()))
            .any(|text| !of_checks(text))
            || self
                .outline
                .assignments
                .iter()
                .filter(|each| part.start <= each.name.start && each.value.end <= part.end)
                .any(|each| is_pattern(self.bytes(each.value.clone())))
    }
}
