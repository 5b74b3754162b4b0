//! `ebd confcache`.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::arguments::{self, ConfcachePlace, ConfcacheWork};
use super::exit::Exit;
use super::stdout;
use crate::confcache::{
    Asked, Cache, Call, CallError, Compiled, Limits, Outcome, Rules, RunError, Session, Stream,
    Summary, Told, Tracer,
};
use crate::config::{Options, cache_directory, own_directory};
use crate::util::causes::causes;
use crate::util::printable::printable;

/// The status when the command was not run because of what was asked for, as `env` has it.
const NOT_RUN: u8 = 125;

/// How many facts are told of one call.
const TOLD: usize = 20;

/// More than this is pruned without being asked to, in bytes.
const LARGE: u64 = 2 << 30;

/// Runs `ebd confcache`.
pub(super) fn main(arguments: &arguments::Confcache) -> Exit {
    let done = match &arguments.what {
        None => run(arguments),
        Some(ConfcacheWork::Stats { cache, json }) => stats(&folder(cache), *json),
        Some(ConfcacheWork::List { cache, json }) => list(&folder(cache), *json),
        Some(ConfcacheWork::Why {
            cache,
            variable: Some(variable),
            ..
        }) => why_answer(&folder(cache), variable),
        Some(ConfcacheWork::Why { cache, command, .. }) => why(&folder(cache), command),
        Some(ConfcacheWork::Prune {
            cache,
            unused,
            size,
            pretend,
        }) => prune(&folder(cache), *unused, *size, *pretend),
        Some(ConfcacheWork::Clear { cache }) => clear(&folder(cache)),
        Some(ConfcacheWork::Check { cache }) => check(&folder(cache)),
    };
    match done {
        Ok(exit) => exit,
        Err(told) => {
            for (at, cause) in told.iter().enumerate() {
                let lead = if at == 0 { "ebd: " } else { "  because: " };
                say(&format!("{lead}{cause}"));
            }
            match arguments.what {
                None => Exit::Status(NOT_RUN),
                Some(_) => Exit::Failed,
            }
        }
    }
}

/// A line for people.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line that was asked for.
fn print(line: &str) {
    stdout::line(line);
}

/// Where the cache is, or why that is not known.
fn folder(place: &ConfcachePlace) -> Result<PathBuf, Vec<String>> {
    if let Some(path) = &place.dir {
        return std::path::absolute(path)
            .map_err(|error| vec![format!("{}: is no path", path.display()), error.to_string()]);
    }
    match cache_directory(&Options::from_process()) {
        Ok(Some(folder)) => Ok(folder.join("confcache")),
        Ok(None) => Err(vec![
            "there is no place for the cache: set HOME, XDG_CACHE_HOME or --dir".to_owned(),
        ]),
        Err(error) => Err(causes(&error)),
    }
}

type Folder<'a> = &'a Result<PathBuf, Vec<String>>;

fn cache(folder: Folder<'_>) -> Result<Cache, Vec<String>> {
    folder.clone().map(|folder| Cache::at(&folder))
}

/// The table of what is left out of account.
fn rules() -> Result<Rules, Vec<String>> {
    match own_directory(&Options::from_process()) {
        Some(folder) => Rules::read(&folder.join("confcache.conf")).map_err(|error| causes(&error)),
        None => Ok(Rules::default()),
    }
}

/// Runs the command, or puts back what is known of it.
fn run(arguments: &arguments::Confcache) -> Result<Exit, Vec<String>> {
    if arguments.command.is_empty() {
        return Err(vec![
            "there is no command: ebd confcache -- ./configure …; --help tells the rest".to_owned(),
        ]);
    }
    let rules = rules()?;
    let call = match Call::of_this_process(&arguments.command, &rules) {
        Ok(call) => call,
        Err(error) => {
            say(&format!(
                "ebd: confcache: {}; it is run as ever",
                causes(&error).join(": ")
            ));
            return uncached(&arguments.command, &error);
        }
    };
    let cache = match cache(&folder(&arguments.cache)) {
        Ok(cache) => cache,
        Err(told) => {
            say(&format!(
                "ebd: confcache: {}; it is run as ever",
                told.join(": ")
            ));
            return uncached(&arguments.command, &CallError::Empty);
        }
    };
    if cache.folder().starts_with(call.directory()) {
        say(&format!(
            "ebd: confcache: {}: is in the folder that is configured; it is run as ever",
            cache.folder().display()
        ));
        return uncached(&arguments.command, &CallError::Empty);
    }
    let session = Session {
        tracer: Tracer::Own(std::env::current_exe().map_err(|error| {
            vec![
                "ebd's own program cannot be found".to_owned(),
                error.to_string(),
            ]
        })?),
        answers: (!arguments.no_answers).then(|| cache.answers()),
        build: None,
        cache,
        learned: None,
        rules,
        verify: arguments.verify,
        replays: !arguments.no_replay,
    };
    let ran = match session.run(&call, &forward) {
        Ok(ran) => ran,
        Err(error) => return Ok(not_run(&error)),
    };
    for warning in &ran.warnings {
        say(&format!("ebd: confcache: {warning}"));
    }
    if arguments.verbose {
        let held = ran.held.map_or_else(String::new, |(facts, took)| {
            format!("; that {facts} facts hold was found out in {took:.1?}")
        });
        say(&format!("ebd: confcache: {}{held}", told(&ran.outcome)));
        if !ran.asked.is_empty() || ran.compiled != Compiled::default() {
            say(&format!("ebd: confcache: {}", told_of_checks(&ran.asked)));
            say(&format!(
                "ebd: confcache: {}",
                told_of_compilers(&ran.compiled)
            ));
        }
    }
    if matches!(ran.outcome, Outcome::Learned { .. }) && session.cache.summary().bytes > LARGE {
        let limits = Limits {
            size: Some(LARGE / 2),
            ..Limits::default()
        };
        let _ = session.cache.prune(limits, false);
    }
    if !ran.mismatches.is_empty() {
        say(&format!(
            "ebd: confcache: {}: what is known is not what was made, with key {} and unchanged facts",
            call.script().display(),
            call.key()
        ));
        for mismatch in &ran.mismatches {
            say(&format!("  {mismatch}"));
        }
        return Ok(Exit::Failed);
    }
    Ok(Exit::Status(ran.status))
}

/// Passes on what a command prints.
fn forward(stream: Stream, bytes: &[u8]) {
    match stream {
        Stream::Output => stdout::write(bytes),
        Stream::Error => {
            let _ = std::io::stderr().lock().write_all(bytes);
        }
    }
}

/// Runs the script of an `econf`, or puts back what is known of it: the words behind [`ROLE`].
///
/// [`ROLE`]: crate::confcache::ROLE
pub(super) fn in_build(words: &[OsString]) -> Exit {
    let [trace, cache, answers, learned, build, command @ ..] = words else {
        return Exit::Usage;
    };
    let rules = Rules::default();
    let call = match Call::of_this_process(command, &rules) {
        Ok(call) => call,
        Err(error) => {
            say(&format!(
                " * confcache: {}; it is run as ever",
                causes(&error).join(": ")
            ));
            return uncached(command, &error).unwrap_or(Exit::Failed);
        }
    };
    let session = Session {
        tracer: Tracer::Around(trace.into()),
        cache: Cache::at(Path::new(cache)),
        learned: Some(Cache::at(Path::new(learned))),
        rules,
        verify: false,
        replays: true,
        answers: Some(answers.into()),
        build: Some(build.into()),
    };
    let ran = match session.run(&call, &forward) {
        Ok(ran) => ran,
        Err(error) => return not_run(&error),
    };
    for warning in &ran.warnings {
        say(&format!(" * confcache: {warning}"));
    }
    say(&format!(" * confcache: {}", told(&ran.outcome)));
    if !ran.asked.is_empty() {
        say(&format!(" * confcache: {}", told_of_checks(&ran.asked)));
    }
    for mismatch in &ran.mismatches {
        say(&format!(" *   {mismatch}"));
    }
    match ran.mismatches.is_empty() {
        true => Exit::Status(ran.status),
        false => Exit::Failed,
    }
}

/// Becomes the command, of which nothing can be known.
fn uncached(words: &[OsString], error: &CallError) -> Result<Exit, Vec<String>> {
    use std::os::unix::process::CommandExt;
    let Some((program, rest)) = words.split_first() else {
        return Err(causes(error));
    };
    let source = std::process::Command::new(program).args(rest).exec();
    Ok(not_run(&RunError::Start {
        program: printable(program),
        source,
    }))
}

/// A command that could not be run, as shells tell it.
fn not_run(error: &RunError) -> Exit {
    for (at, cause) in causes(error).iter().enumerate() {
        let lead = if at == 0 { "ebd: " } else { "  because: " };
        say(&format!("{lead}{cause}"));
    }
    match error {
        RunError::Start { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Exit::Status(127)
        }
        _ => Exit::Status(126),
    }
}

/// What became of a call, for people.
fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Hit { saved } => format!("put back what a run of {} had made", seconds(*saved)),
        Outcome::Learned { why } => format!("run and kept: {why}"),
        Outcome::Untaught { why, reason } => format!("run ({why}) and not kept: {reason}"),
        Outcome::Verified => "run and the same as what is known".to_owned(),
        Outcome::Differed { what } => format!("run and not the same as what is known: {what}"),
    }
}

/// What became of the checks of a run, for people.
fn told_of_checks(asked: &[Asked]) -> String {
    let (mut known, mut saved, mut learned, mut verified, mut differed) = (0, 0, 0, 0, 0);
    for one in asked {
        match &one.told {
            Told::Known(took) => {
                known += 1;
                saved += took;
            }
            Told::Learned(_) => learned += 1,
            Told::Unlearned(..) => {}
            Told::Verified => verified += 1,
            Told::Differed { .. } => differed += 1,
        }
    }
    let mut text = format!(
        "of {} checks {known} were answered (which had taken {}), {learned} learned",
        asked.len(),
        seconds(saved / 1000)
    );
    if verified + differed > 0 {
        text.push_str(&format!(
            "; {verified} are as was known, {differed} are not"
        ));
    }
    text
}

/// What became of its compilers, for people.
fn told_of_compilers(compiled: &Compiled) -> String {
    let Compiled {
        looked_up,
        looking,
        known,
        saved,
        learned,
        unlearned,
    } = compiled;
    format!(
        "of {} runs of compilers {known} were answered (which had taken {}), {learned} learned; {looked_up} times \
         something was looked up, for {} µs each",
        known + learned + unlearned,
        seconds(saved / 1000),
        looking / u64::from(*looked_up).max(1)
    )
}

/// Milliseconds as seconds.
#[allow(clippy::cast_precision_loss)]
fn seconds(milliseconds: u64) -> String {
    format!("{:.1} s", milliseconds as f64 / 1000.0)
}

#[allow(clippy::cast_precision_loss)]
fn amount(summary: Summary) -> String {
    let entries = if summary.entries == 1 {
        "entry"
    } else {
        "entries"
    };
    let answers = match summary.answers {
        0 => String::new(),
        1 => ", answers of 1 run".to_owned(),
        runs => format!(", answers of {runs} runs"),
    };
    format!(
        "{} {entries}{answers}, {:.1} MB",
        summary.entries,
        summary.bytes as f64 / 1e6
    )
}

fn stats(folder: Folder<'_>, as_json: bool) -> Result<Exit, Vec<String>> {
    let cache = cache(folder)?;
    let (summary, records) = (cache.summary(), cache.records());
    let count = |is: fn(&Outcome) -> bool| records.iter().filter(|r| is(&r.outcome)).count();
    let hits = count(|outcome| matches!(outcome, Outcome::Hit { .. }));
    let learned = count(|outcome| matches!(outcome, Outcome::Learned { .. }));
    let untaught = count(|outcome| matches!(outcome, Outcome::Untaught { .. }));
    let verified = count(|outcome| matches!(outcome, Outcome::Verified));
    let differed = count(|outcome| matches!(outcome, Outcome::Differed { .. }));
    let (mut saved, mut spent) = (0, 0);
    for record in &records {
        if let Outcome::Hit { saved: run } = record.outcome {
            saved += run;
            spent += record.took;
        }
    }
    if as_json {
        print(
            &json!({
                "folder": cache.folder().display().to_string(),
                "entries": summary.entries,
                "files_with_answers": summary.answers,
                "bytes": summary.bytes,
                "put_back": hits,
                "learned": learned,
                "not_kept": untaught,
                "verified": verified,
                "differed": differed,
                "milliseconds_of_runs": saved,
                "milliseconds_instead": spent,
            })
            .to_string(),
        );
        return Ok(Exit::Done);
    }
    print(&format!(
        "{}: {}",
        cache.folder().display(),
        amount(summary)
    ));
    print(&format!(
        "  put back    {hits:>6}  in {} instead of {}",
        seconds(spent),
        seconds(saved)
    ));
    print(&format!("  learned     {learned:>6}"));
    print(&format!("  not kept    {untaught:>6}"));
    print(&format!("  verified    {verified:>6}"));
    print(&format!("  differed    {differed:>6}"));
    Ok(Exit::Done)
}

fn list(folder: Folder<'_>, as_json: bool) -> Result<Exit, Vec<String>> {
    let cache = cache(folder)?;
    for (path, entry) in cache.entries() {
        let Some(entry) = entry else {
            say(&format!("ebd: confcache: {}: is damaged", path.display()));
            continue;
        };
        let (directory, script) = (
            printable(entry.directory().as_os_str()),
            printable(entry.script().as_os_str()),
        );
        if as_json {
            print(
                &json!({
                    "file": path.display().to_string(),
                    "directory": directory,
                    "script": script,
                    "at": entry.at(),
                    "milliseconds": entry.took(),
                    "facts": entry.facts().len(),
                    "changes": entry.changes(),
                })
                .to_string(),
            );
        } else {
            print(&format!(
                "{directory}: {script}, {}, {} facts, {} changes",
                seconds(entry.took()),
                entry.facts().len(),
                entry.changes()
            ));
        }
    }
    Ok(Exit::Done)
}

fn why(folder: Folder<'_>, command: &[OsString]) -> Result<Exit, Vec<String>> {
    let cache = cache(folder)?;
    if command.is_empty() {
        let directory = std::env::current_dir().and_then(|path| path.canonicalize());
        let directory = directory.map_err(|error| {
            vec![
                "the working directory cannot be found".to_owned(),
                error.to_string(),
            ]
        })?;
        let directory = printable(directory.as_os_str());
        let records = cache.records();
        let mut any = false;
        for record in records
            .iter()
            .filter(|record| record.directory == directory)
        {
            any = true;
            print(&format!("{}: {}", record.script, told(&record.outcome)));
        }
        if !any {
            print(&format!("{directory}: nothing was run here"));
        }
        return Ok(Exit::Done);
    }
    let rules = rules()?;
    let call = Call::of_this_process(command, &rules).map_err(|error| causes(&error))?;
    let script = printable(call.script().as_os_str());
    match cache.find(&call, &rules, false) {
        crate::confcache::Found::Valid(entry) => print(&format!(
            "{script}: would be put back: all {} facts hold",
            entry.facts().len()
        )),
        crate::confcache::Found::Nothing {
            different, damaged, ..
        } => {
            let broken = cache.broken(&call, &rules).unwrap_or_default();
            let reasons: Vec<String> = broken
                .iter()
                .map(ToString::to_string)
                .chain(different.iter().map(ToString::to_string))
                .chain(
                    damaged
                        .iter()
                        .map(|path| format!("{}: is damaged", path.display())),
                )
                .collect();
            if reasons.is_empty() {
                print(&format!(
                    "{script}: would be run: nothing like it was run before"
                ));
            } else {
                print(&format!("{script}: would be run:"));
            }
            for reason in reasons.iter().take(TOLD) {
                print(&format!("  {reason}"));
            }
            if reasons.len() > TOLD {
                print(&format!("  and {} more", reasons.len() - TOLD));
            }
        }
    }
    Ok(Exit::Done)
}

/// Tells what became of checks of the last run in this folder.
fn why_answer(folder: Folder<'_>, wanted: &str) -> Result<Exit, Vec<String>> {
    let cache = cache(folder)?;
    let directory = std::env::current_dir().and_then(|path| path.canonicalize());
    let directory = directory.map_err(|error| {
        vec![
            "the working directory cannot be found".to_owned(),
            error.to_string(),
        ]
    })?;
    let Some(asked) = cache.asked_in(&directory) else {
        return Err(vec![format!(
            "{}: no script that was run here asked for answers: run it with ebd confcache",
            directory.display()
        )]);
    };
    let pattern = glob::Pattern::new(wanted)
        .map_err(|error| vec![format!("{wanted}: is no pattern"), error.to_string()])?;
    let mut any = false;
    for one in asked.iter().filter(|one| pattern.matches(&one.variable)) {
        any = true;
        let told = match &one.told {
            Told::Known(took) => format!("was known; it had taken {}", seconds(took / 1000)),
            Told::Learned(why) => format!("was found out and kept: {why}"),
            Told::Unlearned(why, reason) => format!("was found out ({why}) and not kept: {reason}"),
            Told::Verified => "was found out and is as was known".to_owned(),
            Told::Differed { known, found } => {
                format!("was known as {known:?} and found as {found:?}")
            }
        };
        print(&format!("{}: {told}", one.variable));
    }
    if !any {
        return Err(vec![format!(
            "{wanted}: the last run in {} did not ask for it",
            directory.display()
        )]);
    }
    Ok(Exit::Done)
}

fn prune(
    folder: Folder<'_>,
    unused: Option<u64>,
    size: Option<u64>,
    pretend: bool,
) -> Result<Exit, Vec<String>> {
    if unused.is_none() && size.is_none() {
        return Err(vec![
            "say what is to go: --unused DAYS or --size MB".to_owned(),
        ]);
    }
    let cache = cache(folder)?;
    let limits = Limits {
        unused: unused.map(|days| Duration::from_secs(days.saturating_mul(24 * 60 * 60))),
        size: size.map(|size| size.saturating_mul(1_000_000)),
    };
    let gone = cache
        .prune(limits, pretend)
        .map_err(|error| causes(&error))?;
    let verb = if pretend { "would remove" } else { "removed" };
    print(&format!(
        "{verb} {}; {} left",
        amount(gone),
        amount(cache.summary())
    ));
    Ok(Exit::Done)
}

fn clear(folder: Folder<'_>) -> Result<Exit, Vec<String>> {
    let cache = cache(folder)?;
    let gone = cache.clear().map_err(|error| causes(&error))?;
    print(&format!("removed {}", amount(gone)));
    Ok(Exit::Done)
}

fn check(folder: Folder<'_>) -> Result<Exit, Vec<String>> {
    let cache = cache(folder)?;
    let (mut whole, mut damaged) = (0_usize, Vec::new());
    for (path, entry) in cache.entries() {
        match entry {
            Some(_) => whole += 1,
            None => damaged.push(path),
        }
    }
    for path in &damaged {
        say(&format!(
            "ebd: confcache: {}: is damaged, and removed",
            path.display()
        ));
    }
    let (broken, answers) = cache.check_answers();
    for path in &broken {
        say(&format!(
            "ebd: confcache: {}: is damaged, and removed",
            path.display()
        ));
    }
    whole += answers;
    damaged.extend(broken);
    cache.discard(&damaged);
    print(&format!("{whole} whole, {} damaged", damaged.len()));
    Ok(match damaged.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}
