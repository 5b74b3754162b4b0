use std::io;
use std::path::{Path, PathBuf};

/// What stops the work on an image between `src_install` and the packaging.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file operation failed.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file it was tried on.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// FEATURES asks for something this version cannot do.
    #[error(
        "FEATURES={feature}: not supported; remove it from FEATURES, or add {feature} to RESTRICT where the package allows it"
    )]
    UnsupportedFeature {
        /// The feature's name.
        feature: &'static str,
    },
    /// The package was built for an offset prefix and a step does not know how to treat one.
    #[error("EPREFIX={prefix}: {step} is not supported in an offset prefix")]
    UnsupportedPrefix {
        /// The prefix.
        prefix: String,
        /// The step that cannot be done.
        step: &'static str,
    },
    /// A program could not be started.
    #[error("{program}: cannot be started; install it or choose another in make.conf")]
    Start {
        /// The program's name.
        program: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("{program}: failed on {} ({status}): {output}", path.display())]
    Program {
        /// The program's name.
        program: String,
        /// The first file it worked on.
        path: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to its error output, shortened.
        output: String,
    },
    /// The suffix that a compression program gives its files could not be found out.
    #[error(
        "PORTAGE_COMPRESS={program}: it leaves no file with a suffix of its own; set PORTAGE_COMPRESS=\"\" to disable compression"
    )]
    CompressSuffix {
        /// The program's name.
        program: String,
    },
    /// A regular expression from a variable is not one.
    #[error("{variable}: invalid regular expression {text:?}")]
    Pattern {
        /// The variable that holds it.
        variable: String,
        /// The expression.
        text: String,
        /// The parser's reason.
        #[source]
        source: Box<regex::Error>,
    },
    /// Quotes in a variable are not closed.
    #[error("{variable}: unbalanced quote in {text:?}")]
    Quote {
        /// The variable.
        variable: &'static str,
        /// Its value.
        text: String,
    },
    /// A quality check that ends the build.
    #[error("{check}: {reason}")]
    Qa {
        /// The check's name, as Portage's `install-qa-check.d` names it.
        check: &'static str,
        /// Why the image is refused.
        reason: String,
    },
}

impl ImageError {
    /// Wraps an I/O error with the file and the verb it belongs to.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
