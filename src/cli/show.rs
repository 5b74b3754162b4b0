//! Showing what happens, and lending the terminal meanwhile.

use std::io::Write;

use tokio::sync::mpsc::UnboundedReceiver;

use super::arguments::Display;
use super::paint::Paint;
use super::progress::{Progress, Verbosity};
use super::stdout;
use super::terminal;
use crate::build::console::{Console, Greeting, Request, Standing};
use crate::build::event::{Event, Events};

/// Does some work, and shows what happens meanwhile.
pub(super) async fn telling<W: Future>(
    display: Display,
    work: impl FnOnce(Events, Console) -> W,
) -> W::Output {
    let (events, told) = Events::new();
    let (console, requests) = Console::new();
    let printer = tokio::spawn(show(display, told, requests));
    let done = work(events, console).await;
    // All senders are gone with the work, so the printer comes to its end.
    let _ = printer.await;
    done
}

/// Shows events until all who could tell one are gone. While a shell has the terminal they wait.
async fn show(
    display: Display,
    mut events: UnboundedReceiver<Event>,
    mut requests: UnboundedReceiver<Request>,
) {
    let paint = Paint::new(display.color);
    let verbosity = match (display.quiet, display.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let mut progress = (!display.json).then(|| Progress::new(verbosity, paint));
    let mut asked = true;
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match (event, &mut progress) {
                (None, _) => return,
                (Some(event), Some(progress)) => progress.show(&event),
                (Some(event), None) => print_json(&event),
            },
            request = requests.recv(), if asked => match request {
                None => asked = false,
                Some(request) => {
                    if let Some(progress) = &mut progress {
                        progress.hide();
                    }
                    if !display.quiet {
                        greet(&request.greeting, paint);
                    }
                    terminal::lend(request.reply, request.identity.as_ref(), paint.is_on()).await;
                }
            },
        }
    }
}

/// Prints an event as one line of JSON.
fn print_json(event: &Event) {
    if let Ok(line) = serde_json::to_string(event) {
        stdout::line(line);
    }
}

/// Says where somebody comes in, and how to find out more.
fn greet(greeting: &Greeting, paint: Paint) {
    let standing = match greeting.standing {
        Standing::Before => "before",
        Standing::After => "behind",
        Standing::Failed => "in",
    };
    let mut text = format!(
        "{} {standing} {}, below {}\n",
        paint.bold(&greeting.package),
        greeting.function,
        greeting.directory.display()
    );
    for note in &greeting.notes {
        text.push_str(&format!("  {note}\n"));
    }
    text.push_str("  help tells what can be done here, exit leaves\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
}
