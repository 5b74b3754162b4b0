//! What it costs to keep an environment and to load it again.
//!
//! A real processor sources an ebuild that sets 2000 variables and defines 2000 functions, about
//! half a megabyte as bash prints them. Then, the median of many turns each:
//!
//! * *save, what the build waits for*: how much later the shell takes its next command because it
//!   was told to save before. It forks; the fork writes, the build goes on.
//! * *save, in the background*: from that command until the fork has written everything, and the
//!   filtering of what it wrote, which is done by a thread of the supervisor.
//! * *load*: how much longer a shell takes to be ready from a kept environment than from an empty
//!   one. It is waited for, but only when a build is taken up again.
//!
//! `cargo bench --bench environment` prints them; nothing here fails because of a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ebd::pms::eapi::Eapi;
use ebd::processor::environment::{Environment, Filter};
use ebd::processor::frame::Message;
use ebd::processor::{Event, Pool, Settings, Shell, ShellSetup, library};

const NAMES: usize = 2000;
const TURNS: usize = 15;

type Failure = Box<dyn std::error::Error>;

/// An ebuild that leaves an environment of half a megabyte.
fn ebuild() -> String {
    let mut text = "EAPI=8\nSLOT=0\n".to_owned();
    for at in 0..NAMES {
        text += &format!("MY_VARIABLE_{at}='a value of some forty bytes, with a \"{at}\"'\n");
        text += &format!(
            "my_function_{at}() {{\n\tlocal a=$1 b='{at}'\n\t[[ ${{a}} == b* ]] && echo \"${{a}}\"\n\t\
             if use foo; then\n\t\teinfo \"$b is used here\"\n\tfi\n}}\n"
        );
    }
    text
}

/// The files of a build.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(ebuild: &str) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let root = folder.path();
        for name in ["private", "temp", "work", "empty"] {
            fs::create_dir(root.join(name))?;
        }
        fs::write(root.join("foo-1.ebuild"), ebuild)?;
        let dir = root.display();
        fs::write(
            root.join("private/initial.env"),
            format!(
                "declare -gx EBUILD={dir}/foo-1.ebuild T={dir}/temp WORKDIR={dir}/work \
                 PORTAGE_BUILDDIR={dir} P=foo-1 CATEGORY=app-misc PF=foo-1 USE= A=\n"
            ),
        )?;
        fs::write(root.join("private/phase.env"), "")?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A shell that is ready for phases, and how long it took to be.
    async fn shell(
        &self,
        pool: &Pool,
        restore: Option<&Path>,
    ) -> Result<(Shell, Duration), Failure> {
        let setup = ShellSetup {
            directory: self.path("private"),
            log: self.path("temp/build.log"),
            eclass_dirs: Vec::new(),
            eapi: Eapi::parse("8")?.to_bash(),
            restore: restore.map(Path::to_owned),
            script: library::BUILD,
        };
        let processor = pool
            .take(&Default::default(), ebd::pms::eapi::Eapi::DEFAULT)
            .await?;
        let begin = Instant::now();
        let mut shell = Shell::start(processor, &setup, "token").await?;
        wait(&mut shell, &Message::ReadyForPhases).await?;
        Ok((shell, begin.elapsed()))
    }
}

/// Waits for a message.
async fn wait(shell: &mut Shell, wanted: &Message) -> Result<(), Failure> {
    loop {
        match shell.next().await? {
            Event::Message(message) if message == *wanted => return Ok(()),
            Event::Message(_) => {}
            Event::Ended(status) => return Err(format!("the shell ended ({status})").into()),
        }
    }
}

/// Waits for two messages, in whatever order they come, and gives when each did.
async fn wait_for_both(
    shell: &mut Shell,
    begin: Instant,
    first: &Message,
    second: &Message,
) -> Result<(Duration, Duration), Failure> {
    let (mut at_first, mut at_second) = (None, None);
    loop {
        if let (Some(first), Some(second)) = (at_first, at_second) {
            return Ok((first, second));
        }
        match shell.next().await? {
            Event::Message(message) if message == *first => at_first = Some(begin.elapsed()),
            Event::Message(message) if message == *second => at_second = Some(begin.elapsed()),
            Event::Message(_) => {}
            Event::Ended(status) => return Err(format!("the shell ended ({status})").into()),
        }
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times
        .get(times.len() / 2)
        .map_or(0.0, Duration::as_secs_f64)
        * 1000.0
}

async fn measure() -> Result<(), Failure> {
    let pool = Pool::new(Settings {
        bashes: ebd::processor::Bashes::only(std::path::Path::new("bash")),
        program: env!("CARGO_BIN_EXE_ebd").into(),
        confinement: None,
        sandbox: Default::default(),
        temporary: None,
    });
    let done = Message::PhaseDone("compile".to_owned());
    let done_text = b"__ebd_notify phase-done compile";
    let big = Place::new(&ebuild())?;
    let empty = Place::new("EAPI=8\nSLOT=0\n")?;
    let raw = big.path("private/environment.raw");
    let raw_text = raw.to_string_lossy().into_owned();
    let save = format!("__ebd_save_environment '{raw_text}' &");
    let saved = Message::Saved(raw_text);

    let (mut shell, _) = big.shell(&pool, None).await?;
    let (mut plain, mut delayed, mut written, mut filtered) = (vec![], vec![], vec![], vec![]);
    let kept = big.path("private/environment.kept");
    let mut sizes = (0, 0);
    for _ in 0..TURNS {
        let begin = Instant::now();
        shell.command(b":").await?;
        shell.command(done_text).await?;
        wait(&mut shell, &done).await?;
        plain.push(begin.elapsed());

        let begin = Instant::now();
        shell.command(save.as_bytes()).await?;
        shell.command(done_text).await?;
        let (next, all) = wait_for_both(&mut shell, begin, &done, &saved).await?;
        delayed.push(next);
        written.push(all);

        let begin = Instant::now();
        let text = fs::read(&raw)?;
        let mut environment = Environment::parse(&text)?;
        environment.filter(&Filter::for_save());
        let result = environment.to_bash();
        fs::write(&kept, &result)?;
        filtered.push(begin.elapsed());
        sizes = (text.len(), result.len());
    }
    shell.end().await;

    let (mut shell, _) = empty.shell(&pool, None).await?;
    let small = empty.path("private/environment.kept");
    let raw = empty.path("private/environment.raw");
    let raw_text = raw.to_string_lossy().into_owned();
    shell
        .command(format!("__ebd_save_environment '{raw_text}'").as_bytes())
        .await?;
    wait(&mut shell, &Message::Saved(raw_text)).await?;
    shell.end().await;
    let mut environment = Environment::parse(&fs::read(&raw)?)?;
    environment.filter(&Filter::for_save());
    fs::write(&small, environment.to_bash())?;

    let (mut without, mut with) = (vec![], vec![]);
    for _ in 0..TURNS {
        for (place, file, times) in [(&empty, &small, &mut without), (&big, &kept, &mut with)] {
            let (shell, time) = place.shell(&pool, Some(file)).await?;
            times.push(time);
            if let Some(processor) = shell.finish().await? {
                pool.put_back(processor);
            }
        }
    }
    pool.end().await;

    let waits = (median(delayed) - median(plain)).max(0.0);
    let background = (median(written), median(filtered));
    let load = (median(with) - median(without)).max(0.0);
    println!(
        "{NAMES} variables and {NAMES} functions: {} bytes as bash writes them, {} kept",
        sizes.0, sizes.1
    );
    println!("save, what the build waits for  {waits:6.1} ms");
    println!(
        "save, in the background         {:6.1} ms until written",
        background.0
    );
    println!(
        "                                {:6.1} ms more to filter and keep",
        background.1
    );
    println!("load                            {load:6.1} ms");
    println!(
        "save (waited for) and load      {:6.1} ms, target below 20 ms",
        waits + load
    );
    println!(
        "everything, one after the other {:6.1} ms",
        background.0 + background.1 + load
    );
    Ok(())
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = runtime
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(measure()));
    if let Err(error) = result {
        eprintln!("environment: {error}");
        std::process::exit(1);
    }
}
