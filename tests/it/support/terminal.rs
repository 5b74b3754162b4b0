//! A person at a terminal: types, and looks at what comes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use sandbox::terminal::Pty;

use super::EBD;

/// How long a person waits for something to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// A person at a terminal of 100 columns and 30 lines, at which a command runs.
pub(crate) struct Person {
    pty: Option<Pty>,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// Everything that was seen.
    seen: String,
    /// Up to where it was looked at.
    at: usize,
    child: Child,
}

impl Person {
    /// Starts the command at a terminal of its own.
    pub(crate) fn start(command: &Command) -> Self {
        let pty = Pty::open().unwrap();
        pty.resize(30, 100).unwrap();
        let mut own = Command::new(EBD);
        own.args(sandbox::terminal::arguments(Some(pty.path())))
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            own.env(name, value.unwrap_or_default());
        }
        own.env("TERM", "xterm").env("NO_COLOR", "1");
        if let Some(folder) = command.get_current_dir() {
            own.current_dir(folder);
        }
        let child = own.spawn().unwrap();
        let mut output = pty.file().unwrap();
        let (sender, screen) = channel();
        let flags = OFlag::from_bits_retain(fcntl(&output, FcntlArg::F_GETFL).unwrap());
        fcntl(&output, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                // Nothing to read, or nobody who prints: the end is told by the command's.
                let read = output.read(&mut buffer).unwrap_or(0);
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
                if read == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        Self {
            keyboard: pty.file().unwrap(),
            pty: Some(pty),
            screen,
            seen: String::new(),
            at: 0,
            child,
        }
    }

    /// Types a line.
    pub(crate) fn types(&mut self, line: &str) -> &mut Self {
        self.presses(format!("{line}\r").as_bytes())
    }

    /// Presses keys.
    pub(crate) fn presses(&mut self, keys: &[u8]) -> &mut Self {
        self.keyboard.write_all(keys).unwrap();
        self
    }

    /// Waits until `text` appears behind what was looked at, and gives what stands before it.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) -> String {
        self.sees_one(&[text])
    }

    /// The same for the first of several texts to appear.
    #[track_caller]
    fn sees_one(&mut self, texts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ahead = &self.seen[self.at..];
            let places = texts.iter().map(|text| Some((ahead.find(text)?, text)));
            if let Some((found, text)) = places.flatten().min() {
                let before = self.seen[self.at..self.at + found].to_owned();
                self.at += found + text.len();
                return before;
            }
            if let Ok(bytes) = self.screen.recv_timeout(Duration::from_millis(50)) {
                self.seen.push_str(&String::from_utf8_lossy(&bytes));
            }
            assert!(
                Instant::now() < deadline,
                "{texts:?} does not appear; the screen shows:\n{}\n--- of which this was looked at:\n{}",
                self.seen,
                &self.seen[..self.at]
            );
        }
    }

    /// Types a line at the prompt and waits for the next prompt: gives what appears between.
    #[track_caller]
    pub(crate) fn does(&mut self, line: &str) -> String {
        self.types(line);
        // The line as it is echoed, and the end of bracketed pastes.
        self.sees("\r\n");
        self.sees("\x1b[?2004l\r");
        self.prompt().replace("\r\n", "\n")
    }

    /// Waits for the prompt, and gives what appears before it.
    #[track_caller]
    pub(crate) fn prompt(&mut self) -> String {
        // Bash asks for bracketed pastes at each prompt, and at no other time.
        let before = self.sees("\x1b[?2004h");
        self.sees_one(&[" # ", " $ "]);
        before
    }

    /// Makes the terminal larger or smaller.
    pub(crate) fn resizes(&self, rows: u16, columns: u16) {
        self.pty.as_ref().unwrap().resize(rows, columns).unwrap();
    }

    /// Waits for the end of the command, and gives its status as a shell does.
    #[track_caller]
    pub(crate) fn leaves(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Ok(bytes) = self.screen.try_recv() {
                self.seen.push_str(&String::from_utf8_lossy(&bytes));
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                return status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap());
            }
            assert!(
                Instant::now() < deadline,
                "it does not end; the screen shows:\n{}",
                self.seen
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that was seen.
    pub(crate) fn seen(&mut self) -> &str {
        let deadline = Instant::now() + Duration::from_millis(100);
        while Instant::now() < deadline {
            if let Ok(bytes) = self.screen.recv_timeout(Duration::from_millis(20)) {
                self.seen.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        &self.seen
    }

    /// Goes away with the terminal, as a lost connection does.
    pub(crate) fn hangs_up(mut self) -> Child {
        drop(self.pty.take());
        let Self {
            child,
            screen,
            keyboard,
            ..
        } = self;
        drop(keyboard);
        // The thread that reads has the last copy, and ends when nobody hears it.
        drop(screen);
        child
    }
}
