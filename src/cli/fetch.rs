//! `ebd fetch`.

mod joined;

use std::collections::{BTreeSet, HashMap};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;

use super::arguments;
use super::build::{self, Failure, complain};
use super::exit::Exit;
use super::paint::Paint;
use super::show::telling;
use super::signals;
use super::stdout;
use crate::build::candidate::Candidate;
use crate::build::event::{self as build_event, Events};
use crate::build::fetching::{Distfiles, requests};
use crate::build::package::{self, Settings, Until};
use crate::build::plan;
use crate::build::session::Session;
use crate::fetch::{Event, FetchError, Fetched, Fetcher, How, Request};
use crate::pms::atom::PackageFacts;
use crate::pms::phase::Phase;
use crate::util::causes::causes;

/// Runs `ebd fetch`.
pub(super) fn main(arguments: arguments::Fetch) -> Exit {
    let display = arguments.around.display.clone();
    signals::run(&display, work(arguments))
}

async fn work(arguments: arguments::Fetch) -> Result<Exit, Failure> {
    let display = arguments.around.display.clone();
    telling(display, |events, _| execute(&arguments, events)).await
}

/// What one package wants.
struct Wanted {
    package: String,
    requests: Vec<Request>,
    candidate: Candidate,
}

impl Wanted {
    /// Its name with its repository's.
    fn full_name(&self) -> String {
        format!("{}::{}", self.package, self.candidate.ebuild.repository)
    }
}

async fn execute(arguments: &arguments::Fetch, events: Events) -> Result<Exit, Failure> {
    let session = build::session(
        &arguments.around.places,
        &arguments.around.stores,
        build::processors(&arguments.around.places)?,
        events,
        &[],
        &[],
    )?;
    let mut all: Vec<Wanted> = Vec::new();
    for text in &arguments.atoms {
        let candidate = plan::choose_to_fetch(&session, text).await?;
        let mut distfiles = Distfiles::of(&candidate)?;
        if arguments.all_files {
            distfiles = distfiles.whatever_the_flags();
        }
        let requests = requests(&session, &candidate, &distfiles)?;
        let package = candidate.cpv().to_string();
        let wanted = Wanted {
            package,
            requests,
            candidate,
        };
        let name = wanted.full_name();
        if all.iter().all(|other| other.full_name() != name) {
            all.push(wanted);
        }
    }
    if arguments.pretend {
        session.pool.end().await;
        pretend(&session, &all, arguments.around.display.json);
        return Ok(Exit::Done);
    }
    let (requests, clashes) = joined::join(&mut all);
    let brought = bring(&arguments.around.display, &session.fetcher, &requests).await?;
    let wants = |wanted: &Wanted, file: &str| {
        let mut files = wanted.requests.iter().map(|it| it.plan.file.as_str());
        files.any(|it| it == file)
    };
    for wanted in &all {
        let mut failed = brought.restricted();
        if failed.any(|file| wants(wanted, file)) {
            explain(arguments, &session, &wanted.candidate).await;
        }
    }
    session.pool.end().await;
    let display = &arguments.around.display;
    let clashed = !clashes.is_empty();
    for clash in clashes {
        complain(display, &[clash]);
    }
    let exit = brought.sum_up(display, |file| {
        let wanted = all.iter().filter(|it| wants(it, file));
        wanted.map(|it| it.package.clone()).collect()
    });
    Ok(match clashed {
        true => Exit::Failed,
        false => exit,
    })
}

/// Has the ebuild say how its files are to be had.
async fn explain(arguments: &arguments::Fetch, session: &Session, candidate: &Candidate) {
    let settings = Settings {
        resume: false,
        until: Until::Before(Phase::Setup),
        keep: false,
        verbose: false,
        phase_limit: None,
        format: None,
        origin: build::origin(&arguments.around.places, &arguments.around.stores),
        on_failure: None,
    };
    let cpv = candidate.cpv();
    let lines = match package::ask_nofetch(session, candidate, &settings).await {
        Ok(lines) => lines,
        Err(error) => {
            let text = format!("{cpv}: pkg_nofetch: {}", causes(&error).join(": "));
            session.events.tell(build_event::Event::Notice { text });
            return;
        }
    };
    if arguments.around.display.json {
        let line = json!({ "event": "nofetch", "package": cpv.to_string(), "text": lines });
        stdout::line(line);
    } else if !lines.is_empty() {
        let text = lines.join("\n  ");
        let _ = writeln!(std::io::stderr(), "{cpv} says:\n  {text}");
    }
}

/// What came of fetching.
pub(super) struct Brought {
    requests: Vec<Request>,
    results: Vec<Result<Fetched, FetchError>>,
    told: Told,
    elapsed: Duration,
}

/// Fetches and shows it.
pub(super) async fn bring(
    display: &arguments::Display,
    fetcher: &Fetcher,
    requests: &[Request],
) -> Result<Brought, Failure> {
    let begin = Instant::now();
    let (sender, told) = tokio::sync::mpsc::unbounded_channel();
    let view = View::new(display, requests);
    let viewer = tokio::spawn(view.show(told));
    // A few more than there are connections: some only look at what is there.
    let at_once = fetcher.options().connections + 2;
    let results = fetcher.fetch_all(requests, at_once, &sender).await;
    drop(sender);
    let Ok(told) = viewer.await else {
        return Err(Failure(vec!["what was fetched could not be shown".into()]));
    };
    Ok(Brought {
        requests: requests.to_vec(),
        results,
        told,
        elapsed: begin.elapsed(),
    })
}

/// Lists the files, their sizes, and where each would come from.
fn pretend(session: &Session, all: &[Wanted], json: bool) {
    let distdir = &session.fetcher.options().distdir;
    for wanted in all {
        for request in &wanted.requests {
            let file = &request.plan.file;
            let size = request.expected.as_ref().map(crate::fetch::Expected::size);
            let there = std::fs::metadata(distdir.join(file));
            let there = there.is_ok_and(|it| Some(it.len()) == size);
            let sources: Vec<String> = request
                .plan
                .sources
                .iter()
                .map(ToString::to_string)
                .collect();
            let line = if json {
                json!({
                    "event": "planned",
                    "package": wanted.package,
                    "file": file,
                    "size": size,
                    "present": there,
                    "sources": sources,
                })
                .to_string()
            } else {
                let size = size.map_or("of unknown size".into(), |size| {
                    HumanBytes(size).to_string()
                });
                let mut line = format!("{}: {file} ({size})", wanted.package);
                if there {
                    line.push_str("\n  is there, if its checksums are right");
                }
                for source in sources {
                    line.push_str(&format!("\n  {source}"));
                }
                line
            };
            stdout::line(line);
        }
    }
}

/// What was told while fetching.
#[derive(Default)]
struct Told {
    /// Bytes that were received, by file.
    received: HashMap<String, u64>,
    retries: u64,
}

impl Brought {
    /// The files that are there.
    pub(super) fn fetched(&self) -> impl Iterator<Item = &Fetched> {
        self.results.iter().flatten()
    }

    /// The names of files that a person has to get.
    fn restricted(&self) -> impl Iterator<Item = &str> {
        let pairs = self.requests.iter().zip(&self.results);
        pairs.filter_map(|(request, result)| match result {
            Err(error) if error.wants_nofetch() => Some(request.plan.file.as_str()),
            _ => None,
        })
    }

    /// Tells how it went, and gives the exit code. `packages` gives those that want a file.
    pub(super) fn sum_up(
        &self,
        display: &arguments::Display,
        packages: impl Fn(&str) -> Vec<String>,
    ) -> Exit {
        let told = &self.told;
        let mut sources = BTreeSet::new();
        let (mut fetched, mut present, mut failed) = (0, 0, 0);
        for (request, result) in self.requests.iter().zip(&self.results) {
            match result {
                Ok(file) => match &file.how {
                    How::Fetched(source) => {
                        fetched += 1;
                        sources.insert(host(source));
                    }
                    How::Completed => fetched += 1,
                    How::Present | How::Linked(_) | How::Copied(_) => present += 1,
                },
                Err(error) => {
                    failed += 1;
                    let packages = packages(&request.plan.file);
                    let mut causes = causes(error);
                    if let Some(first) = causes.first_mut() {
                        *first = format!("{}: {first}", packages.join(", "));
                    }
                    complain(display, &causes);
                }
            }
        }
        let bytes: u64 = told.received.values().sum();
        let seconds = self.elapsed.as_secs_f64();
        if display.json {
            let line = json!({
                "event": "summary",
                "fetched": fetched,
                "present": present,
                "failed": failed,
                "bytes": bytes,
                "seconds": seconds,
                "retries": told.retries,
                "sources": sources,
            });
            stdout::line(line);
        } else if !display.quiet {
            let rate = (bytes as f64 / seconds.max(0.001)) as u64;
            let mut text = format!("{fetched} fetched ({} in {seconds:.1} s", HumanBytes(bytes));
            if bytes > 0 {
                text.push_str(&format!(", {}/s", HumanBytes(rate)));
            }
            text.push_str(&format!("), {present} there already, {failed} failed"));
            if told.retries > 0 {
                text.push_str(&format!(", {} tried again", told.retries));
            }
            if !sources.is_empty() {
                let sources: Vec<String> = sources.into_iter().collect();
                text.push_str(&format!("\n  from {}", sources.join(", ")));
            }
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        match failed {
            0 => Exit::Done,
            _ => Exit::Failed,
        }
    }
}

/// The host of an address, or the folder of a path.
fn host(source: &str) -> String {
    let Some((scheme, rest)) = source.split_once("://") else {
        let folder = std::path::Path::new(source).parent();
        return folder.map_or_else(|| source.to_owned(), |it| it.display().to_string());
    };
    format!("{scheme}://{}", rest.split('/').next().unwrap_or_default())
}

/// Shows fetches at work: a line for all and one for each, or, where nobody watches, a line for each
/// that is done.
struct View {
    json: bool,
    quiet: bool,
    paint: Paint,
    bars: MultiProgress,
    total: ProgressBar,
    files: HashMap<String, ProgressBar>,
    sizes: HashMap<String, u64>,
    /// Where each file's transfer began.
    begun: HashMap<String, u64>,
    told: Told,
}

impl View {
    fn new(display: &arguments::Display, requests: &[Request]) -> Self {
        let bars = MultiProgress::new();
        if display.json || display.quiet || !std::io::stderr().is_terminal() {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let sizes: HashMap<String, u64> = requests
            .iter()
            .filter_map(|it| Some((it.plan.file.clone(), it.expected.as_ref()?.size())))
            .collect();
        let total = bars.add(ProgressBar::new(sizes.values().sum()));
        let template = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            total.set_style(style);
        }
        Self {
            json: display.json,
            quiet: display.quiet,
            paint: Paint::new(display.color),
            bars,
            total,
            files: HashMap::new(),
            sizes,
            begun: HashMap::new(),
            told: Told::default(),
        }
    }

    /// Shows what is told until all is.
    async fn show(mut self, mut events: UnboundedReceiver<Event>) -> Told {
        while let Some(event) = events.recv().await {
            if self.json {
                self.as_json(&event);
            }
            self.note(event);
        }
        self.total.finish_and_clear();
        self.told
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Waiting { file, lock } => {
                self.say(&format!(
                    "{file}: waiting for the lock on {}",
                    lock.display()
                ));
            }
            Event::Started { .. } => {}
            Event::Trying { file, from, .. } => {
                self.begun.insert(file.clone(), from);
                self.progress(&file, from);
            }
            Event::Progress { file, bytes } => {
                let from = self.begun.entry(file.clone()).or_insert(bytes);
                let more = bytes.saturating_sub(*from);
                *from = bytes;
                *self.told.received.entry(file.clone()).or_default() += more;
                self.progress(&file, bytes);
            }
            Event::Retrying {
                file,
                source,
                reason,
                pause,
            } => {
                self.told.retries += 1;
                self.say(&format!(
                    "{file}: {source}: {reason}; again in {:.0} s",
                    pause.as_secs_f64()
                ));
            }
            Event::SourceFailed {
                file,
                source,
                reason,
            } => self.say(&format!("{file}: not from {source}: {reason}")),
            Event::SetAside { file, path, reason } => self.say(&format!(
                "{} {file}: its content was wrong ({reason}); it was renamed to {}",
                self.paint.warn("warning:"),
                path.display()
            )),
            Event::Done { file, how } => {
                if let Some(bar) = self.files.remove(&file) {
                    bar.finish_and_clear();
                }
                let size = self.sizes.get(&file).copied().unwrap_or_default();
                self.move_total();
                match how {
                    How::Present => {}
                    How::Completed => self.say(&format!("{file}: was all there")),
                    How::Linked(path) => self.say(&format!("{file}: linked to {}", path.display())),
                    How::Copied(path) => {
                        self.say(&format!("{file}: copied from {}", path.display()))
                    }
                    How::Fetched(source) => {
                        self.say(&format!("{file}: {} from {source}", HumanBytes(size)));
                    }
                }
            }
        }
    }

    /// Shows how far a file is.
    fn progress(&mut self, file: &str, bytes: u64) {
        let size = self.sizes.get(file).copied().unwrap_or_default();
        let bars = &self.bars;
        let bar = self.files.entry(file.to_owned()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new(size));
            let template = "  {msg} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(file.to_owned());
            bar
        });
        bar.set_position(bytes);
        self.move_total();
    }

    /// Moves the bar of all to where the files take it.
    fn move_total(&self) {
        let at_work: u64 = self.files.values().map(ProgressBar::position).sum();
        let done: u64 = self
            .sizes
            .iter()
            .filter(|(name, _)| !self.files.contains_key(*name) && self.begun.contains_key(*name))
            .map(|(_, size)| size)
            .sum();
        self.total.set_position(done + at_work);
    }

    fn say(&self, line: &str) {
        if !self.quiet && !self.json {
            self.bars.suspend(|| {
                let _ = writeln!(std::io::stderr(), "{line}");
            });
        }
    }

    fn as_json(&self, event: &Event) {
        let line = match event {
            Event::Waiting { file, lock } => {
                json!({ "event": "waiting", "file": file, "path": lock })
            }
            Event::Started { file, total } => {
                json!({ "event": "started", "file": file, "size": total })
            }
            Event::Trying { file, source, from } => {
                json!({ "event": "trying", "file": file, "source": source, "from": from })
            }
            Event::Progress { file, bytes } => {
                json!({ "event": "progress", "file": file, "bytes": bytes })
            }
            Event::Retrying {
                file,
                source,
                reason,
                pause,
            } => json!({
                "event": "retrying", "file": file, "source": source, "reason": reason,
                "seconds": pause.as_secs_f64(),
            }),
            Event::SourceFailed {
                file,
                source,
                reason,
            } => {
                json!({ "event": "source-failed", "file": file, "source": source, "reason": reason })
            }
            Event::SetAside { file, path, reason } => {
                json!({ "event": "set-aside", "file": file, "path": path, "reason": reason })
            }
            Event::Done { file, how } => {
                let (how, source) = match how {
                    How::Present => ("present", None),
                    How::Completed => ("completed", None),
                    How::Linked(path) => ("linked", Some(path.display().to_string())),
                    How::Copied(path) => ("copied", Some(path.display().to_string())),
                    How::Fetched(source) => ("fetched", Some(source.clone())),
                };
                json!({ "event": "done", "file": file, "how": how, "source": source })
            }
        };
        stdout::line(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_summed_up_by_host() {
        assert_eq!(
            host("https://a.example:8080/x/y.tar"),
            "https://a.example:8080"
        );
        assert_eq!(host("/mnt/distfiles/y.tar"), "/mnt/distfiles");
    }
}
