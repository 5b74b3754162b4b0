//! The messages between supervisor and bash: counted bytes one way, a verb and NUL-terminated
//! fields the other.
//!
//! [`VERBS`] is the one definition of what bash may say; the table that bash checks itself
//! against is generated from it.

use std::fmt::Write as _;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The most bytes that one field of a message may have.
pub const FIELD_LIMIT: usize = 8 * 1024;

/// What bash may say: each verb with its number of fields.
pub const VERBS: &[(&str, usize)] = &[
    ("ready", 2),
    ("exited", 1),
    ("hello", 1),
    ("ready-for-phases", 0),
    ("phase-done", 1),
    ("saved", 1),
    ("died", 6),
    ("helper-failed", 1),
    ("elog", 3),
    ("ask", 3),
];

/// One message from bash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A processor has loaded the library: its pid and bash's version (`5.2`).
    Ready {
        /// The processor's pid.
        pid: i32,
        /// Major and minor version of bash, with a dot between.
        version: String,
    },
    /// A job's fork has ended with this status (128 + signal if it was killed).
    Exited(i32),
    /// A build's fork has begun; its pid.
    Hello(i32),
    /// A build's fork has its environment and waits for commands.
    ReadyForPhases,
    /// The named phase function came to its end.
    PhaseDone(String),
    /// The environment was written to the named file.
    Saved(String),
    /// `die` was called.
    Died(Death),
    /// A helper failed where that ends the build; its message. The shell dies of it, which tells
    /// more, unless the ebuild has taken the means to do so from it.
    HelperFailed(String),
    /// The shell that a person works in wants something of the supervisor, and waits for the answer.
    Ask {
        /// A word, digits and hyphens, that tells this question from others.
        id: String,
        /// What.
        what: String,
        /// Of what; often empty.
        argument: String,
    },
    /// A line for the user, beyond the build's log.
    Elog {
        /// `info`, `log`, `warn`, `error` or `qa`.
        level: String,
        /// The phase it comes from.
        phase: String,
        /// The text.
        text: String,
    },
}

/// Where and why `die` was called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Death {
    /// The phase's short name.
    pub phase: String,
    /// What die was told.
    pub message: String,
    /// The ebuild or eclass, if the call came from one.
    pub file: String,
    /// The line in it.
    pub line: String,
    /// The function that called die.
    pub function: String,
    /// The call stack, a line each.
    pub stack: String,
}

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side is gone.
    #[error("processor: the pipe was closed in the middle of the conversation")]
    Closed,
    /// Reading failed.
    #[error("processor: cannot read from the pipe")]
    Read(#[source] io::Error),
    /// A field is longer than [`FIELD_LIMIT`].
    #[error("processor: a message has a field of more than {FIELD_LIMIT} bytes")]
    TooLong,
    /// The verb is none of [`VERBS`].
    #[error("processor: unknown message {0:?}")]
    UnknownVerb(String),
    /// A field does not have the form that the verb asks for.
    #[error("processor: message {verb} has a field that does not fit: {field:?}")]
    BadField {
        /// The verb.
        verb: &'static str,
        /// The field as it came.
        field: String,
    },
    /// A message on a build's pipe did not begin with the build's token.
    #[error("processor: a message does not come from this build's library")]
    Forged,
}

/// What bash sends for the end of a line: it writes at each such end, and a message must be written
/// at once.
const LINE_END: char = '\u{1e}';

/// The shell text that tells bash how many fields each verb has.
#[must_use]
pub fn bash_table() -> String {
    let mut text = String::from("declare -gA __EBD_ARITY=(");
    for (verb, fields) in VERBS {
        let _ = write!(text, "[{verb}]={fields} ");
    }
    text.push_str(")\n");
    text
}

/// The message as bytes, as a process other than bash sends it to a build's pipe: the build's
/// token, the verb, the fields, each ended by NUL. Cut so that it is written at once.
#[must_use]
pub fn encode_helper_failed(token: &str, text: &str) -> Vec<u8> {
    let mut end = text.len().min(3000);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default().replace('\0', " ");
    format!("{token}\0helper-failed\0{text}\0").into_bytes()
}

/// `payload` with its length before it, as bash reads a command: ten decimal digits, then the bytes.
#[must_use]
pub fn counted(payload: &[u8]) -> Vec<u8> {
    let mut frame = format!("{:010}", payload.len()).into_bytes();
    frame.extend_from_slice(payload);
    frame
}

/// Reads messages from one pipe.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    token: Option<String>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// A reader of `input`. With a token, each message must be preceded by it as a field.
    pub fn new(input: R, token: Option<String>) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            token,
        }
    }

    /// The next message. Cancel safe: what was read stays buffered.
    ///
    /// # Errors
    /// A [`FrameError`]; after one, the processor must not be trusted again.
    pub async fn next(&mut self) -> Result<Message, FrameError> {
        loop {
            if let Some((message, used)) = self.parse()? {
                self.start += used;
                if self.start == self.buffer.len() {
                    self.buffer.clear();
                    self.start = 0;
                }
                return Ok(message);
            }
            if self.start > 0 {
                self.buffer.drain(..self.start);
                self.start = 0;
            }
            let read = self
                .input
                .read_buf(&mut self.buffer)
                .await
                .map_err(FrameError::Read)?;
            if read == 0 {
                return Err(FrameError::Closed);
            }
        }
    }

    /// A whole message from the buffer with the bytes it took, or nothing if more must be read.
    fn parse(&self) -> Result<Option<(Message, usize)>, FrameError> {
        let mut fields = Fields {
            bytes: self.buffer.get(self.start..).unwrap_or_default(),
            used: 0,
        };
        if let Some(token) = &self.token {
            match fields.next()? {
                None => return Ok(None),
                Some(found) if found == token.as_bytes() => {}
                Some(_) => return Err(FrameError::Forged),
            }
        }
        let Some(verb) = fields.next()? else {
            return Ok(None);
        };
        let Some(&(verb, arity)) = VERBS.iter().find(|(name, _)| name.as_bytes() == verb) else {
            return Err(FrameError::UnknownVerb(
                String::from_utf8_lossy(verb).into_owned(),
            ));
        };
        let mut values = Vec::with_capacity(arity);
        for _ in 0..arity {
            match fields.next()? {
                Some(field) => {
                    values.push(String::from_utf8_lossy(field).replace(LINE_END, "\n"));
                }
                None => return Ok(None),
            }
        }
        Ok(Some((message(verb, values)?, fields.used)))
    }
}

/// NUL-terminated fields, one after the other.
struct Fields<'a> {
    bytes: &'a [u8],
    used: usize,
}

impl<'a> Fields<'a> {
    /// The next field, or nothing if it is not whole yet.
    fn next(&mut self) -> Result<Option<&'a [u8]>, FrameError> {
        let rest = self.bytes.get(self.used..).unwrap_or_default();
        match rest.iter().take(FIELD_LIMIT + 1).position(|&b| b == 0) {
            Some(end) => {
                self.used += end + 1;
                Ok(rest.get(..end))
            }
            None if rest.len() > FIELD_LIMIT => Err(FrameError::TooLong),
            None => Ok(None),
        }
    }
}

/// The message that `verb` and its fields make.
fn message(verb: &'static str, values: Vec<String>) -> Result<Message, FrameError> {
    let mut values = values.into_iter();
    let mut text = || values.next().unwrap_or_default();
    let number = |field: String| {
        field
            .parse::<i32>()
            .map_err(|_| FrameError::BadField { verb, field })
    };
    Ok(match verb {
        "ready" => Message::Ready {
            pid: number(text())?,
            version: text(),
        },
        "exited" => Message::Exited(number(text())?),
        "hello" => Message::Hello(number(text())?),
        "ready-for-phases" => Message::ReadyForPhases,
        "phase-done" => Message::PhaseDone(text()),
        "saved" => Message::Saved(text()),
        "died" => Message::Died(Death {
            phase: text(),
            message: text(),
            file: text(),
            line: text(),
            function: text(),
            stack: text(),
        }),
        "helper-failed" => Message::HelperFailed(text()),
        "elog" => Message::Elog {
            level: text().to_ascii_lowercase(),
            phase: text(),
            text: text(),
        },
        "ask" => Message::Ask {
            id: {
                let id = text();
                let fits = |byte: u8| byte.is_ascii_digit() || byte == b'-';
                if id.is_empty() || !id.bytes().all(fits) {
                    return Err(FrameError::BadField { verb, field: id });
                }
                id
            },
            what: text(),
            argument: text(),
        },
        _ => return Err(FrameError::UnknownVerb(verb.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8], token: Option<&str>) -> Vec<Result<Message, FrameError>> {
        let mut reader = Reader::new(bytes, token.map(str::to_owned));
        let mut all = Vec::new();
        loop {
            match reader.next().await {
                Err(FrameError::Closed) => return all,
                Err(error) => {
                    all.push(Err(error));
                    return all;
                }
                message => all.push(message),
            }
        }
    }

    #[tokio::test]
    async fn every_verb_is_understood_with_its_fields() {
        for (verb, arity) in VERBS {
            let mut bytes = format!("{verb}\0").into_bytes();
            for _ in 0..*arity {
                bytes.extend_from_slice(b"7\0");
            }
            let read = read_all(&bytes, None).await;
            assert_eq!(read.len(), 1, "{verb}");
            assert!(read[0].is_ok(), "{verb}: {:?}", read[0]);
        }
    }

    #[tokio::test]
    async fn what_is_not_in_the_table_is_refused() {
        assert!(matches!(
            read_all(b"exited\0x\0", None).await[..],
            [Err(FrameError::BadField { verb: "exited", .. })]
        ));
        assert!(matches!(
            read_all(b"root\0", None).await[..],
            [Err(FrameError::UnknownVerb(_))]
        ));
        assert!(matches!(
            read_all(&vec![b'a'; FIELD_LIMIT + 1], None).await[..],
            [Err(FrameError::TooLong)]
        ));
        assert!(matches!(
            read_all(b"phase-done\0install\0", Some("secret")).await[..],
            [Err(FrameError::Forged)]
        ));
        assert_eq!(
            read_all(b"secret\0phase-done\0install\0", Some("secret"))
                .await
                .pop()
                .unwrap()
                .unwrap(),
            Message::PhaseDone("install".into())
        );
    }

    #[tokio::test]
    async fn a_helper_speaks_as_bash_does() {
        let long = "\u{e9}".repeat(4000) + "\0";
        let bytes = encode_helper_failed("t", &long);
        assert!(bytes.len() < 4096);
        let read = read_all(&bytes, Some("t")).await;
        assert!(matches!(&read[..], [Ok(Message::HelperFailed(text))] if text.len() == 3000));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
                let _ = read_all(&bytes, None).await;
                let _ = read_all(&bytes, Some("")).await;
            });
        }
    }
}
