//! What a shell says and is told.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use super::super::outline::is_name;
use super::starting::Named;

/// How long a message may be, in fields and bytes.
const FIELDS: usize = 10_000;
const BYTES: usize = 16 << 20;

/// A path between single quotes; none if that cannot be.
pub(super) fn quoted(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    (!text.contains('\'')).then(|| format!("'{text}'"))
}

/// The text by which a script is started that another has started: it asks what to evaluate.
pub(super) fn within_text(folder: &Path) -> Option<String> {
    asking_text(folder, "5 within")
}

/// The text by which the script of this number is started once more, in another shell.
pub(super) fn again_text(folder: &Path, number: usize) -> Option<String> {
    asking_text(folder, &format!("6 again {number}"))
}

/// The text that asks what to evaluate, telling which script it is, where the shell is, and which process.
fn asking_text(folder: &Path, message: &str) -> Option<String> {
    let at = |name: &str| quoted(&folder.join(name));
    let (up, down) = (at("up")?, at("down")?);
    Some(format!(
        r#"printf '%s\000' {message} "$PWD" "$$" "${{OLDPWD-/}}" "$0" >{up}
IFS= read -r __ebd_start <{down}
case $__ebd_start in
  /*) if test -f "$__ebd_start"; then . "$__ebd_start"; else . "$0"; fi ;;
  *) . "$0" ;;
esac
"#
    ))
}

/// What goes to another folder and keeps what shells say of where they were before.
fn goes_to(folder: &str) -> String {
    format!(
        r#"__ebd_old=${{OLDPWD+y$OLDPWD}}
command cd {folder} || exit 1
case $__ebd_old in
  y*) OLDPWD=${{__ebd_old#y}} ;;
  *) unset OLDPWD; case ${{BASH_VERSION-}} in ?*) export OLDPWD ;; esac ;;
esac
unset __ebd_old
"#
    )
}

/// The text with which a script begins that a shell reads under its own name: it goes to where it is to run.
pub(super) fn back_text(place: &str, begin: &str) -> String {
    format!("{}. {begin}\n", goes_to(place))
}

/// The text with which a shell, instead of sourcing a script, becomes one that reads it under its own name, if it is
/// where that leads there. `shell` are the words that the shell was started with.
pub(super) fn under_text(named: &Named, from: &Path, start: &Path, shell: &str) -> Option<String> {
    let (name, place) = (&named.name, &named.place);
    let (go, start) = (goes_to(&quoted(from)?), quoted(start)?);
    Some(format!(
        r#"case $0:$PWD in
  {name}:{place}) {go}exec {shell} "$0" ${{1+"$@"}} ;;
esac
. {start}
"#
    ))
}

/// The text that defines the functions of the script of this number. `sources_unseen` says whether the script may source
/// files without telling.
pub(super) fn begin_text(folder: &Path, number: usize, sources_unseen: bool) -> Option<String> {
    let at = |name: &str| quoted(&folder.join(name));
    let (up, down) = (at("up")?, at("down")?);
    let at = |name: &str| at(&format!("{name}-{number}"));
    let answer = at("answer")?;
    let (exports, names) = (at("exports")?, at("names")?);
    let (functions, functions_before) = (at("functions")?, at("functions-before")?);
    // Where that cannot be seen it is told before each check.
    let forget = match sources_unseen {
        true => ":",
        false => "unset __ebd_sourced",
    };
    let sourced = match sources_unseen {
        true => "__ebd_sourced=",
        false => "unset __ebd_sourced",
    };
    let (out, err) = (at("out")?, at("err")?);
    // All on few lines, and no command but those that are built into shells. Where bash lists all variables it
    // takes a time that grows with the square of their number, so it is asked for those that are exported only.
    Some(format!(
        r#"__ebd_in=
__ebd_hit=
__ebd_held=
case ${{BASH_ENV+y}} in y) __ebd_sourced= ;; *) {sourced} ;; esac
case ${{BASH_VERSION-}} in
  [4-9]*) __ebd_exports () {{ compgen -e >{names} && mapfile -t __ebd_names <{names} && {{ declare -p "${{__ebd_names[@]}}" && umask; }} >{exports} || {{ export -p; umask; }} >{exports}; }} ;;
  *) __ebd_exports () {{ {{ export -p; umask; }} >{exports}; }} ;;
esac
__ebd_ask () {{
  __ebd_hit=
  case $__ebd_in in ?*) __ebd_in="n $__ebd_in"; return 1 ;; esac
  case ${{__ebd_sourced+y}} in y) __ebd_functions || return 1 ;; esac
  __ebd_exports
  printf '%s\000' "$(($#+5))" ask {number} "$PWD" "$-:${{SHELLOPTS-}}:${{BASHOPTS-}}" "${{IFS+y$IFS}}" "$@" >{up}
  IFS= read -r __ebd_answer <{down}
  case $__ebd_answer in
    "hit {number}") . {answer}; __ebd_hit=y; return 0 ;;
    "learn {number}") __ebd_in=$1 ;;
  esac
  return 1
}}
__ebd_tell () {{
  case $__ebd_in in
    "n "*) __ebd_in=${{__ebd_in#n }} ;;
    "$1") __ebd_in=
       printf '%s\000' "$(($#+2))" tell {number} "$@" >{up}
       IFS= read -r __ebd_answer <{down} ;;
  esac
  return "$__ebd_was"
}}
__ebd_hold () {{
  case $__ebd_in in "$1") __ebd_held=$1 ;; *) return 1 ;; esac
  shift
  for __ebd_name
  do eval "__ebd_left_$__ebd_name=\${{$__ebd_name+y}}\${{$__ebd_name-}}; unset $__ebd_name"; done
  return 1
}}
__ebd_back () {{
  case $__ebd_held in "$1") __ebd_held= ;; *) return "$__ebd_was" ;; esac
  shift
  for __ebd_name
  do eval "case \${{$__ebd_name+y}} in y) ;; *) case \$__ebd_left_$__ebd_name in y*) $__ebd_name=\${{__ebd_left_$__ebd_name#y}} ;; esac ;; esac"; done
  return "$__ebd_was"
}}
case ${{BASH_VERSION-}} in
  [4-9]*)
    __ebd_functions_before () {{ {{ declare -F; declare -f; }} >{functions_before}; }}
    __ebd_functions () {{ {{ declare -F; declare -f; }} >{functions} && {forget}; }} ;;
  *)
    __ebd_functions_before () {{ :; }}
    __ebd_functions () {{ return 1; }} ;;
esac
__ebd_run () {{
  __ebd_exports
  printf '%s\000' "$(($#+3))" run {number} "$PWD" "$@" >{up}
  IFS= read -r __ebd_answer <{down}
  case $__ebd_answer in
    "hit {number}") . {answer}; return $? ;;
    "learn {number}") "$@" >{out} 2>{err} && __ebd_status=0 || __ebd_status=$?
       printf '%s\000' 3 ran {number} "$__ebd_status" >{up}
       IFS= read -r __ebd_answer <{down}
       if test -s {out}; then cat {out}; fi
       if test -s {err}; then cat {err} >&2; fi
       return "$__ebd_status" ;;
  esac
  "$@"
}}
printf '%s\000' 4 shell {number} "$$" "${{BASH_VERSION-}}${{ZSH_VERSION-}}${{KSH_VERSION-}}" >{up}
"#
    ))
}

/// What a shell's programs get from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inherited {
    /// The variables that are exported, with their values as the shell quotes them.
    pub(super) variables: BTreeMap<String, Vec<u8>>,
    /// What `umask` printed.
    pub(super) umask: Vec<u8>,
}

/// What `export -p` and `umask` printed.
pub(super) fn inherited(text: &[u8]) -> Option<Inherited> {
    let mut all = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(umask) = rest.strip_suffix(b"\n").filter(|rest| is_mask(rest)) {
            return Some(Inherited {
                variables: all,
                umask: umask.to_vec(),
            });
        }
        rest = match rest.strip_prefix(b"export ") {
            Some(rest) => rest,
            None => {
                let rest = rest.strip_prefix(b"declare -")?;
                let end = rest.iter().position(|byte| *byte == b' ')?;
                rest.get(end + 1..)?
            }
        };
        let end = rest.iter().position(|byte| matches!(byte, b'=' | b'\n'))?;
        if rest.get(end) == Some(&b'\n') {
            // Exported, but not set.
            let name = String::from_utf8(rest.get(..end)?.to_vec()).ok()?;
            all.insert(name, Vec::new());
            rest = rest.get(end + 1..)?;
            continue;
        }
        let (name, value, more) = assignment(rest)?;
        all.insert(name, value);
        rest = more;
    }
    // Something is missing.
    None
}

fn is_mask(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// The assignment at the begin of what a shell printed, and what is behind its line.
fn assignment(rest: &[u8]) -> Option<(String, Vec<u8>, &[u8])> {
    let equals = rest.iter().position(|byte| *byte == b'=')?;
    let name = std::str::from_utf8(rest.get(..equals)?).ok()?;
    if !is_name(name.as_bytes()) {
        return None;
    }
    let value = rest.get(equals + 1..)?;
    let mut at = 0;
    loop {
        match value.get(at)? {
            b'\n' => break,
            b'\\' => at += 2,
            b'$' if value.get(at + 1) == Some(&b'\'') => {
                at += 2;
                while *value.get(at)? != b'\'' {
                    at += 1 + usize::from(value.get(at) == Some(&b'\\'));
                }
                at += 1;
            }
            b'\'' => {
                at += 1
                    + value
                        .get(at + 1..)?
                        .iter()
                        .position(|byte| *byte == b'\'')?
                    + 1;
            }
            b'"' => {
                at += 1;
                while *value.get(at)? != b'"' {
                    at += 1 + usize::from(value.get(at) == Some(&b'\\'));
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    Some((
        name.to_owned(),
        value.get(..at)?.to_vec(),
        value.get(at + 1..)?,
    ))
}

/// Takes messages out of what comes.
#[derive(Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
}

impl Messages {
    /// The next message; none if what comes is none.
    pub(super) fn next(&mut self, from: &mut impl Read) -> Option<Vec<Vec<u8>>> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.taken() {
                Some(Ok(fields)) => return Some(fields),
                Some(Err(())) => return None,
                None => {}
            }
            match from.read(&mut buffer) {
                Ok(0) => return None,
                Ok(read) => self.bytes.extend_from_slice(buffer.get(..read)?),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    /// A message, if it is there whole; an error if there is none to come.
    fn taken(&mut self) -> Option<Result<Vec<Vec<u8>>, ()>> {
        if self.bytes.len() > BYTES {
            return Some(Err(()));
        }
        let mut fields = self.bytes.split_inclusive(|byte| *byte == 0);
        let count = fields.next()?.strip_suffix(b"\0")?;
        let count = std::str::from_utf8(count)
            .ok()
            .and_then(|text| text.parse::<usize>().ok());
        let Some(count) = count.filter(|count| *count <= FIELDS) else {
            return Some(Err(()));
        };
        let mut all = Vec::with_capacity(count);
        let mut length = 0;
        for _ in 0..count {
            all.push(fields.next()?.strip_suffix(b"\0")?.to_vec());
        }
        for field in &all {
            length += field.len() + 1;
        }
        length += self.bytes.iter().position(|byte| *byte == 0)? + 1;
        self.bytes.drain(..length);
        Some(Ok(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_or_not_at_all() {
        let bytes = b"2\0ask\0x\ny\x001\0tell\0zz\0";
        for step in 1..bytes.len() {
            let mut messages = Messages::default();
            let mut got = Vec::new();
            let mut reader = bytes.chunks(step).fold(Vec::new(), |mut all, chunk| {
                all.extend_from_slice(chunk);
                all
            });
            reader.truncate(bytes.len());
            let mut reader = reader.as_slice();
            while let Some(fields) = messages.next(&mut reader) {
                got.push(fields);
            }
            assert_eq!(
                got,
                [
                    vec![b"ask".to_vec(), b"x\ny".to_vec()],
                    vec![b"tell".to_vec()]
                ]
            );
        }
        let mut messages = Messages::default();
        assert_eq!(messages.next(&mut &b"99999999\0"[..]), None);
    }

    #[test]
    fn what_is_exported_is_told_by_all_shells() {
        let text = b"export A='x y'\ndeclare -x B=\"z\nz\"\nexport C\ndeclare -rx D=\"\"\ndeclare -ix E=\"1\"\n0022\n";
        let Inherited {
            variables: all,
            umask,
        } = inherited(text).unwrap();
        assert_eq!(umask, b"0022");
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        assert_eq!(names, ["A", "B", "C", "D", "E"]);
        assert_eq!(all["B"], b"\"z\nz\"");
        for text in [
            "A=1\n0022\n",
            "declare -x",
            "export ",
            "declare A=1\n0022\n",
            "declare -x A=1\n",
            "declare -x A=1\n0022\nx",
            "",
        ] {
            assert_eq!(inherited(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn values_are_told_apart() {
        let text = b"export A='x'\"'\"'\nexport y=z'\nexport B=\nexport C=$'a\\'b\\n'\nexport D=plain\\ text\nexport E=\"q\\\"\n\"\n0022\n";
        let all = inherited(text).unwrap().variables;
        let told: Vec<(&str, &str)> = all
            .iter()
            .map(|(name, value)| (name.as_str(), std::str::from_utf8(value).unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                ("A", "'x'\"'\"'\nexport y=z'"),
                ("B", ""),
                ("C", "$'a\\'b\\n'"),
                ("D", "plain\\ text"),
                ("E", "\"q\\\"\n\""),
            ]
        );
        for text in ["export A='", "export A=\"", "export A=\\"] {
            let text = format!("{text}\n0022\n");
            assert_eq!(inherited(text.as_bytes()), None, "{text:?}");
        }
    }
}
