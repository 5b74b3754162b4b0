//! What is put into a script so that it asks.

use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

use super::names::line_around;
use super::{Check, Whole, line_at};

static RESTART: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"exec "?\$\{?CONFIG_SHELL\}?"? \$as_opts( )"\$as_myself""#).ok());
static COMPILES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"\((eval "?)\$(ac_compile|ac_link|ac_cpp|gl_absname_cpp)\b"#).ok()
});
static COMMAND: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"^['"`]*(?:echo ["']?)?\$\{?(?:(?:CC|CXX|CPP|CXXCPP|OBJC|OBJCPP|OBJCXX|OBJCXXCPP)\b|\w*ac_(?:compile|link|cpp))"#,
    )
    .ok()
});
/// As `AX_ENABLE_BUILDDIR` has it.
static STARTS_ITSELF: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"eval \$SHELL( )"'(?:\$srcdir/)?\$0'" "'--srcdir="#).ok());
static STARTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"eval "\\\$SHELL( )\\"\\\$ac_sub_configure\\" \$ac_sub_configure_args"#).ok()
});

/// What is put before the name of a file that is sourced: it is nothing, and notes that it was, and which functions
/// there were before.
pub(super) const SOURCES: &str = "${__ebd_sourced=$(__ebd_functions_before)}";

/// What is put behind the condition of a check.
pub(super) fn ask(number: usize, check: &Check, indirect: &[String]) -> String {
    let mut text = " || ".to_owned();
    if !indirect.is_empty() {
        text.push_str("{ ");
        for (at, name) in indirect.iter().enumerate() {
            text.push_str(&format!(
                "eval \"__ebd_{at}=\\${{${name}+y}}\\${{${name}-}}\"; "
            ));
        }
    }
    text.push_str(&format!("__ebd_ask {number}"));
    if check.in_function {
        text.push_str(" $# \"$@\"");
    } else {
        text.push_str(" 0");
    }
    for at in 0..indirect.len() {
        text.push_str(&format!(" \"$__ebd_{at}\""));
    }
    for name in check.inputs.iter().skip(indirect.len()) {
        text.push_str(&format!(" \"${{{name}+y}}${{{name}-}}\""));
    }
    if !indirect.is_empty() {
        text.push_str("; }");
    }
    let left = left(check);
    if !left.is_empty() {
        text.push_str(&format!(" || __ebd_hold {number}{left}"));
    }
    text
}

/// The names that are told only if the check sets them, as words.
fn left(check: &Check) -> String {
    let left = check.told.iter().filter(|output| output.left);
    left.map(|output| format!(" {}", output.name)).collect()
}

/// What is put at the end of a check.
pub(super) fn tell(number: usize, check: &Check) -> String {
    // Who comes behind it may look at the status.
    let mut before = "__ebd_was=$?; ".to_owned();
    let mut text = format!("__ebd_tell {number}");
    for (at, output) in check.told.iter().enumerate() {
        let name = &output.name;
        match name.contains('$') {
            true => {
                before.push_str(&format!(
                    "eval \"__ebd_{at}=\\${{{name}+y}}\\${{{name}-}}\"; "
                ));
                text.push_str(&format!(" \"$__ebd_{at}\""));
            }
            false => {
                text.push_str(&format!(" \"${{{name}+y}}${{{name}-}}\""));
            }
        }
    }
    let left = left(check);
    if !left.is_empty() {
        text.push_str(&format!(" && :; __ebd_back {number}{left}"));
    }
    // Nor is it an error under `set -e`, as it was none of the check.
    format!("{before}{text} && :; ")
}

impl Whole<'_> {
    /// Where the script starts itself once more in another shell.
    pub(super) fn restarts(&self, start: &str) -> Vec<(usize, String)> {
        let found = RESTART
            .iter()
            .flat_map(|regex| regex.captures_iter(self.text));
        found
            .filter(|found| self.is_command(found))
            .filter_map(|found| found.get(1))
            .map(|blank| (blank.start(), format!(" -c '. {start}'")))
            .collect()
    }

    /// Whether what was found is a command that is waited for, not part of a text that is written.
    fn is_command(&self, found: &Captures<'_>) -> bool {
        found.get(0).is_some_and(|whole| {
            let line = line_around(self.text, whole.end());
            let mut background = self.outline.background.iter();
            self.commands(&(whole.start()..whole.start() + 1)).len() == 1
                && !background.any(|at| whole.end() <= *at && *at <= line.end)
        })
    }

    /// Where the script starts those of folders below, or itself there.
    pub(super) fn starts(&self, within: &str) -> Vec<(usize, String)> {
        let places = |regex: &'static LazyLock<Option<Regex>>, words: String| {
            let found = regex
                .iter()
                .flat_map(|regex| regex.captures_iter(self.text));
            found
                .filter(|found| self.is_command(found))
                .filter_map(|found| found.get(1))
                .map(|blank| (blank.start(), words.clone()))
                .collect::<Vec<_>>()
        };
        let mut all = places(&STARTS, format!(" -c '. {within}'"));
        all.extend(places(&STARTS_ITSELF, format!(" -c \"'. {within}'\"")));
        all
    }

    /// Where compilers are run, and what is put before them. The variables with their commands have to begin with
    /// the compiler.
    pub(super) fn compilers(&self) -> Vec<(usize, String)> {
        let begins = |name: &[u8]| {
            let assignments = self.assignments.get(name).into_iter().flatten();
            assignments.into_iter().all(|each| {
                let value = self.bytes(each.value.clone());
                value.is_empty() || COMMAND.as_ref().is_some_and(|regex| regex.is_match(value))
            })
        };
        let found = COMPILES
            .iter()
            .flat_map(|regex| regex.captures_iter(self.text));
        let places = found.filter_map(|found| {
            let (whole, place, name) = (found.get(0)?, found.get(1)?, found.get(2)?);
            let at = place.end();
            let documents = &self.outline.documents;
            let is_text = |at: usize| {
                documents
                    .iter()
                    .any(|each| each.text.start <= at && at < each.text.end)
            };
            // Two at the same time would get each other's answers.
            let line = line_at(self.text, whole.start());
            let alone = line.windows(5).filter(|five| five == b"eval ").count() == 1;
            (alone && !is_text(at) && begins(name.as_bytes())).then_some(at)
        });
        places.map(|at| (at, "__ebd_run ".to_owned())).collect()
    }
}
