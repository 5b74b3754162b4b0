//! Colours, where they are wanted.

use std::io::IsTerminal;

use super::arguments::When;

/// Paints text, or leaves it plain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// Colours as asked for; `Auto` means on a terminal whose user has not set `NO_COLOR`.
    #[must_use]
    pub(super) fn new(when: When) -> Self {
        Self {
            on: match when {
                When::Always => true,
                When::Never => false,
                When::Auto => {
                    std::io::stderr().is_terminal()
                        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
                }
            },
        }
    }

    /// The same for what goes to standard output.
    #[must_use]
    pub(super) fn for_output(when: When) -> Self {
        match when {
            When::Auto if !std::io::stdout().is_terminal() => Self { on: false },
            _ => Self::new(when),
        }
    }

    /// Whether anything is painted.
    #[must_use]
    pub(super) fn is_on(self) -> bool {
        self.on
    }

    /// Bold text.
    #[must_use]
    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Text about what went well.
    #[must_use]
    pub(super) fn good(self, text: &str) -> String {
        self.with("1;32", text)
    }

    /// Text to take notice of.
    #[must_use]
    pub(super) fn warn(self, text: &str) -> String {
        self.with("1;33", text)
    }

    /// Text about what went wrong.
    #[must_use]
    pub(super) fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
