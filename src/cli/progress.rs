//! Events as a person sees them: one line per package, on a terminal a living one.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::build::event::{Event, UnfitBinary};
use crate::util::printable::printable;

use super::paint::Paint;
use super::stdout;

/// How many binary packages are shown that were not used.
const SHOWN_UNFIT: usize = 3;

/// How much a person wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verbosity {
    /// Errors and results.
    Quiet,
    /// One line per package, and what ebuilds have to say.
    Normal,
    /// The whole log too.
    Verbose,
}

/// Shows events: results on standard output, all else on standard error.
pub(super) struct Progress {
    verbosity: Verbosity,
    paint: Paint,
    bars: MultiProgress,
    packages: HashMap<String, Line>,
    /// What ebuilds said, kept until their package is done.
    messages: HashMap<String, Vec<(String, String)>>,
}

/// The living line of one package.
struct Line {
    bar: ProgressBar,
    since: Instant,
}

impl Progress {
    /// A display of this verbosity; living lines appear only if standard error is a terminal.
    #[must_use]
    pub(super) fn new(verbosity: Verbosity, paint: Paint) -> Self {
        let bars = MultiProgress::new();
        if verbosity == Verbosity::Quiet || !std::io::stderr().is_terminal() {
            bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        Self {
            verbosity,
            paint,
            bars,
            packages: HashMap::new(),
            messages: HashMap::new(),
        }
    }

    /// Shows one event.
    pub(super) fn show(&mut self, event: &Event) {
        match event {
            Event::Notice { text } => {
                self.print(&format!("{} {text}", self.paint.bold("note:")));
            }
            Event::Violation {
                package,
                call,
                access,
                path,
                program,
                command,
                ..
            } => {
                self.print(&format!(
                    "{} {package}: {call} ({access}) of {}\n    by {}: {}",
                    self.paint.bad("sandbox:"),
                    printable(path.as_os_str()),
                    printable(program.as_os_str()),
                    command.join(" ")
                ));
            }
            Event::Started { package, .. } => self.start(package),
            Event::Waiting { package, path } => {
                self.step(package, "waits", "");
                self.print(&format!(
                    "{package}: waiting for the lock on {}",
                    path.display()
                ));
            }
            Event::Fetch {
                package,
                file,
                bytes,
                total,
            } => {
                let share = total.filter(|&t| t > 0).map_or_else(
                    || format!("{} KiB", bytes / 1024),
                    |t| format!("{} %", bytes.saturating_mul(100) / t),
                );
                self.step(package, "fetch", &format!("{file} {share}"));
            }
            Event::FetchSourceFailed {
                package,
                file,
                source,
                reason,
            } => self.print(&format!("{package}: {file}: not from {source}: {reason}")),
            Event::Phase { package, phase } => {
                self.step(package, phase, "");
                if self.verbosity == Verbosity::Verbose {
                    self.print(&self.paint.bold(&format!("{package}: {phase}")));
                }
            }
            Event::Elog {
                package,
                level,
                text,
                ..
            } => {
                if matches!(level.as_str(), "log" | "warn" | "error" | "qa") {
                    self.messages
                        .entry(package.clone())
                        .or_default()
                        .push((level.clone(), text.clone()));
                }
            }
            Event::Output { line, .. } => self.print(line),
            Event::Finished {
                package,
                path,
                seconds,
                ..
            } => {
                self.finish(package);
                self.print(&format!(
                    "{} {package} in {}",
                    self.paint.good("built"),
                    duration(*seconds)
                ));
                self.say(package);
                self.bars.suspend(|| {
                    stdout::line(path.display());
                });
            }
            Event::BinaryFetch { package, .. } => self.start(package),
            Event::BinaryUsed {
                package,
                path,
                host,
                ..
            } => {
                self.finish(package);
                let from = match host {
                    Some(host) => format!(" of {host}"),
                    None => String::new(),
                };
                self.print(&format!(
                    "{} for {package}: {}{from}",
                    self.paint.good("binary package used"),
                    path.display()
                ));
                self.bars.suspend(|| {
                    stdout::line(path.display());
                });
            }
            Event::BinaryUnfit { package, unfit } => {
                self.finish(package);
                self.unfit(package, unfit);
            }
            Event::Stopped {
                package,
                directory,
                seconds,
            } => {
                self.finish(package);
                self.print(&format!(
                    "{} {package} in {}; to go on: ebd build --resume ={package} (with the same options)",
                    self.paint.good("stopped"),
                    duration(*seconds)
                ));
                self.say(package);
                self.bars.suspend(|| {
                    stdout::line(directory.display());
                });
            }
            Event::Failed { package, .. } => {
                self.finish(package);
                self.say(package);
                self.fail(event);
            }
            Event::Skipped {
                package,
                because_of,
            } => {
                self.finish(package);
                self.complain(&format!(
                    "{} {package}: it needs {because_of}, which could not be built",
                    self.paint.warn("skipped")
                ));
            }
        }
    }

    /// Begins the line of a package.
    fn start(&mut self, package: &str) {
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {prefix:.bold}  {msg}  {elapsed}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(package.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.packages.insert(
            package.to_owned(),
            Line {
                bar,
                since: Instant::now(),
            },
        );
    }

    /// Takes the living lines away, for somebody else to have the terminal.
    pub(super) fn hide(&mut self) {
        for (_, line) in self.packages.drain() {
            line.bar.finish_and_clear();
        }
    }

    /// Shows what the package's line is at.
    fn step(&self, package: &str, phase: &str, detail: &str) {
        if let Some(line) = self.packages.get(package) {
            line.bar.set_message(if detail.is_empty() {
                phase.to_owned()
            } else {
                format!("{phase} {detail}")
            });
        }
    }

    /// Ends the line of a package and gives the time since it began.
    fn finish(&mut self, package: &str) -> Duration {
        self.packages
            .remove(package)
            .map_or(Duration::ZERO, |line| {
                line.bar.finish_and_clear();
                line.since.elapsed()
            })
    }

    /// Shows what the package's ebuild had to say.
    fn say(&mut self, package: &str) {
        for (level, text) in self.messages.remove(package).unwrap_or_default() {
            let mark = match level.as_str() {
                "error" => self.paint.bad("*"),
                "warn" | "qa" => self.paint.warn("*"),
                _ => self.paint.good("*"),
            };
            self.print(&format!("  {mark} {text}"));
        }
    }

    /// Shows which binary packages were not used, a few of them.
    fn unfit(&self, package: &str, unfit: &[UnfitBinary]) {
        let shown = match self.verbosity {
            Verbosity::Verbose => unfit.len(),
            _ => SHOWN_UNFIT,
        };
        let mut text = format!(
            "{} {package}: binary packages that are not used:",
            self.paint.bold("note:")
        );
        for binary in unfit.iter().take(shown) {
            let host = match &binary.host {
                Some(host) => format!(" of {host}"),
                None => String::new(),
            };
            text.push_str(&format!("\n  {}{host}: {}", binary.path, binary.reason));
        }
        if unfit.len() > shown {
            text.push_str(&format!(
                "\n  and {} more (--verbose or --json shows them)",
                unfit.len() - shown
            ));
        }
        self.print(&text);
    }

    /// Shows a failure: what, why, where, the end of the log and what to do.
    fn fail(&self, event: &Event) {
        let Event::Failed {
            package,
            phase,
            causes,
            place,
            log,
            last_lines,
            resumable,
        } = event
        else {
            return;
        };
        let mut text = String::new();
        let what = phase
            .as_ref()
            .map_or_else(String::new, |phase| format!(" in the {phase} phase"));
        text.push_str(&format!(
            "{} {package}: could not be built{what}",
            self.paint.bad("error:")
        ));
        for cause in causes {
            text.push_str(&format!("\n  because: {}", cause.replace('\n', "\n    ")));
        }
        if let Some(place) = place {
            text.push_str(&format!("\n  at: {place}"));
        }
        if !last_lines.is_empty() {
            text.push_str("\n  the end of its log:");
            for line in last_lines {
                text.push_str(&format!("\n  | {line}"));
            }
        }
        if let Some(log) = log {
            text.push_str(&format!("\n  log: {}", log.display()));
            if let Some(dir) = log.parent().and_then(std::path::Path::parent) {
                text.push_str(&format!("\n  its files: {}", dir.display()));
            }
        }
        let in_phase = phase
            .as_deref()
            .is_some_and(|name| crate::pms::phase::Phase::from_name(name).is_some());
        if *resumable && in_phase {
            text.push_str(
                "\n  to look at it: ebd shell --failed (with the same --tmpdir, if there was one)",
            );
        }
        if *resumable {
            text.push_str(&format!(
                "\n  to go on from here: ebd build --resume ={package} (with the same options)"
            ));
        }
        self.complain(&text);
    }

    /// Prints a line that only the quiet do not want.
    fn print(&self, line: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.complain(line);
        }
    }

    /// Prints a line whatever the verbosity.
    fn complain(&self, line: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{line}");
        });
    }
}

/// Seconds as a person reads them.
fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_are_short() {
        assert_eq!(super::duration(0.04), "0.0 s");
        assert_eq!(super::duration(59.94), "59.9 s");
        assert_eq!(super::duration(61.0), "1 min 1 s");
    }
}
