//! Telling texts that could see whether functions are kept as text.
//!
//! It goes by words, as bash has no way to ask, and rather says too much: what is sourced whole for no
//! reason costs time and nothing else.

/// What a text reads about the shell's own state that a stub would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Introspection {
    /// Nothing, or its own name.
    None,
    /// Who called it, or the statuses of the pipeline before it: it may have no stub itself.
    Caller,
    /// Files, depths, callers of callers, the text of functions, what every command or function
    /// sets off: nothing in its eclass may have one.
    Whole,
}

impl Introspection {
    /// The most that a text reads; comments aside.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut most = Self::None;
        for line in text.split(|&byte| byte == b'\n') {
            if line.trim_ascii_start().first() == Some(&b'#') {
                continue;
            }
            most = most.max(Self::of_line(line));
            if most == Self::Whole {
                return most;
            }
        }
        most
    }

    fn of_line(line: &[u8]) -> Self {
        let whole: [&[u8]; 10] = [
            b"BASH_SOURCE",
            b"BASH_LINENO",
            b"BASH_ARGV",
            b"#FUNCNAME",
            b"FUNCNEST",
            b"extdebug",
            b"errexit",
            b"expand_aliases",
            b"POSIXLY_CORRECT",
            b"compgen",
        ];
        if whole.iter().any(|name| has(line, name)) || has(line, b"-o posix") {
            return Self::Whole;
        }
        // What only the reader of an error sees does not count.
        let told = [&b"debug-print"[..], b"die ", b"eerror ", b"ewarn "];
        let told = told.iter().any(|command| has(line, command));
        let words: Vec<&[u8]> = line
            .split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
            .collect();
        let word = |wanted: &[&[u8]]| words.iter().any(|word| wanted.contains(word));
        if !told && word(&[b"LINENO", b"caller"]) {
            return Self::Whole;
        }
        let signal = |word: &&[u8]| {
            [&b"RETURN"[..], b"DEBUG", b"ERR"]
                .iter()
                .any(|signal| word.eq_ignore_ascii_case(signal))
        };
        if word(&[b"trap"]) && words.iter().any(signal) {
            return Self::Whole;
        }
        if sets_errexit(line) || shows_functions(line) || reads_eclass(line) {
            return Self::Whole;
        }
        let mut most = Self::None;
        // The status of the pipeline, or the last word, before the call.
        if has(line, b"PIPESTATUS") || has(line, b"${_}") || word(&[b"_"]) && has(line, b"$_") {
            most = Self::Caller;
        }
        let name = b"FUNCNAME[";
        let places = line
            .windows(name.len())
            .enumerate()
            .filter(|(_, window)| window == name);
        for (at, _) in places {
            let rest = line.get(at + name.len()..).unwrap_or_default();
            let all = rest.starts_with(b"@]}") && has(line, b"has ");
            most = most.max(if rest.starts_with(b"0]") {
                Self::None
            } else if all || rest.starts_with(b"1]") && (told || !word(&[b"source"])) {
                Self::Caller
            } else {
                Self::Whole
            });
        }
        most
    }
}

/// The words of a line, roughly as the shell has them.
fn shell_words(line: &[u8]) -> Vec<&[u8]> {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b";&|(){}\"'`".contains(byte);
    line.split(ends).collect()
}

/// Whether a line has `set -e`, however it is written.
fn sets_errexit(line: &[u8]) -> bool {
    let words = shell_words(line);
    words.iter().enumerate().any(|(at, word)| {
        let rest = words.get(at + 1..).unwrap_or_default();
        let mut options = rest.iter().take(4).take_while(|word| **word != b"--");
        *word == b"set" && options.any(|word| word.starts_with(b"-") && word.contains(&b'e'))
    })
}

/// Whether a line prints functions, and not to nobody.
fn shows_functions(line: &[u8]) -> bool {
    let nobody = [
        &b"&>/dev/null"[..],
        b"&> /dev/null",
        b" >/dev/null",
        b" > /dev/null",
    ];
    if nobody.iter().any(|place| has(line, place)) {
        return false;
    }
    let words = shell_words(line);
    let declares = words.windows(2).any(|pair| {
        matches!(pair, [b"declare" | b"typeset", option]
            if option.starts_with(b"-") && option.contains(&b'f'))
    });
    let place = [&b"$(type -t"[..], b"$(type -p", b"$(type -P"];
    let types = has(line, b"$(type ") && !place.iter().any(|start| has(line, start));
    declares || types
}

/// Whether a line seems to read the text of an eclass.
fn reads_eclass(line: &[u8]) -> bool {
    let at = line.iter().position(|&byte| byte == b'<');
    at.is_some_and(|at| {
        let rest = line.get(at..).unwrap_or_default();
        !rest.starts_with(b"<<") && has(rest, b"eclass")
    })
}

/// Whether a text has that part.
pub(super) fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
