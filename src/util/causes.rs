//! Errors as people are told them.

use std::error::Error;
use std::path::Path;

/// An error with its causes, the outermost first. A cause that says the same as the error around it
/// is left out.
#[must_use]
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        let said = causes.last().is_some_and(|last| last.ends_with(&text));
        if !said {
            causes.push(text);
        }
        next = cause.source();
    }
    causes
}

/// The same of an error that does not say itself which file it is about.
#[must_use]
pub fn located(path: &Path, error: &dyn Error) -> Vec<String> {
    let mut causes = causes(error);
    if let Some(first) = causes.first_mut() {
        *first = format!("{}: {first}", path.display());
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Trial {
        #[error("the outside")]
        Outer(#[source] Box<Trial>),
        #[error("wrapped: {0}")]
        Told(#[source] Box<Trial>),
        #[error("the inside")]
        Inner,
    }

    #[test]
    fn each_cause_is_told_once() {
        let inner = || Box::new(Trial::Inner);
        assert_eq!(
            causes(&Trial::Outer(inner())),
            ["the outside", "the inside"]
        );
        assert_eq!(causes(&Trial::Told(inner())), ["wrapped: the inside"]);
    }
}
