//! Running gpg: its input, its output, and what it says.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::CommandError;

/// More output than this is no signature and no Manifest, in bytes.
const LARGEST_OUTPUT: u64 = 4 << 20;

/// What came of a run.
pub(super) struct Outcome {
    pub(super) success: bool,
    pub(super) output: Vec<u8>,
    pub(super) messages: String,
}

/// Splits the value of a setting as a shell does, with `${NAME}` and `$NAME` replaced, and leaves empty words out.
pub(super) fn words(
    setting: &'static str,
    command: &str,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, CommandError> {
    let expanded = expand(command, value);
    let words: Vec<String> = shell_words::split(&expanded)
        .unwrap_or_default()
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        return Err(CommandError::Words {
            setting,
            command: command.to_owned(),
        });
    }
    Ok(words)
}

fn expand(text: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, after) = match behind
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        {
            Some(parts) => parts,
            None => {
                let end = behind
                    .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
                    .unwrap_or(behind.len());
                behind.split_at(end)
            }
        };
        if name.is_empty() {
            expanded.push('$');
        } else {
            expanded.push_str(&value(name).unwrap_or_default());
        }
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}

/// Runs a command with `input`, as another user where one is given.
pub(super) fn run(
    words: &[String],
    input: &mut (dyn Read + Send),
    user: (Option<u32>, Option<u32>),
) -> Result<Outcome, CommandError> {
    let (program, arguments) = words
        .split_first()
        .ok_or(CommandError::Unset("the command"))?;
    let fail = |source| CommandError::Run {
        program: program.clone(),
        source,
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(gid) = user.1 {
        command.gid(gid);
    }
    if let Some(uid) = user.0 {
        command.uid(uid).current_dir("/");
    }
    let mut child = command.spawn().map_err(fail)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (fed, output, messages) = std::thread::scope(|scope| {
        let feeding = scope.spawn(move || feed(stdin, input));
        let messages = scope.spawn(move || collect(stderr));
        let output = collect(stdout);
        (feeding.join(), output, messages.join())
    });
    let status = child.wait().map_err(fail)?;
    let lost = || io::Error::other("a thread ended early");
    fed.map_err(|_| fail(lost()))?.map_err(fail)?;
    let messages = messages.map_err(|_| fail(lost()))?.map_err(fail)?;
    Ok(Outcome {
        success: status.success(),
        output: output.map_err(fail)?,
        messages: String::from_utf8_lossy(&messages).into_owned(),
    })
}

/// Gives the input; a program that has seen enough is no error.
fn feed(output: Option<impl Write>, input: &mut (dyn Read + Send)) -> io::Result<()> {
    let Some(mut output) = output else {
        return Ok(());
    };
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match output.write_all(buffer.get(..count).unwrap_or_default()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            done => done?,
        }
    }
}

fn collect(input: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut input) = input {
        (&mut input).take(LARGEST_OUTPUT).read_to_end(&mut bytes)?;
        io::copy(&mut input, &mut io::sink())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_split_and_expanded() {
        let value = |name: &str| (name == "KEY").then(|| "a b".to_owned());
        let all = words("S", "gpg --x '${KEY}' $KEY $NONE \"$\"", &value).unwrap();
        assert_eq!(all, ["gpg", "--x", "a b", "a", "b", "$"]);
        assert!(words("S", "gpg 'x", &value).is_err());
        assert!(words("S", " ", &value).is_err());
    }

    #[test]
    fn a_program_that_does_not_read_is_no_deadlock() {
        let much = vec![0_u8; 1 << 20];
        let words = ["sh", "-c", "exec <&-; head -c 300000 /dev/zero; exit 3"].map(str::to_owned);
        let outcome = run(&words, &mut &much[..], (None, None)).unwrap();
        assert_eq!((outcome.success, outcome.output.len()), (false, 300_000));
    }
}
