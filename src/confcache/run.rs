//! Having a call run, or what it made put back.

mod mismatch;
mod watched;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use memchr::memmem;
use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};
use sandbox::Trace;

use self::mismatch::{first_difference, mismatches};
use self::watched::{Running, seen_from_around, shell_status, watched};
use super::answers::Answers;
use super::asking::{Asked, Compiled, Server, Told};
use super::call::Call;
use super::claim::Claim;
use super::entry::{Body, Entry, Head, Stream};
use super::facts::Broken;
use super::journal::{self, Outcome};
use super::learn::{Answered, Lesson, Untaught};
use super::output::{self, Change};
use super::places::Temporary;
use super::printed::Printed;
use super::questions::Looker;
use super::rules::Rules;
use super::store::{Cache, Found};
use super::tree::Tree;
use crate::util::causes::causes;
use crate::util::printable::printable;

/// Takes what is printed, from any thread.
pub type Print = dyn Fn(Stream, &[u8]) + Sync;

/// Why a command could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be started.
    #[error("{program}: cannot be run")]
    Start {
        /// The command.
        program: String,
        /// The reason.
        source: io::Error,
    },
    /// The process that watches over it is lost.
    #[error("the warden is lost")]
    Lost(#[source] Errno),
}

/// What came of a call.
#[derive(Debug)]
pub struct Ran {
    /// The exit status, as a shell tells it.
    pub status: u8,
    /// What became of it.
    pub outcome: Outcome,
    /// What is to be told to people.
    pub warnings: Vec<String>,
    /// Where the run and the entry that it was compared with differ.
    pub mismatches: Vec<Mismatch>,
    /// What became of its checks, if it asked for their answers.
    pub asked: Vec<Asked>,
    /// How its compilers were answered.
    pub compiled: Compiled,
    /// How many facts were found to hold, and how long it took to find that out.
    pub held: Option<(usize, Duration)>,
}

/// A difference between a run and an entry that was valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {how}")]
pub struct Mismatch {
    /// The file, or `what was printed`.
    pub what: String,
    /// The difference.
    pub how: String,
}

/// Who sees what a run looks at.
#[derive(Debug, Clone)]
pub enum Tracer {
    /// A sandbox of its own; with the program that a warden is: this one.
    Own(PathBuf),
    /// The sandbox that this runs in already, which gives its trace to whoever opens this path.
    Around(PathBuf),
}

/// The first argument of this program as a part of a build, which has the script run that `econf`
/// names, behind the path of the trace, the cache, and the folder for what is learned.
pub const ROLE: &str = "--configure";

/// How calls are run.
#[derive(Debug, Clone)]
pub struct Session {
    /// Who sees what they look at.
    pub tracer: Tracer,
    /// Where entries are.
    pub cache: Cache,
    /// Where new ones are left, if not there too.
    pub learned: Option<Cache>,
    /// What counts.
    pub rules: Rules,
    /// Whether calls are run even if there is an entry, and compared.
    pub verify: bool,
    /// Whether what a run made is put back where all that it depends on is unchanged.
    pub replays: bool,
    /// The folder of the answers that the checks of runs that are new ask for; none if they do not ask.
    pub answers: Option<PathBuf>,
    /// The folder of the build that this is part of, whose variables tell what is built.
    pub build: Option<PathBuf>,
}

impl Session {
    /// Does what the call says: puts back what is known, or has it run and learns. What it prints goes
    /// to `print`.
    ///
    /// # Errors
    /// The command could not be run at all.
    pub fn run(&self, call: &Call, print: &Print) -> Result<Ran, RunError> {
        let begin = Instant::now();
        let claim = match Claim::on(call.directory()) {
            Ok(Some(claim)) => claim,
            Ok(None) => return self.untaught(call, begin, Untaught::Shared),
            Err(error) => {
                return self.untaught(call, begin, Untaught::Directory(error.to_string()));
            }
        };
        let mut warnings = Vec::new();
        let found = self.cache.find(call, &self.rules, self.learned.is_none());
        let looking = begin.elapsed();
        let (known, why) = match found {
            Found::Valid(_) if !self.replays && !self.verify => {
                (None, "nothing is to be put back".to_owned())
            }
            Found::Valid(entry) if self.verify => (Some(entry), "it is verified".to_owned()),
            Found::Valid(entry) => match output::put_back(call.directory(), &entry.body.changes) {
                Ok(()) => {
                    for chunk in entry.printed() {
                        print(chunk.stream, &chunk.bytes);
                    }
                    let outcome = Outcome::Hit {
                        saved: entry.took(),
                    };
                    let mut ran = self.end(call, begin, 0, outcome, warnings);
                    ran.held = Some((entry.facts().len(), looking));
                    return Ok(ran);
                }
                Err(error) => {
                    warnings.push(causes(&error).join(": "));
                    (None, "what is known could not be put back".to_owned())
                }
            },
            Found::Nothing {
                broken,
                different,
                damaged,
            } => {
                self.pass_over(&damaged, &mut warnings);
                (None, reason(&broken, &different))
            }
        };
        let ran = self.traced(call, &claim, print)?;
        let status = ran.status;
        warnings.extend(ran.warnings);
        let (asked, compiled, unkept) = (ran.asked, ran.compiled, ran.unkept);
        let shared = matches!(ran.lesson, Err(Untaught::Shared));
        if !asked.is_empty() {
            // If nothing can be written, that is said below.
            let _ = self.learned().keep_asked(call.directory(), &asked);
        }
        let (outcome, mismatches) = match ran.lesson {
            Err(reason) => {
                let reason = causes(&reason).join(": ");
                if !matches!(status, 1..) {
                    warnings.push(format!("nothing is kept: {reason}"));
                }
                (Outcome::Untaught { why, reason }, Vec::new())
            }
            Ok(body) if known.is_some() => {
                let known = known.map(|entry| entry.body).unwrap_or_default();
                let mismatches = mismatches(&known, &body.body, &self.rules);
                let outcome = match mismatches.first() {
                    None => Outcome::Verified,
                    Some(first) => Outcome::Differed {
                        what: first.to_string(),
                    },
                };
                (outcome, mismatches)
            }
            Ok(entry) => match self.learned().keep(&call.key(), &entry) {
                Ok(()) => {
                    // Else one warning is enough.
                    warnings.extend(unkept);
                    (Outcome::Learned { why }, Vec::new())
                }
                Err(error) => {
                    let reason = causes(&error).join(": ");
                    warnings.push(format!("nothing is kept: {reason}"));
                    (Outcome::Untaught { why, reason }, Vec::new())
                }
            },
        };
        let mut ran = self.end(call, begin, status, outcome, warnings);
        ran.mismatches = mismatches;
        ran.mismatches
            .extend(asked.iter().filter_map(|one| match &one.told {
                Told::Differed { known, found } if !shared => Some(Mismatch {
                    what: one.variable.clone(),
                    how: first_difference(known.as_bytes(), found.as_bytes()).unwrap_or_default(),
                }),
                _ => None,
            }));
        ran.asked = asked;
        ran.compiled = compiled;
        Ok(ran)
    }

    /// Has the call run as if there were no cache.
    fn untaught(&self, call: &Call, begin: Instant, reason: Untaught) -> Result<Ran, RunError> {
        let why = reason.to_string();
        let ran = plain(call, reason)?;
        let warnings = match ran.status {
            0 => vec![format!("nothing is kept: {why}")],
            _ => Vec::new(),
        };
        let outcome = Outcome::Untaught {
            why: "nothing was looked for".to_owned(),
            reason: why,
        };
        Ok(self.end(call, begin, ran.status, outcome, warnings))
    }

    /// Removes files that are damaged, if they are ours, with one warning.
    fn pass_over(&self, damaged: &[PathBuf], warnings: &mut Vec<String>) {
        let Some(first) = damaged.first() else {
            return;
        };
        warnings.push(format!(
            "{}: is damaged and left out of account",
            first.display()
        ));
        if self.learned.is_none() {
            self.cache.discard(damaged);
        }
    }

    fn learned(&self) -> &Cache {
        self.learned.as_ref().unwrap_or(&self.cache)
    }

    fn end(
        &self,
        call: &Call,
        begin: Instant,
        status: u8,
        outcome: Outcome,
        warnings: Vec<String>,
    ) -> Ran {
        // If nothing can be written, that was said when the entry could not be.
        let _ = self
            .learned()
            .record(call, begin.elapsed(), outcome.clone());
        Ran {
            status,
            outcome,
            warnings,
            mismatches: Vec::new(),
            asked: Vec::new(),
            compiled: Compiled::default(),
            held: None,
        }
    }

    /// Has the call run, traced if that can be.
    fn traced(&self, call: &Call, claim: &Claim, print: &Print) -> Result<Traced, RunError> {
        let begin = Instant::now();
        // Else its appearance is what changes a folder that the run lists. If it cannot be made, that is said later.
        let _ = fs::create_dir_all(self.learned().folder());
        let before = Tree::read(call.directory(), true);
        let before = match before {
            Ok(before) => before,
            Err(error) => {
                let reason = Untaught::Directory(causes(&error).join(": "));
                return plain(call, reason);
            }
        };
        let temporary = Temporary::now();
        let started = tick();
        let printed = Printed::default();
        let mut warnings = Vec::new();
        let rules = self.rules.of_script(call.text());
        let mut looker = Looker::new(&rules, started);
        let mut asks = None;
        if let Some(folder) = &self.answers {
            let learned = self.learned.as_ref().map(Cache::answers);
            let (answers, damaged) = Answers::read(folder, learned.as_deref());
            self.pass_over(&damaged, &mut warnings);
            looker.know(answers.known());
            asks = Server::new(
                call,
                answers,
                &temporary,
                &printed,
                self.verify,
                self.build.as_deref(),
            );
        }
        let folder = identity(call.directory());
        let mut running = Running {
            call,
            print,
            printed: &printed,
            asks,
            looker,
        };
        let ran = match &self.tracer {
            Tracer::Own(program) => watched(program, &mut running)?
                .map_err(|error| Untaught::NotTraced(causes(&error).join(": "))),
            Tracer::Around(path) => seen_from_around(path, &mut running)?,
        };
        let mut looker = running.looker;
        let mut ran = match ran {
            Ok(ran) => ran,
            Err(reason) => return plain(call, reason),
        };
        let (mut asked, mut unkept) = (Vec::new(), None);
        let mut compiled = Compiled::default();
        let mut answered = Answered::default();
        let (mut answers, mut asking) = (None, None);
        if let Some(asks) = ran.asks.take() {
            (answers, asking) = (Some(asks.answers), Some(asks.folder));
            ran.trace.extend(&asks.trace);
            if asks.lost {
                printed.lose();
            }
            (asked, compiled, answered) = (asks.outcomes, asks.compiled, asks.answered);
        }
        let status = ran.status;
        let lesson = Taught {
            call,
            status,
            trace: &ran.trace,
            before: &before,
            temporary: &temporary,
            asking: asking.as_deref(),
            answered: &answered,
            took: begin.elapsed(),
        };
        let mut lesson = lesson.entry(printed, &mut looker);
        if claim.is_disputed() {
            lesson = Err(Untaught::Shared);
        }
        let disturbed = disturbed(status, &lesson, folder != identity(call.directory()));
        match (answers, disturbed) {
            (Some(_), Some(why)) => asked.iter_mut().for_each(|asked| asked.forget(why)),
            (Some(mut answers), None) => {
                if let Err(error) = answers.keep() {
                    let why = causes(&error).join(": ");
                    unkept = Some(format!("no answers are kept: {why}"));
                }
            }
            (None, _) => {}
        }
        Ok(Traced {
            status,
            lesson,
            warnings,
            unkept,
            asked,
            compiled,
        })
    }
}

/// Tells a folder from another that has its name.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    let metadata = folder.metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Why what the checks of a run have found out may be due to something else than what was traced.
fn disturbed(
    status: u8,
    lesson: &Result<Entry, Untaught>,
    is_another: bool,
) -> Option<&'static str> {
    match lesson {
        _ if is_another => Some("its folder became another"),
        _ if status != 0 => Some("the script failed later"),
        Err(Untaught::Untraced(_) | Untaught::Directory(_) | Untaught::Shared) => {
            Some("somebody else was at work")
        }
        _ => None,
    }
}

/// Why a call has no entry, in short.
fn reason(broken: &[Broken], different: &[super::call::Difference]) -> String {
    match (broken.first(), different.first()) {
        (Some(broken), _) => broken.to_string(),
        (None, Some(different)) => different.to_string(),
        (None, None) => "nothing like it was run before".to_owned(),
    }
}

/// A run and what it taught.
struct Traced {
    status: u8,
    lesson: Result<Entry, Untaught>,
    warnings: Vec<String>,
    /// Why what its checks have found out is not kept.
    unkept: Option<String>,
    asked: Vec<Asked>,
    compiled: Compiled,
}

/// A run that has ended, and all that may be learned from.
struct Taught<'r> {
    call: &'r Call,
    status: u8,
    trace: &'r Trace,
    before: &'r Tree,
    temporary: &'r Temporary,
    asking: Option<&'r Path>,
    answered: &'r Answered,
    took: Duration,
}

impl Taught<'_> {
    /// What is to be put back where all that it depends on is unchanged.
    fn entry(self, printed: Printed, looker: &mut Looker<'_>) -> Result<Entry, Untaught> {
        if self.status != 0 {
            return Err(Untaught::Failed(self.status));
        }
        let call = self.call;
        let printed = printed.all().ok_or(Untaught::TooMuch("printed"))?;
        let after = Tree::read(call.directory(), false)
            .map_err(|error| Untaught::Directory(causes(&error).join(": ")))?;
        let lesson = Lesson {
            directory: call.directory(),
            trace: self.trace,
            before: self.before,
            after: &after,
            temporary: self.temporary,
            asking: self.asking,
            answered: self.answered,
        };
        let (facts, changes) = lesson.learn(looker)?;
        if let Some(asking) = self.asking {
            let names =
                |text: &[u8]| memmem::find(text, asking.as_os_str().as_encoded_bytes()).is_some();
            if printed.iter().any(|chunk| names(&chunk.bytes)) {
                return Err(Untaught::NamesAsker("printed"));
            }
            // What is said there is not compared either.
            let is_log = |change: &Change| change.name().ends_with("config.log");
            let made = changes.iter().filter(|change| !is_log(change));
            if made.flat_map(Change::content).any(names) {
                return Err(Untaught::NamesAsker("made"));
            }
        }
        Ok(Entry {
            head: Head {
                parts: call.parts().to_vec(),
                script: call.script.as_os_str().as_encoded_bytes().to_vec(),
                directory: call.directory.as_os_str().as_encoded_bytes().to_vec(),
                facts,
                at: journal::now(),
                took: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            },
            body: Body { printed, changes },
        })
    }
}

/// The time as files get it, at the begin of its next tick: what is changed from here on has none before.
fn tick() -> (i64, i64) {
    let now = || {
        clock_gettime(ClockId::CLOCK_REALTIME_COARSE)
            .map_or((0, 0), |time| (time.tv_sec(), time.tv_nsec()))
    };
    let begin = now();
    let deadline = Instant::now() + Duration::from_millis(50);
    loop {
        let at = now();
        if at != begin || Instant::now() > deadline {
            return at;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs the command as if there were no cache.
fn plain(call: &Call, reason: Untaught) -> Result<Traced, RunError> {
    let program = call.words.first().cloned().unwrap_or_default();
    let status = Command::new(&program)
        .args(call.words.iter().skip(1))
        .status()
        .map_err(|source| RunError::Start {
            program: printable(&program),
            source,
        })?;
    Ok(Traced {
        status: shell_status(status),
        lesson: Err(reason),
        warnings: Vec::new(),
        unkept: None,
        asked: Vec::new(),
        compiled: Compiled::default(),
    })
}
