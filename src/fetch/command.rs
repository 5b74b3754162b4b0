//! Programs that fetch: for protocols that are not spoken here, and where the user has set one.
//!
//! They are what Portage calls `FETCHCOMMAND` and `RESUMECOMMAND`: words as a shell would have them, in which
//! `${URI}`, `${DISTDIR}` and `${FILE}` stand for the address, the folder and the name that the file is to have
//! there, and `${DIGESTS}` for the checksums that it is to have, which are one word only within quotes. What they leave is verified like everything else, whatever their exit status.

use std::collections::HashMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, BufReader};

use crate::fetch::error::SourceError;
use crate::fetch::identity::{FetchUser, run_as};
use crate::fetch::options::FetchOptions;
use crate::fetch::plan::without_password;

/// How much of what a program says is read, and how much of its end is shown.
const SAID_LIMIT: usize = 64 << 10;
const SHOWN_LIMIT: usize = 300;

/// How long to wait for the end of what it says when it has ended itself.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What fetches from protocols of which neither this program nor the user says anything.
const USUAL: &[(&str, &str)] = &[
    (
        "ftp",
        r#"wget -nv -T 60 -t 3 -O "${DISTDIR}/${FILE}" "${URI}""#,
    ),
    (
        "rsync",
        r#"rsync --copy-links --times --inplace "${URI}" "${DISTDIR}/${FILE}""#,
    ),
    (
        "sftp",
        r#"sftp -q -b /dev/null "${URI}" "${DISTDIR}/${FILE}""#,
    ),
    (
        "ssh",
        r#"sh -c 'rest=${1#ssh://}; exec scp -qB "scp://${rest%%/*}//${rest#*/}" "$2"' scp "${URI}" "${DISTDIR}/${FILE}""#,
    ),
];

/// The programs that the user has set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchCommands {
    /// For all protocols: `FETCHCOMMAND`, `RESUMECOMMAND`.
    general: Commands,
    /// For some: `FETCHCOMMAND_HTTPS` and so on, by the protocol in lower case.
    special: HashMap<String, Commands>,
    /// What may stand in them besides, such as `PORTAGE_SSH_OPTS`.
    variables: HashMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Commands {
    fetch: Option<String>,
    resume: Option<String>,
}

/// A program with its arguments, in which nothing is replaced yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FetchCommand {
    /// The variable that has it.
    name: String,
    text: String,
    words: Vec<String>,
    variables: HashMap<String, String>,
}

impl FetchCommands {
    /// Those that are among all variables of the configuration.
    pub fn from_variables<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut commands = Self::default();
        for (name, value) in variables {
            let (base, protocol) = match name.split_once('_') {
                Some((base, protocol)) => (base, Some(protocol)),
                None => (name, None),
            };
            let resumes = match base {
                "FETCHCOMMAND" => false,
                "RESUMECOMMAND" => true,
                _ => {
                    if name == "PORTAGE_SSH_OPTS" {
                        commands.variables.insert(name.to_owned(), value.to_owned());
                    }
                    continue;
                }
            };
            if value.trim().is_empty() {
                continue;
            }
            let place = match protocol {
                Some(protocol) => commands
                    .special
                    .entry(protocol.to_ascii_lowercase())
                    .or_default(),
                None => &mut commands.general,
            };
            if resumes {
                place.resume = Some(value.to_owned());
            } else {
                place.fetch = Some(value.to_owned());
            }
        }
        commands
    }

    /// The program for a protocol, to go on with what is there if `resume`; `None` if this program fetches by
    /// itself.
    ///
    /// # Errors
    /// Nobody speaks that protocol, or its words are no shell words.
    pub(super) fn of(
        &self,
        protocol: &str,
        resume: bool,
    ) -> Result<Option<FetchCommand>, SourceError> {
        let special = self.special.get(protocol);
        let own = matches!(protocol, "http" | "https");
        let mut found = None;
        for (commands, suffix) in [
            (special, format!("_{}", protocol.to_ascii_uppercase())),
            (Some(&self.general), String::new()),
        ] {
            let Some(commands) = commands else { continue };
            // Without one to resume with, the other starts over.
            let resuming = commands.resume.as_ref().filter(|_| resume);
            let (text, base) = match (resuming, &commands.fetch) {
                (Some(text), _) => (text, "RESUMECOMMAND"),
                (None, Some(text)) => (text, "FETCHCOMMAND"),
                (None, None) => continue,
            };
            found = Some((text.as_str(), format!("{base}{suffix}")));
            break;
        }
        let usual = || {
            let (_, text) = USUAL.iter().find(|(name, _)| *name == protocol)?;
            let program = text.split(' ').next().unwrap_or_default();
            Some((*text, program.to_owned()))
        };
        let Some((text, name)) = found.or_else(|| if own { None } else { usual() }) else {
            return if own {
                Ok(None)
            } else {
                Err(SourceError::Protocol {
                    protocol: protocol.to_owned(),
                })
            };
        };
        let words = split(&name, text)?;
        Ok(Some(FetchCommand {
            name,
            text: text.to_owned(),
            words,
            variables: self.variables.clone(),
        }))
    }

    /// Whether there is a program for that protocol, rather than this program itself.
    pub(super) fn has(&self, protocol: &str) -> bool {
        !matches!(self.of(protocol, false), Ok(None))
    }
}

impl FetchCommand {
    /// The same with the checksums of a file, as [`Expected::digests`] gives them.
    ///
    /// # Errors
    /// Its words are no shell words then.
    pub(super) fn with_digests(mut self, digests: &str) -> Result<Self, SourceError> {
        // They may be several words, unlike everything else.
        let text = replace(&self.text, &|name| match name {
            "DIGESTS" => digests.to_owned(),
            other => format!("${{{other}}}"),
        });
        self.words = split(&self.name, &text)?;
        Ok(self)
    }

    /// Runs it to its end: the file at `uri` goes to `file` in `directory`. It is ended, with all that it has
    /// started, when the future is dropped.
    ///
    /// # Errors
    /// It could not be run, or has said with its exit status that it failed.
    pub(super) async fn run(
        &self,
        uri: &str,
        directory: &Path,
        file: &str,
        user: Option<FetchUser>,
    ) -> Result<(), SourceError> {
        let value = |name: &str| match name {
            "URI" => uri.to_owned(),
            "DISTDIR" => directory.display().to_string(),
            "FILE" => file.to_owned(),
            other => self.variables.get(other).cloned().unwrap_or_default(),
        };
        let mut words = self.words.iter().map(|word| replace(word, &value));
        let program = words.next().unwrap_or_default();
        let failed = |source| SourceError::CommandStart {
            name: self.name.clone(),
            program: program.clone(),
            source,
        };
        let mut command = std::process::Command::new(&program);
        command
            .args(words)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        run_as(&mut command, user);
        let mut command = tokio::process::Command::from(command);
        let mut child = command.kill_on_drop(true).spawn().map_err(failed)?;
        let group = Group(child.id());
        let said = tokio::spawn(tail(child.stderr.take()));
        let status = child.wait().await.map_err(failed)?;
        drop(group);
        // Something that it has left behind may still have its standard error.
        let said = tokio::time::timeout(LAST_WORDS, said).await;
        if status.success() {
            return Ok(());
        }
        Err(SourceError::Command {
            name: self.name.clone(),
            status,
            said: without_password(&said.ok().and_then(Result::ok).unwrap_or_default()),
        })
    }
}

/// The words of what a variable has.
fn split(name: &str, text: &str) -> Result<Vec<String>, SourceError> {
    shell_words::split(text).map_err(|source| SourceError::CommandWords {
        name: name.to_owned(),
        source,
    })
}

/// The processes that a program has started, which end with it.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// The last line that a program has said.
async fn tail(stderr: Option<tokio::process::ChildStderr>) -> String {
    let Some(stderr) = stderr else {
        return String::new();
    };
    let mut reader = BufReader::new(stderr);
    let mut kept = Vec::new();
    let mut block = [0; 4096];
    while let Ok(count) = reader.read(&mut block).await {
        if count == 0 {
            break;
        }
        kept.extend_from_slice(block.get(..count).unwrap_or_default());
        if kept.len() > SAID_LIMIT {
            kept.drain(..kept.len() - SAID_LIMIT / 2);
        }
    }
    let text = String::from_utf8_lossy(&kept);
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    line.chars()
        .filter(|letter| !letter.is_control())
        .take(SHOWN_LIMIT)
        .collect()
}

/// The word with `$NAME` and `${NAME}` replaced, once: what is put in is not looked at again.
fn replace(word: &str, value: &dyn Fn(&str) -> String) -> String {
    let mut text = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        let braced = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
            .filter(|(name, _)| is_name(name));
        if let Some((name, behind)) = braced {
            text.push_str(&value(name));
            rest = behind;
            continue;
        }
        let end = after
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
            .unwrap_or(after.len());
        match after
            .split_at_checked(end)
            .filter(|(name, _)| is_name(name))
        {
            Some((name, behind)) => {
                text.push_str(&value(name));
                rest = behind;
            }
            None => {
                text.push('$');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Has a program fetch something that is no distfile to `name` in a folder of its own, and gives folder and file. None
/// if the program failed, which may mean that there is no such file, or left something else.
///
/// # Errors
/// There is no program for the protocol, or it cannot be run; there is no place for the folder.
pub(super) async fn fetched(
    options: &FetchOptions,
    protocol: &str,
    uri: &str,
    name: &str,
) -> Result<Option<(TempDir, PathBuf)>, SourceError> {
    let Some(command) = options.commands.of(protocol, false)? else {
        return Err(SourceError::Protocol {
            protocol: protocol.to_owned(),
        });
    };
    let folder = tempfile::tempdir().map_err(|source| SourceError::File {
        path: std::env::temp_dir(),
        source,
    })?;
    if let Some(user) = options.user {
        let _ = std::os::unix::fs::chown(folder.path(), Some(user.uid), Some(user.gid));
    }
    match command.run(uri, folder.path(), name, options.user).await {
        Ok(()) | Err(SourceError::Command { .. }) => {}
        Err(error) => return Err(error),
    }
    let path = folder.path().join(name);
    let metadata = tokio::fs::symlink_metadata(&path).await;
    Ok(metadata
        .is_ok_and(|it| it.is_file())
        .then_some((folder, path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> FetchCommands {
        FetchCommands::from_variables([
            ("FETCHCOMMAND", "general ${URI}"),
            ("RESUMECOMMAND", ""),
            ("FETCHCOMMAND_SFTP", "special '${FILE}'"),
            ("RESUMECOMMAND_SFTP", "again"),
            ("FETCHCOMMANDS", "no"),
            ("PATH", "/bin"),
        ])
    }

    fn words(commands: &FetchCommands, protocol: &str, resume: bool) -> Option<Vec<String>> {
        let found = commands.of(protocol, resume).unwrap();
        found.map(|command| command.words)
    }

    #[test]
    fn the_most_special_one_is_taken() {
        let set = commands();
        assert_eq!(words(&set, "sftp", false).unwrap(), ["special", "${FILE}"]);
        assert_eq!(words(&set, "sftp", true).unwrap(), ["again"]);
        assert_eq!(words(&set, "https", true).unwrap(), ["general", "${URI}"]);
        assert!(set.has("http"));
    }

    #[test]
    fn without_any_there_are_the_usual_ones() {
        let none = FetchCommands::default();
        assert_eq!(words(&none, "https", false), None);
        assert!(!none.has("http"));
        assert_eq!(words(&none, "rsync", true).unwrap()[0], "rsync");
        assert!(matches!(
            none.of("gopher", false),
            Err(SourceError::Protocol { protocol }) if protocol == "gopher"
        ));
        let broken = FetchCommands::from_variables([("FETCHCOMMAND", "a 'b")]);
        let error = broken.of("http", false).unwrap_err();
        assert_eq!(error.to_string(), "FETCHCOMMAND cannot be taken apart");
    }

    #[test]
    fn checksums_are_several_words_unless_they_are_quoted() {
        let commands = FetchCommands::from_variables([(
            "FETCHCOMMAND",
            r#"get ${DIGESTS} "$DIGESTS" --all="${DIGESTS}" '${FILE}' $2"#,
        )]);
        let command = commands.of("http", false).unwrap().unwrap();
        let words = command.clone().with_digests("md5:0 sha1:1").unwrap().words;
        assert_eq!(
            words,
            [
                "get",
                "md5:0",
                "sha1:1",
                "md5:0 sha1:1",
                "--all=md5:0 sha1:1",
                "${FILE}",
                "$2"
            ]
        );
        let words = command.with_digests("").unwrap().words;
        assert_eq!(words, ["get", "", "--all=", "${FILE}", "$2"]);
    }

    #[test]
    fn names_are_replaced_once() {
        let value = |name: &str| format!("<{name}$URI>");
        let replaced = |word: &str| replace(word, &value);
        assert_eq!(replaced("${URI}"), "<URI$URI>");
        assert_eq!(replaced("a$FILE/b"), "a<FILE$URI>/b");
        for word in [
            "${1#ssh://}",
            "$2",
            "$",
            "100$",
            "${rest%%/*}",
            "${}",
            "${A",
        ] {
            assert_eq!(replaced(word), word);
        }
    }
}
