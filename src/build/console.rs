//! How a build asks for a person's terminal, which only one at a time can have.

use std::path::PathBuf;

use sandbox::Identity;
use tokio::sync::{mpsc, oneshot};

/// What a person is to know on coming in.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// `category/pf`.
    pub package: String,
    /// The phase's function.
    pub function: &'static str,
    /// Whether the phase is still to come, was just done, or failed.
    pub standing: Standing,
    /// The folder of the build.
    pub directory: PathBuf,
    /// What is not as one might think, a sentence each.
    pub notes: Vec<String>,
}

/// Where in its phase a shell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Before it.
    Before,
    /// Behind it.
    After,
    /// Where it failed.
    Failed,
}

/// A build that wants the terminal.
#[derive(Debug)]
pub struct Request {
    /// What is to be said first.
    pub greeting: Greeting,
    /// Who must be able to open it, if not this process's user.
    pub identity: Option<Identity>,
    /// Where to say that it is free.
    pub reply: oneshot::Sender<std::io::Result<Lease>>,
}

/// The terminal, until this is dropped.
#[derive(Debug)]
pub struct Lease {
    /// Its name, by which a shell opens it.
    pub path: PathBuf,
    /// Whether it shows colours.
    pub color: bool,
    _until: oneshot::Sender<()>,
}

impl Lease {
    /// A lease of the terminal `path`, and what tells of its end.
    #[must_use]
    pub fn new(path: PathBuf, color: bool) -> (Self, oneshot::Receiver<()>) {
        let (until, ended) = oneshot::channel();
        let lease = Self {
            path,
            color,
            _until: until,
        };
        (lease, ended)
    }
}

/// Where terminals are asked for.
#[derive(Debug, Clone)]
pub struct Console {
    requests: mpsc::UnboundedSender<Request>,
}

impl Console {
    /// A console and the receiver of what it is asked.
    #[must_use]
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (requests, receiver) = mpsc::unbounded_channel();
        (Self { requests }, receiver)
    }

    /// Waits for the terminal.
    ///
    /// # Errors
    /// There is none, or nobody who could give it.
    pub async fn lease(
        &self,
        greeting: Greeting,
        identity: Option<Identity>,
    ) -> std::io::Result<Lease> {
        let (reply, answer) = oneshot::channel();
        let gone = || std::io::Error::other("there is nobody at the terminal");
        let request = Request {
            greeting,
            identity,
            reply,
        };
        self.requests.send(request).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
