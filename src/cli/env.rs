//! `ebd env`.

use serde_json::{Value as Json, json};
use similar::TextDiff;

use super::arguments;
use super::build::{self, Failure};
use super::exit::Exit;
use super::show::telling;
use super::signals;
use super::stdout;
use crate::build::event::Events;
use crate::build::failure::Origin as Call;
use crate::build::origins::History;
use crate::build::package::{Settings, Until, Which, environment};
use crate::build::plan;
use crate::pms::phase::Phase;
use crate::processor::environment::{Change, Difference, Environment, Function, Variable};
use crate::util::printable::printable;

/// Runs `ebd env`.
pub(super) fn main(arguments: arguments::Env) -> Exit {
    let display = arguments.around.display.clone();
    signals::run(&display, work(arguments))
}

async fn work(arguments: arguments::Env) -> Result<Exit, Failure> {
    let display = arguments.around.display.clone();
    // What is printed is the environment, in JSON too.
    let result = telling(display.aside(), |events, _| execute(&arguments, events)).await;
    stdout::write(result?.as_bytes());
    Ok(Exit::Done)
}

async fn execute(arguments: &arguments::Env, events: Events) -> Result<String, Failure> {
    let processors = build::processors(&arguments.around.places)?;
    let session = build::session(
        &arguments.around.places,
        &arguments.around.stores,
        processors,
        events,
        &arguments.degrade.features,
        &[],
    )?;
    let settings = Settings {
        resume: false,
        until: Until::Package,
        keep: false,
        verbose: false,
        phase_limit: None,
        format: None,
        origin: Call::default(),
        on_failure: None,
    };
    let candidate = plan::choose(&session, &arguments.atom).await?;
    let which = match &arguments.phase {
        None => Which::Last,
        Some(text) => named(text)?,
    };
    let found = environment(&session, &candidate, &settings, &which).await;
    let (new, history) = found?;
    let text = match &arguments.diff {
        None if arguments.around.display.json => as_json(&new, &history).to_string() + "\n",
        None => as_text(&new, &history),
        Some(other) => {
            let other = named(other).unwrap_or_else(|_| Which::File(other.into()));
            let (old, _) = environment(&session, &candidate, &settings, &other).await?;
            let difference = Difference::between(&old, &new);
            match arguments.around.display.json {
                true => difference_as_json(&old, &new, &difference, &history).to_string() + "\n",
                false => difference_as_text(&old, &new, &difference, &history),
            }
        }
    };
    session.pool.end().await;
    Ok(text)
}

/// The environment that a word names.
fn named(text: &str) -> Result<Which, Failure> {
    match text {
        "sourced" => return Ok(Which::Sourced),
        "failed" => return Ok(Which::Failed),
        _ => {}
    }
    let phase = Phase::from_name(text).or_else(|| Phase::from_function(text));
    phase.map(Which::After).ok_or_else(|| {
        Failure(vec![format!(
            "{text}: is no phase; environments are named by the phase that they are after, sourced or failed"
        )])
    })
}

/// A value as it stands in the environment, on one line.
fn value_text(variable: Variable<'_>) -> String {
    match variable.value() {
        None => String::new(),
        Some(value) => printable(String::from_utf8_lossy(value.text()).as_ref().as_ref()),
    }
}

/// Where something was set, as a comment.
fn comment(origin: Option<crate::build::origins::Origin>) -> String {
    origin.map_or_else(String::new, |origin| format!("  # {origin}"))
}

fn name_text(function: &[u8]) -> String {
    printable(String::from_utf8_lossy(function).as_ref().as_ref())
}

fn as_text(environment: &Environment, history: &History) -> String {
    let mut text = String::new();
    for variable in environment.variables() {
        let name = variable.name();
        let export = if variable.attributes().is_exported() {
            "export "
        } else {
            ""
        };
        text.push_str(&format!(
            "{export}{name}={}{}\n",
            value_text(variable),
            comment(history.of_variable(name))
        ));
    }
    for function in environment.functions() {
        text.push_str(&format!(
            "{}(){}\n",
            name_text(function.name()),
            comment(history.of_function(function.name()))
        ));
    }
    text
}

/// A value as JSON: a string, or the elements of an array with their subscripts.
fn value_json(variable: Option<Variable<'_>>) -> Json {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let Some(value) = variable.and_then(|variable| variable.value()) else {
        return Json::Null;
    };
    match value.scalar() {
        Some(bytes) => json!(text(&bytes)),
        None => value
            .elements()
            .iter()
            .map(|element| json!([element.subscript.as_deref().map(text), text(&element.value)]))
            .collect(),
    }
}

fn body_json(function: Option<Function<'_>>) -> Json {
    function.map_or(Json::Null, |it| json!(String::from_utf8_lossy(it.body())))
}

fn as_json(environment: &Environment, history: &History) -> Json {
    let variables = environment.variables().map(|variable| {
        json!({
            "name": variable.name(),
            "exported": variable.attributes().is_exported(),
            "readonly": variable.attributes().is_readonly(),
            "value": value_json(Some(variable)),
            "origin": history.of_variable(variable.name()),
        })
    });
    let functions = environment.functions().map(|function| {
        json!({
            "name": String::from_utf8_lossy(function.name()),
            "body": body_json(Some(function)),
            "origin": history.of_function(function.name()),
        })
    });
    json!({
        "variables": variables.collect::<Vec<_>>(),
        "functions": functions.collect::<Vec<_>>(),
    })
}

fn difference_as_text(
    old: &Environment,
    new: &Environment,
    difference: &Difference,
    history: &History,
) -> String {
    let mut text = String::new();
    for (name, change) in &difference.variables {
        if *change != Change::Added
            && let Some(variable) = old.variable(name)
        {
            text.push_str(&format!("- {name}={}\n", value_text(variable)));
        }
        if *change != Change::Removed
            && let Some(variable) = new.variable(name)
        {
            let origin = comment(history.of_variable(name));
            text.push_str(&format!("+ {name}={}{origin}\n", value_text(variable)));
        }
    }
    for (name, change) in &difference.functions {
        let mark = match change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Changed => '~',
        };
        let origin = match change {
            Change::Removed => String::new(),
            _ => comment(history.of_function(name)),
        };
        text.push_str(&format!("{mark} {}(){origin}\n", name_text(name)));
        if let (Change::Changed, Some(old), Some(new)) =
            (change, old.function(name), new.function(name))
        {
            let (old, new) = (
                String::from_utf8_lossy(old.body()),
                String::from_utf8_lossy(new.body()),
            );
            let lines = TextDiff::from_lines(&*old, &*new);
            for hunk in lines
                .unified_diff()
                .context_radius(2)
                .missing_newline_hint(false)
                .iter_hunks()
            {
                for line in hunk.to_string().lines() {
                    text.push_str(&format!("    {}\n", printable(line.as_ref())));
                }
            }
        }
    }
    text
}

fn difference_as_json(
    old: &Environment,
    new: &Environment,
    difference: &Difference,
    history: &History,
) -> Json {
    let variables = difference.variables.iter().map(|(name, change)| {
        json!({
            "name": name,
            "change": change.word(),
            "old": value_json(old.variable(name)),
            "new": value_json(new.variable(name)),
            "origin": history.of_variable(name),
        })
    });
    let functions = difference.functions.iter().map(|(name, change)| {
        json!({
            "name": String::from_utf8_lossy(name),
            "change": change.word(),
            "old": body_json(old.function(name)),
            "new": body_json(new.function(name)),
            "origin": history.of_function(name),
        })
    });
    json!({
        "variables": variables.collect::<Vec<_>>(),
        "functions": functions.collect::<Vec<_>>(),
    })
}
