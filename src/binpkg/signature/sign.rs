//! Making signatures.

use std::io::Read;

use super::CommandError;
use super::run::{run, words};

const SETTING: &str = "BINPKG_GPG_SIGNING_BASE_COMMAND";

/// A signature could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// gpg cannot be run as the settings say.
    #[error("the package cannot be signed")]
    Command(#[from] CommandError),
    /// gpg refused.
    #[error("the package cannot be signed: {program} said: {message}")]
    Refused {
        /// The program.
        program: String,
        /// What it said.
        message: String,
    },
}

/// Makes signatures as the settings say.
#[derive(Debug, Clone)]
pub struct Signer {
    detached: Vec<String>,
    clear: Vec<String>,
}

impl Signer {
    /// A signer with the settings `BINPKG_GPG_SIGNING_*`, as `value` gives them.
    ///
    /// # Errors
    /// The command is not set, or is none.
    pub fn from_settings(value: &dyn Fn(&str) -> Option<String>) -> Result<Self, CommandError> {
        let set = |name: &str| value(name).filter(|value| !value.is_empty());
        let command = set(SETTING).ok_or(CommandError::Unset(SETTING))?;
        let mut options = String::new();
        for (option, name) in [
            ("--homedir", "BINPKG_GPG_SIGNING_GPG_HOME"),
            ("--digest-algo", "BINPKG_GPG_SIGNING_DIGEST"),
            ("--local-user", "BINPKG_GPG_SIGNING_KEY"),
        ] {
            if let Some(value) = set(name).as_deref().map(shell_words::quote) {
                options.push_str(&format!("{option} {value} "));
            }
        }
        let with = |kind: &str| {
            let options = format!("{options}{kind} --batch --no-tty");
            words(
                SETTING,
                &command.replace("[PORTAGE_CONFIG]", &options),
                value,
            )
        };
        Ok(Self {
            detached: with("--detach-sig")?,
            clear: with("--clear-sign")?,
        })
    }

    /// A signature of `content`, apart from it.
    ///
    /// # Errors
    /// gpg cannot be run, or refuses.
    pub fn detached(&self, content: &mut (dyn Read + Send)) -> Result<Vec<u8>, SignError> {
        sign(&self.detached, content)
    }

    /// `text` with a signature behind it.
    ///
    /// # Errors
    /// gpg cannot be run, or refuses.
    pub fn clear(&self, text: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut text = text;
        sign(&self.clear, &mut text)
    }
}

fn sign(words: &[String], content: &mut (dyn Read + Send)) -> Result<Vec<u8>, SignError> {
    let outcome = run(words, content, (None, None))?;
    if !outcome.success || outcome.output.is_empty() {
        return Err(SignError::Refused {
            program: words.first().cloned().unwrap_or_default(),
            message: outcome.messages.trim().to_owned(),
        });
    }
    Ok(outcome.output)
}
