//! Messages to the user: `einfo`, `elog`, `ewarn`, `eerror`, `eqawarn`, and what helpers remark.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::env::HelperEnv;

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Log,
    Warn,
    Error,
    Qa,
}

impl Level {
    /// What stands in front of a line in the log of messages.
    fn tag(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Log => "LOG",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Qa => "QA",
        }
    }

    fn color(self) -> &'static str {
        match self {
            Self::Info => "\x1b[32m",
            Self::Log => "\x1b[32;01m",
            Self::Warn => "\x1b[33;01m",
            Self::Error => "\x1b[31;01m",
            Self::Qa => "\x1b[33m",
        }
    }
}

/// Gives a message to the user, and to the log of messages that is kept in `T`.
pub(super) fn say(env: &HelperEnv, level: Level, text: &str) {
    say_bytes(env, level, text.as_bytes());
}

/// Gives a remark to the user unless they want it quiet.
pub(super) fn say_unless_quiet(env: &HelperEnv, text: &str) {
    if env.var("PORTAGE_QUIET").is_none_or(|quiet| quiet != "1") {
        env.print_error(format!("{text}\n").as_bytes());
    }
}

/// The external form of the output commands: the arguments are the message, with the escapes of
/// `echo -e` (PMS 11.3.3.5).
pub(super) fn run(env: &HelperEnv, level: Level, args: &[OsString]) {
    let text = args.join(std::ffi::OsStr::new(" "));
    say_bytes(env, level, &unescape(text.as_bytes()));
}

fn say_bytes(env: &HelperEnv, level: Level, text: &[u8]) {
    let (on, off) = if wants_color(env) {
        (level.color(), "\x1b[0m")
    } else {
        ("", "")
    };
    let mut shown = Vec::new();
    let mut logged = Vec::new();
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    for line in text.split(|b| *b == b'\n') {
        shown.extend([format!(" {on}*{off} ").as_bytes(), line, b"\n"].concat());
        logged.extend([level.tag().as_bytes(), b" ", line, b"\n"].concat());
    }
    env.print_error(&shown);
    if !text.is_empty() {
        log(env, &logged);
    }
}

/// A log that cannot be written must not stop a build.
fn log(env: &HelperEnv, lines: &[u8]) {
    let Some(temporary) = env.get("T").filter(|t| !t.is_empty()) else {
        return;
    };
    let phase = env.get("EBUILD_PHASE").filter(|p| !p.is_empty());
    let directory = PathBuf::from(temporary).join("logging");
    if !directory.is_dir() {
        return;
    }
    let path = directory.join(phase.unwrap_or_else(|| OsString::from("other")));
    let file = OpenOptions::new().append(true).create(true).open(path);
    let _ = file.and_then(|mut file| file.write_all(lines));
}

fn wants_color(env: &HelperEnv) -> bool {
    let set = |name: &str| env.get(name).filter(|v| !v.is_empty());
    set("NO_COLOR").is_none() && set("NOCOLOR").is_none_or(|v| v == "no" || v == "false")
}

/// Interprets the escapes bash's `echo -e` knows.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        at += 1;
        let escape = if byte == b'\\' {
            text.get(at).copied()
        } else {
            None
        };
        let Some(escape) = escape else {
            out.push(byte);
            continue;
        };
        at += 1;
        match escape {
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'c' => return out,
            b'e' | b'E' => out.push(27),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'\\' => out.push(b'\\'),
            b'0' => out.push(low_byte(number(text, &mut at, 8, 3).unwrap_or_default())),
            b'x' => match number(text, &mut at, 16, 2) {
                Some(value) => out.push(low_byte(value)),
                None => out.extend(b"\\x"),
            },
            b'u' | b'U' => {
                let digits = if escape == b'u' { 4 } else { 8 };
                match number(text, &mut at, 16, digits).map(char::from_u32) {
                    Some(Some(c)) => out.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
                    _ => out.extend([b'\\', escape]),
                }
            }
            other => out.extend([b'\\', other]),
        }
    }
    out
}

fn low_byte(value: u32) -> u8 {
    (value & 0xff) as u8
}

/// Reads up to `most` digits.
fn number(text: &[u8], at: &mut usize, radix: u32, most: usize) -> Option<u32> {
    let mut value = None;
    for _ in 0..most {
        let digit = text.get(*at).and_then(|b| char::from(*b).to_digit(radix));
        let Some(digit) = digit else { break };
        value = Some(value.unwrap_or(0) * radix + digit);
        *at += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::super::testing::Build;
    use super::*;
    use crate::claim::rows;

    #[test]
    fn messages_go_to_standard_error_and_the_log() {
        let _rows = rows(&[113, 114]);
        let build = Build::new("8");
        let logging = build.path("temp/logging");
        std::fs::create_dir(&logging).unwrap();
        let called = build.call(&["einfo", r"a\tb\nc", "d"]).ok();
        assert_eq!(
            (called.stdout.as_str(), called.stderr.as_str()),
            ("", " * a\tb\n * c d\n")
        );
        build.call(&["ewarn", "w"]).ok();
        build.call(&["elog"]).ok();
        for helper in ["eerror", "eqawarn"] {
            build.call(&[helper, "x"]).ok();
        }
        let log = std::fs::read_to_string(logging.join("install")).unwrap();
        assert_eq!(log, "INFO a\tb\nINFO c d\nWARN w\nERROR x\nQA x\n");
        build.var("NO_COLOR", "").call(&["einfo", "x"]).ok();
        assert_eq!(build.call(&["einfo", "x"]).stderr, " \x1b[32m*\x1b[0m x\n");
        assert_eq!(
            build.var("NOCOLOR", "true").call(&["einfo", "x"]).stderr,
            " * x\n"
        );
    }

    #[test]
    fn escapes_are_those_of_bash() {
        for text in [
            r"plain",
            r"a\tb\n",
            r"\a\b\e\E\f\r\v\\",
            r"\0101\060x\0",
            r"\x41\x4g\xzz",
            r"\u00e9\U1F600",
            r"a\cb",
            r"\q\",
            r"\1",
            r"\'",
            r"\uzz",
        ] {
            let script = r#"LC_ALL=C.UTF-8 echo -en "$1""#;
            let bash = std::process::Command::new("bash")
                .args(["-c", script, "bash", text])
                .env("LC_ALL", "C.UTF-8")
                .output()
                .unwrap();
            assert_eq!(unescape(text.as_bytes()), bash.stdout, "{text}");
        }
    }
}
