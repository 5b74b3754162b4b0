//! What is left out of account: files that are never the same twice, variables that no result
//! depends on, and what no two runs make alike. One table, which users extend.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use sha2::{Digest, Sha256};

use super::facts::Sum;

/// The table as it is built in, in the form that users write.
const BUILT_IN: &str = r"
# What the kernel tells a process about itself.
path /proc/self ignore
path /proc/self/** ignore
path /proc/thread-self ignore
path /proc/thread-self/** ignore
path /proc/[0-9]* process
path /proc/[0-9]*/** process
path /dev/fd/** ignore
# What changes by itself. What stays the same of it counts.
path /proc/cpuinfo without ^(cpu MHz|bogomips|BogoMIPS)\s*:
path /proc/meminfo without ^
path /proc/uptime without ^
path /proc/loadavg without ^
path /proc/stat without ^
path /proc/vmstat without ^
path /proc/interrupts without ^
path /proc/diskstats without ^
path /proc/mounts exists
path /proc/net/** exists
path /proc/sys/kernel/random/** exists
path /sys/devices/system/cpu/cpu*/cpufreq/** exists
path /etc/mtab exists
# What the kernel counts for a group of processes, as Java looks at when it starts. Limits count.
path /sys/fs/cgroup/**/*.stat exists
path /sys/fs/cgroup/**/*_stat exists
path /sys/fs/cgroup/**/*.current exists
path /sys/fs/cgroup/**/*.peak exists
path /sys/fs/cgroup/**/*.pressure exists
path /sys/fs/cgroup/**/*.events* exists
path /sys/fs/cgroup/**/*usage_in_bytes exists
path /sys/fs/cgroup/**/*.failcnt exists
path /sys/fs/cgroup/**/cpuacct.usage* exists
path /sys/fs/cgroup/**/cgroup.procs exists
path /sys/fs/cgroup/**/cgroup.threads exists
path /sys/fs/cgroup/**/tasks exists
# Devices that are the same everywhere, or another at each terminal.
path /dev/null exists
path /dev/zero exists
path /dev/full exists
path /dev/random exists
path /dev/urandom exists
path /dev/tty exists
path /dev/ptmx exists
path /dev/pts/** exists
path /dev/stdin exists
path /dev/stdout exists
path /dev/stderr exists
# Where each Java process has its counters, for others that look at it.
path /tmp/hsperfdata_* ignore
path /tmp/hsperfdata_*/** ignore
# Made anew whenever any library is installed: what leads to the libraries that were loaded counts.
# (All of it, where its contents were listed.)
path /etc/ld.so.cache loader
# What ebd tells the helpers of a build, and where its cache is.
variable __EBD_* ignore
variable EBD_CONFCACHE ignore
# Where glibc says that a program has crashed.
variable LIBC_FATAL_STDERR_ unnamed
# What a shell says about itself, and what a session does, of which scripts make nothing that do not name it.
variable _ ignore
variable SHLVL ignore
variable OLDPWD ignore
variable SSH_* unnamed
variable XDG_SESSION_* unnamed
variable XDG_VTNR unnamed
variable XDG_SEAT unnamed
variable DBUS_SESSION_BUS_ADDRESS unnamed
variable WINDOWID unnamed
variable INVOCATION_ID unnamed
variable JOURNAL_STREAM unnamed
variable SYSTEMD_EXEC_PID unnamed
variable MEMORY_PRESSURE_* unnamed
variable HISTFILE unnamed
variable MAIL unnamed
# What two runs write and print differently by themselves; only `--verify` compares it.
made **/config.log ignore
made **/stamp-h ignore
printed without ^configure: autobuild timestamp\.\.\.
printed without ^checking for x86 cpuid .* output\.\.\.
";

/// What counts of a path.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// Nothing.
    Ignore,
    /// That it is there.
    Exists,
    /// The lines that do not match.
    Without(Lines),
    /// Nothing, if it is of a process of the run.
    Process,
    /// Of the loader's cache, what leads to the libraries that were loaded.
    Loader,
}

/// Lines that do not count.
#[derive(Debug, Clone)]
pub(super) struct Lines(regex::bytes::Regex);

impl Lines {
    fn matching(regex: &str) -> Option<Self> {
        Some(Self(regex::bytes::Regex::new(regex.trim()).ok()?))
    }

    /// Whether a line is one of them.
    pub(super) fn has(&self, line: &[u8]) -> bool {
        self.0.is_match(line)
    }

    /// The sum of the other lines.
    pub(super) fn rest(&self, text: &[u8]) -> Sum {
        let mut hash = Sha256::new();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if !self.has(line) {
                hash.update(line);
            }
        }
        hash.finalize().into()
    }
}

/// A table that users wrote has a line that is none.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A line is no rule.
    #[error(
        "{place}:{line}: {text:?} is no rule: they are `path GLOB ignore|exists|without REGEX`, \
         `variable GLOB ignore|unnamed`, `made GLOB ignore` and `printed without REGEX`"
    )]
    Line {
        /// The file.
        place: String,
        /// The line's number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
}

/// A star is a part of one component.
const BY_COMPONENT: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// The table. Rules of users come before those that are built in.
#[derive(Debug, Clone)]
pub struct Rules {
    paths: Vec<(Pattern, Rule)>,
    /// With whether they count where they are named.
    variables: Vec<(Pattern, bool)>,
    made: Vec<Pattern>,
    printed: Vec<Lines>,
    /// Whether times of files count.
    times: bool,
    sum: Sum,
}

impl Default for Rules {
    fn default() -> Self {
        // The table that is built in is tested.
        Self::parse("", "").unwrap_or_else(|_| Self {
            paths: Vec::new(),
            variables: Vec::new(),
            made: Vec::new(),
            printed: Vec::new(),
            times: false,
            sum: [0; 32],
        })
    }
}

impl Rules {
    /// Reads a user's table, if there is one.
    ///
    /// # Errors
    /// It is there and cannot be read, or has a line that is no rule.
    pub fn read(path: &Path) -> Result<Self, RulesError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(RulesError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }

    fn parse(text: &str, place: &str) -> Result<Self, RulesError> {
        let mut rules = Self {
            paths: Vec::new(),
            variables: Vec::new(),
            made: Vec::new(),
            printed: Vec::new(),
            times: false,
            sum: [0; 32],
        };
        for (place, text) in [(place, text), ("<built in>", BUILT_IN)] {
            for (at, line) in text.lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                rules.add(line).ok_or_else(|| RulesError::Line {
                    place: place.to_owned(),
                    line: at + 1,
                    text: line.to_owned(),
                })?;
            }
        }
        rules.sum = super::facts::sum(format!("{text}\0{BUILT_IN}").as_bytes());
        Ok(rules)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_once(char::is_whitespace)?;
        let (name, rule) = rest.trim_start().split_once(char::is_whitespace)?;
        let pattern = Pattern::new(name).ok()?;
        let rule = rule.trim();
        match kind {
            "path" => {
                let rule = match rule.split_once(char::is_whitespace) {
                    None if rule == "ignore" => Rule::Ignore,
                    None if rule == "exists" => Rule::Exists,
                    None if rule == "process" => Rule::Process,
                    None if rule == "loader" => Rule::Loader,
                    Some(("without", lines)) => Rule::Without(Lines::matching(lines)?),
                    _ => return None,
                };
                self.paths.push((pattern, rule));
            }
            "variable" if rule == "ignore" => self.variables.push((pattern, false)),
            "variable" if rule == "unnamed" => self.variables.push((pattern, true)),
            "made" if rule == "ignore" => self.made.push(pattern),
            "printed" if name == "without" => self.printed.push(Lines::matching(rule)?),
            _ => return None,
        }
        Some(())
    }

    /// What counts of this path, if not everything.
    pub(super) fn of(&self, path: &Path) -> Option<&Rule> {
        let found = self.paths.iter().find(|(pattern, _)| {
            path.as_os_str()
                .as_bytes()
                .starts_with(literal(pattern).as_bytes())
                && pattern.matches_path_with(path, BY_COMPONENT)
        });
        found.map(|(_, rule)| rule)
    }

    /// Whether two runs may make this differently, a path that begins in their folder.
    pub(super) fn differs_by_itself(&self, made: &Path) -> bool {
        let mut patterns = self.made.iter();
        patterns.any(|pattern| pattern.matches_path_with(made, BY_COMPONENT))
    }

    /// What was printed, with nothing in the lines that two runs print differently by themselves.
    pub(super) fn steady(&self, printed: &[u8]) -> Vec<u8> {
        let lines = printed.split_inclusive(|byte| *byte == b'\n');
        let steady = lines.map(
            |line| match self.printed.iter().any(|each| each.has(line)) {
                true => b"\n".as_slice(),
                false => line,
            },
        );
        steady.flatten().copied().collect()
    }

    /// Whether nothing depends on a variable of this name.
    pub(super) fn ignores_variable(&self, name: &OsStr) -> bool {
        self.variable(name).next().is_some()
    }

    /// Whether nothing that a script does depends on a variable of this name.
    pub(super) fn ignores_variable_of(&self, name: &OsStr, script: &[u8]) -> bool {
        let mut rules = self.variable(name);
        rules.any(|unless_named| !unless_named || !names(script, name.as_bytes()))
    }

    /// The rules for a variable, each by whether it is for scripts only that do not name it.
    fn variable(&self, name: &OsStr) -> impl Iterator<Item = bool> {
        let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
        self.variables.iter().filter_map(move |(pattern, unless)| {
            let is_it = name.starts_with(literal(pattern)) && pattern.matches(&name);
            is_it.then_some(*unless)
        })
    }

    /// The table as it is for a script: times of files count if it compares them.
    pub(super) fn of_script(&self, script: &[u8]) -> Self {
        Self {
            times: compares_times(script),
            ..self.clone()
        }
    }

    /// Whether times of files count.
    pub(super) fn times_count(&self) -> bool {
        self.times
    }

    /// Tells tables apart.
    pub(super) fn sum(&self) -> Sum {
        self.sum
    }
}

/// Whether a script asks for times of files otherwise than automake's and gnulib's do, which make one to see whether the
/// clock is right: they ask whether their own text is older, which it is unless the clock is wrong.
fn compares_times(script: &[u8]) -> bool {
    // The patterns are tested.
    let regex = |pattern: &str| regex::bytes::Regex::new(pattern).ok();
    let asks = regex(
        r"(?-u)(^|[^\w-])(-([no]t|a?newer|mtime|mmin)[ \t]|stat[ \t]+-|date[ \t]+(-u[ \t]+)?-r)",
    );
    let lists = regex(r"(?-u)\bls([ \t]+-[a-zA-Z]+)*[ \t]+-[a-zA-Z]*[tl]");
    let (Some(asks), Some(lists)) = (asks, lists) else {
        return true;
    };
    let own: [&[u8]; 3] = [
        b"conftest",
        b"ls -t appears to fail",
        b"ls -t produces unexpected",
    ];
    let is_own = |line: &[u8]| {
        let mut own = own.iter();
        own.any(|text| memchr::memmem::find(line, text).is_some())
    };
    let mut lines = script.split(|byte| *byte == b'\n');
    lines.any(|line| {
        let is_comment = line.trim_ascii_start().starts_with(b"#");
        !is_comment && (asks.is_match(line) || (lists.is_match(line) && !is_own(line)))
    })
}

/// What autoconf writes into each script that names variables of sessions, to be rid of them.
const UNSETS: [&[u8]; 2] = [b"BASH_ENV ENV MAIL MAILPATH", b"(MAIL=60; unset MAIL)"];

/// Whether a script names a variable otherwise than each script of autoconf's does.
fn names(script: &[u8], name: &[u8]) -> bool {
    let is_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let mut places = memchr::memmem::find_iter(script, name);
    places.any(|at| {
        let before = at.checked_sub(1).and_then(|at| script.get(at));
        if is_word(before) || is_word(script.get(at + name.len())) {
            return false;
        }
        let (head, tail) = script.split_at(at);
        let begin = memchr::memrchr(b'\n', head).map_or(0, |end| end + 1);
        let end = memchr::memchr(b'\n', tail).map_or(script.len(), |end| at + end);
        let line = script.get(begin..end).unwrap_or_default();
        !UNSETS
            .iter()
            .any(|unsets| memchr::memmem::find(line, unsets).is_some())
    })
}

/// What whatever a pattern matches begins with.
fn literal(pattern: &Pattern) -> &str {
    let text = pattern.as_str();
    let end = text.find(['*', '?', '[']).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_that_is_built_in_is_one() {
        let rules = Rules::parse("", "").unwrap();
        let rule = |path: &str| rules.of(Path::new(path));
        assert!(matches!(rule("/proc/self/maps"), Some(Rule::Ignore)));
        assert!(matches!(rule("/proc/123/fd/3"), Some(Rule::Process)));
        assert!(matches!(rule("/proc/123"), Some(Rule::Process)));
        assert!(matches!(rule("/proc/self"), Some(Rule::Ignore)));
        assert!(matches!(rule("/proc/cpuinfo"), Some(Rule::Without(_))));
        assert!(matches!(rule("/etc/ld.so.cache"), Some(Rule::Loader)));
        for counts in [
            "memory/a/b/memory.stat",
            "memory.current",
            "memory/x/memory.max_usage_in_bytes",
            "a/cgroup.procs",
        ] {
            let path = format!("/sys/fs/cgroup/{counts}");
            assert!(matches!(rule(&path), Some(Rule::Exists)), "{path}");
        }
        assert!(rule("/sys/fs/cgroup/a/memory.max").is_none());
        assert!(rule("/sys/fs/cgroup/memory/memory.limit_in_bytes").is_none());
        assert!(rule("/proc/version").is_none());
        assert!(rule("/usr/include/stdio.h").is_none());
        assert!(rules.ignores_variable(OsStr::new("SSH_TTY")));
        assert!(!rules.ignores_variable(OsStr::new("CFLAGS")));
    }

    #[test]
    fn scripts_that_compare_times_are_known() {
        for script in [
            "if test a -nt b; then",
            "x\ny; [ $1 -ot b ]",
            "find . -newer x",
            "ls -t",
            "x=`ls -Lt a b`",
            "ls -L -t a",
            "x=`ls -l a`",
            "x=`stat -c %Y a`; date -r x",
            "find . -mmin +3 -print",
        ] {
            assert!(compares_times(script.as_bytes()), "{script}");
        }
        for script in [
            "",
            "# test a -nt b",
            "set X `ls -Lt \"$srcdir/configure\" conftest.file 2> /dev/null`",
            "as_fn_error $? \"ls -t appears to fail.  Make sure there is not a broken",
            "# in mind that ls -t prints the *newest* file first.",
            "ls -d t; ls --time a; cc -ntx; false -t x; date -u",
            "case `TZ=UTC0 LC_ALL=C ls -l conftest.time 2>/dev/null` in",
        ] {
            assert!(!compares_times(script.as_bytes()), "{script}");
        }
    }

    #[test]
    fn what_a_script_names_counts() {
        let rules = Rules::parse("variable MINE ignore\n", "f").unwrap();
        let ignores = |name: &str, script: &str| {
            rules.ignores_variable_of(OsStr::new(name), script.as_bytes())
        };
        for script in [
            "",
            "MAILPATH=; E_MAIL=",
            "for as_var in BASH_ENV ENV MAIL MAILPATH CDPATH\ndo unset $as_var; done\n",
            "x\nif ( (MAIL=60; unset MAIL) || exit) >/dev/null 2>&1; then\n",
        ] {
            assert!(ignores("MAIL", script), "{script}");
        }
        for script in ["MAIL", "x=$MAIL\n", "y\nx=${MAIL-none}\n", "MAILPATH MAIL"] {
            assert!(!ignores("MAIL", script), "{script}");
        }
        assert!(ignores("MINE", "$MINE") && ignores("_", "$_"));
        assert!(!ignores("CFLAGS", ""));
    }

    #[test]
    fn only_lines_that_stay_count() {
        let rules = Rules::default();
        let Some(Rule::Without(lines)) = rules.of(Path::new("/proc/cpuinfo")) else {
            panic!("no rule");
        };
        let text = |mhz: &str, flags: &str| {
            format!("model name\t: X\ncpu MHz\t\t: {mhz}\nflags\t\t: {flags}\nbogomips\t: {mhz}\n")
        };
        let part = |mhz, flags| lines.rest(text(mhz, flags).as_bytes());
        assert_eq!(part("1.5", "a"), part("2", "a"));
        assert_ne!(part("1.5", "a"), part("1.5", "b"));
        let Some(Rule::Without(lines)) = rules.of(Path::new("/proc/loadavg")) else {
            panic!("no rule");
        };
        assert_eq!(lines.rest(b"0.1 0.2\n"), lines.rest(b"0.3 0.4\n"));
    }

    #[test]
    fn what_differs_by_itself_is_known() {
        let rules =
            Rules::parse("made doc/*.stamp ignore\nprinted without ^built at\n", "f").unwrap();
        for (made, differs) in [
            ("config.log", true),
            ("sub/config.log", true),
            ("stamp-h", true),
            ("doc/x.stamp", true),
            ("doc/sub/x.stamp", false),
            ("config.h", false),
        ] {
            assert_eq!(rules.differs_by_itself(Path::new(made)), differs, "{made}");
        }
        let printed = b"one\nbuilt at 12:00\nconfigure: autobuild timestamp... 1\ntwo";
        assert_eq!(rules.steady(printed), b"one\n\n\ntwo");
    }

    #[test]
    fn users_add_rules_and_are_told_of_bad_ones() {
        let rules = Rules::parse("path /etc/motd exists\nvariable MY_* ignore\n", "f").unwrap();
        assert!(matches!(
            rules.of(Path::new("/etc/motd")),
            Some(Rule::Exists)
        ));
        assert!(rules.ignores_variable(OsStr::new("MY_X")));
        assert_ne!(rules.sum(), Rules::default().sum());
        for line in [
            "path",
            "path /x",
            "path /x what",
            "path [ ignore",
            "path /x without (",
            "variable X exists",
            "made x exists",
            "printed without (",
            "printed x ignore",
        ] {
            let error = Rules::parse(&format!("# mine\n{line}\n"), "f").unwrap_err();
            assert!(error.to_string().starts_with("f:2: "), "{error}");
        }
    }
}
