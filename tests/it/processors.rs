//! Processors and shells: what bleeds, what dies, what is left behind.

use crate::claim::rows;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ebd::build::driver::{Driver, DriverSetup, PhaseError, Site, kept_environment};
use ebd::build::event::{Event, Events};
use ebd::build::state::Progress;
use ebd::pms::eapi::Eapi;
use ebd::processor::{Pool, Processor, ProcessorError, Settings, Shell, ShellSetup, library};
use sandbox::{Guard, List, Policy, Recorder};

/// A processor of the pool.
async fn taken(pool: &Pool) -> Result<Processor, ProcessorError> {
    pool.take(&Default::default(), Eapi::DEFAULT).await
}

/// A processor that nobody has used.
async fn fresh() -> Processor {
    taken(&pool()).await.unwrap()
}

/// A pool of real processors.
fn pool() -> Pool {
    Pool::new(Settings {
        bashes: ebd::processor::Bashes::only(std::path::Path::new("bash")),
        program: env!("CARGO_BIN_EXE_ebd").into(),
        confinement: None,
        sandbox: sandbox::launch::Settings::default(),
        temporary: None,
    })
}

/// A build whose ebuild is `text`, in a directory of its own.
struct Trial {
    tmp: tempfile::TempDir,
    events: tokio::sync::mpsc::UnboundedReceiver<Event>,
    teller: Events,
}

impl Trial {
    fn new(text: &str) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        for dir in ["private", "temp", "work", "empty", "eclass"] {
            fs::create_dir(tmp.path().join(dir)).unwrap();
        }
        fs::create_dir(tmp.path().join("work/foo-1")).unwrap();
        fs::write(tmp.path().join("foo-1.ebuild"), text).unwrap();
        let dir = tmp.path().display();
        fs::write(
            tmp.path().join("private/initial.env"),
            format!(
                "declare -gx EBUILD={dir}/foo-1.ebuild T={dir}/temp WORKDIR={dir}/work PORTAGE_BUILDDIR={dir} P=foo-1 CATEGORY=app-misc PF=foo-1 USE= A=\n"
            ),
        )
        .unwrap();
        fs::write(tmp.path().join("private/phase.env"), "").unwrap();
        let (teller, events) = Events::new();
        Self {
            tmp,
            events,
            teller,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    async fn driver(&self, processor: Processor, restore: Option<PathBuf>) -> Driver {
        self.guarded(processor, restore, None).await
    }

    /// A driver that is told by `guard` what a sandbox refused.
    async fn guarded(
        &self,
        processor: Processor,
        restore: Option<PathBuf>,
        guard: Option<Arc<dyn Guard>>,
    ) -> Driver {
        let setup = ShellSetup {
            directory: self.path("private"),
            log: self.path("temp/build.log"),
            eclass_dirs: vec![self.path("eclass")],
            eapi: Eapi::parse("8").unwrap().to_bash(),
            restore,
            script: library::BUILD,
        };
        let shell = Shell::start(processor, &setup, "token").await.unwrap();
        Driver::new(DriverSetup {
            shell,
            guard,
            site: Site {
                events: self.teller.clone(),
                package: "app-misc/foo-1".into(),
                private: self.path("private"),
                visible_environment: self.path("temp/environment"),
                log: self.path("temp/build.log"),
                phase_limit: Some(Duration::from_secs(60)),
                hooked: false,
            },
            progress: Progress {
                input: String::new(),
                finished: Vec::new(),
                image_finished: false,
            },
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("temp/build.log")).unwrap_or_default()
    }
}

/// The command that runs a phase.
fn phase(name: &str) -> Vec<u8> {
    format!(
        "export EBUILD_PHASE={name}; __ebd_phase {name} src_{name}; __ebd_notify phase-done {name} || exit 97"
    )
    .into_bytes()
}

#[tokio::test]
async fn a_phase_fails_for_what_its_sandbox_refused() {
    let mut trial = Trial::new("EAPI=8\nSLOT=0\nsrc_compile() { :; }\nsrc_test() { :; }\n");
    let guard = Arc::new(Recorder::new(Recorder::violation("/usr/share/x")));
    let processor = fresh().await;
    let mut driver = trial.guarded(processor, None, Some(guard.clone())).await;
    let policy = Policy::confined().with(List::Write, "/build");
    driver.confine(policy.clone(), Some("word"));
    assert_eq!(guard.policies(), [policy]);
    driver.ready().await.unwrap();
    let failed = driver.run("compile", &phase("compile"), true).await;
    assert!(matches!(failed, Err(PhaseError::Refused(1))), "{failed:?}");
    driver.end().await;
    let mut told = false;
    while let Ok(event) = trial.events.try_recv() {
        told |= matches!(event, Event::Violation { path, .. } if path == Path::new("/usr/share/x"));
    }
    assert!(told);
    assert!(trial.log().contains("/usr/share/x"), "{}", trial.log());
}

#[tokio::test]
async fn nothing_of_one_ebuild_is_seen_by_the_next() {
    let _rows = rows(&[91, 92, 93, 94, 95, 96, 97, 98]);
    let pool = pool();
    let first = Trial::new(
        "EAPI=8\nSLOT=0\nreadonly STAYS=1\nexport LEAK=1\nfoo() { :; }\nexport -f foo\n\
         src_compile() { echo \"signals: $(trap -p INT TERM | xargs)\"\n\
         shopt -s nullglob; set -f; IFS=x; trap 'echo trapped' EXIT; trap '' INT; trap 'echo' TERM; cd /; umask 077\n\
         exec 7>/dev/null; alias ll=ls; enable -n printf; ulimit -n 64; hash -p /nowhere ls\n\
         LEAK2=1; OPTIND=9; TZ=Mars; sleep 300 & disown; }\n",
    );
    let mut driver = first.driver(taken(&pool).await.unwrap(), None).await;
    driver.ready().await.unwrap();
    driver
        .run("compile", &phase("compile"), true)
        .await
        .unwrap();
    let processor = driver.finish().await.unwrap().expect("a clean end");
    pool.put_back(processor);
    // Who runs the tests may have ignored some.
    let log = first.log();
    let signals = log.lines().find_map(|line| line.strip_prefix("signals: "));
    let second = Trial::new(
        &"EAPI=8\nSLOT=0\nsrc_compile() {\n\
         [[ $(trap -p INT TERM | xargs) == '@signals@' ]] || die signals\n\
         for v in STAYS LEAK LEAK2 TZ; do [[ ! -v $v ]] || die \"$v is seen\"; done\n\
         declare -F foo && die 'foo is seen'\n\
         [[ $IFS == $' \\t\\n' ]] || die IFS; shopt -q nullglob && die nullglob\n\
         [[ $- != *f* ]] || die noglob; [[ -z $(trap -p EXIT ERR DEBUG RETURN) ]] || die trap; [[ $(umask) == 0022 ]] || die umask\n\
         [[ $(ulimit -n) != 64 ]] || die ulimit; [[ -z $(alias) ]] || die alias\n\
         [[ ! -e /proc/self/fd/7 ]] || die 'descriptor 7'; [[ $(type -t printf) == builtin ]] || die printf\n\
         [[ $OPTIND == 1 ]] || die OPTIND; readonly STAYS=2; [[ $STAYS == 2 ]] || die STAYS; }\n"
            .replace("@signals@", signals.unwrap()),
    );
    let mut driver = second.driver(taken(&pool).await.unwrap(), None).await;
    driver.ready().await.unwrap();
    driver
        .run("compile", &phase("compile"), true)
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", second.log()));
    driver.finish().await.unwrap();
    pool.end().await;
}

#[tokio::test]
async fn nothing_of_one_phase_but_its_environment_is_seen_by_the_next() {
    let trial = Trial::new(
        "EAPI=8\nSLOT=0\nsrc_prepare() { eapply_user; set -e; IFS=:; shopt -s nocasematch; umask 077; exec 9>/dev/null\n\
         trap 'false' ERR; KEPT=1; local gone=1; sleep 300 & }\n\
         src_compile() { [[ $- != *e* && $IFS == $' \\t\\n' && $(umask) == 0022 && $KEPT == 1 && ! -v gone ]] || die state\n\
         shopt -q nocasematch && die nocasematch; [[ -e /proc/self/fd/9 ]] && die 'descriptor 9'; [[ -z $(trap -p ERR) ]] || die trap; [[ $PWD == \"$WORKDIR/$P\" ]] || die cwd; }\n",
    );
    let mut driver = trial.driver(fresh().await, None).await;
    driver.ready().await.unwrap();
    driver
        .run("prepare", &phase("prepare"), true)
        .await
        .unwrap();
    driver
        .run("compile", &phase("compile"), true)
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", trial.log()));
    driver.finish().await.unwrap();
}

#[tokio::test]
async fn a_phase_without_environment_counts_as_finished_when_the_next_has_one() {
    let trial = Trial::new(
        "EAPI=8\nSLOT=0\nhelper() { :; }\nsrc_install() { shopt -s nullglob; shopt -u sourcepath; }\n",
    );
    let private = trial.path("private");
    let mut driver = trial.driver(fresh().await, None).await;
    driver.ready().await.unwrap();
    driver
        .run("compile", &phase("compile"), false)
        .await
        .unwrap();
    assert!(Progress::load(&private, "").is_err());
    driver
        .run("install", &phase("install"), true)
        .await
        .unwrap();
    driver.settle().await.unwrap();
    let progress = Progress::load(&private, "").unwrap();
    assert_eq!(progress.finished, ["compile", "install"]);
    let kept = fs::read_to_string(kept_environment(&private, "install")).unwrap();
    assert!(kept.contains("\nhelper ()"), "{kept}");
    for ours in ["\neinfo ()", "__ebd_", "__EBD_"] {
        assert!(!kept.contains(ours), "{ours}");
    }
    driver.finish().await.unwrap();
}

#[tokio::test]
async fn die_ends_the_build_from_any_depth() {
    let _rows = rows(&[109]);
    for code in [
        "die deep",
        "( die deep ); echo never",
        "x=$(die deep); echo never",
        "true | die deep; echo never",
        "die deep | cat; echo never",
        "f() { die deep; }; for i in 1 2; do f; done; echo never",
    ] {
        let trial = Trial::new(&format!("EAPI=8\nSLOT=0\nsrc_compile() {{\n{code}\n}}\n"));
        let mut driver = trial.driver(fresh().await, None).await;
        driver.ready().await.unwrap();
        let error = driver
            .run("compile", &phase("compile"), true)
            .await
            .unwrap_err();
        let PhaseError::Died(death) = error else {
            panic!("{code}: {error}");
        };
        assert_eq!(death.message, "deep", "{code}");
        assert!(
            death.file.ends_with("foo-1.ebuild"),
            "{code}: {}",
            death.file
        );
        assert_eq!(death.line, "4", "{code}");
        driver.end().await;
        assert!(!trial.log().contains("never"), "{code}: {}", trial.log());
    }
}

#[tokio::test]
async fn a_phase_that_exits_or_is_killed_or_is_slow_is_told_as_such() {
    let run = |code: &'static str, limit| async move {
        let trial = Trial::new(&format!("EAPI=8\nSLOT=0\nsrc_compile() {{ {code}; }}\n"));
        let mut driver = trial.driver(fresh().await, None).await;
        driver.ready().await.unwrap();
        let _ = limit;
        let error = driver
            .run("compile", &phase("compile"), true)
            .await
            .unwrap_err();
        driver.end().await;
        error.to_string()
    };
    assert!(run("exit 3", 60).await.contains("status 3"));
    assert!(run("kill -9 $BASHPID", 60).await.contains("SIGKILL"));
    assert!(run("exec true", 60).await.contains("status 0"));
}

#[tokio::test]
async fn writing_to_every_descriptor_forges_nothing() {
    let _rows = rows(&[100]);
    let trial = Trial::new(
        "EAPI=8\nSLOT=0\nsrc_compile() {\n\
         ls -l /proc/self/fd > \"$T\"/fds\n\
         for fd in {3..300}; do printf 'token\\0phase-done\\0compile\\0' >&$fd; done 2>/dev/null\n\
         MARK=1; }\nsrc_install() { [[ $MARK == 1 ]] || die forged; }\n",
    );
    let mut driver = trial.driver(fresh().await, None).await;
    driver.ready().await.unwrap();
    driver
        .run("compile", &phase("compile"), true)
        .await
        .unwrap();
    driver
        .run("install", &phase("install"), true)
        .await
        .unwrap();
    driver.finish().await.unwrap();
    let fds = fs::read_to_string(trial.path("temp/fds")).unwrap();
    assert!(
        !fds.contains("pipe:") && !fds.contains("/private/"),
        "{fds}"
    );
}

#[tokio::test]
async fn phases_run_from_the_saved_environment_alone() {
    let trial = Trial::new(
        "EAPI=8\ninherit bar\nSLOT=0\ndeclare -A MAP=([\"a b]\"]=$'x\\ny')\ndeclare -i N=3\n\
         src_configure() { export WORD=later; declare -gn REF=WORD; }\n\
         src_compile() { [[ $(bar_hello) == 'hello $x' ]] || die heredoc; [[ ${MAP[\"a b]\"]} == $'x\\ny' ]] || die map\n\
         N+=4; [[ $N == 7 ]] || die integer; [[ $(printenv WORD) == later && $REF == later ]] || die export; }\n",
    );
    fs::write(
        trial.path("eclass/bar.eclass"),
        "bar_hello() {\n\tcat <<-'EOF'\n\thello $x\n\tEOF\n}\n",
    )
    .unwrap();
    let mut driver = trial.driver(fresh().await, None).await;
    driver.ready().await.unwrap();
    driver
        .run("configure", &phase("configure"), true)
        .await
        .unwrap();
    driver.settle().await.unwrap();
    driver.end().await;
    fs::remove_file(trial.path("foo-1.ebuild")).unwrap();
    fs::remove_file(trial.path("eclass/bar.eclass")).unwrap();
    let kept = kept_environment(&trial.path("private"), "configure");
    let mut driver = trial.driver(fresh().await, Some(kept)).await;
    driver
        .ready()
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", trial.log()));
    driver
        .run("compile", &phase("compile"), true)
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", trial.log()));
    driver.finish().await.unwrap();
}

#[tokio::test]
async fn elog_reaches_the_user() {
    let mut trial =
        Trial::new("EAPI=8\nSLOT=0\nsrc_compile() { elog 'mind the gap'; ( ewarn twice ); }\n");
    let mut driver = trial.driver(fresh().await, None).await;
    driver.ready().await.unwrap();
    driver
        .run("compile", &phase("compile"), true)
        .await
        .unwrap();
    driver.finish().await.unwrap();
    let mut told = Vec::new();
    while let Ok(event) = trial.events.try_recv() {
        if let Event::Elog { level, text, .. } = event {
            told.push((level, text));
        }
    }
    assert_eq!(
        told,
        [
            ("log".to_owned(), "mind the gap".to_owned()),
            ("warn".to_owned(), "twice".to_owned())
        ]
    );
}

#[tokio::test]
async fn ending_a_processor_ends_even_what_left_its_session() {
    let trial = Trial::new(
        "EAPI=8\nSLOT=0\nsrc_compile() {\n\
         setsid bash -c 'setsid sleep 3131 & sleep 3131' & sleep 0.2; echo $BASHPID > \"$T\"/pid; sleep 3131; }\n",
    );
    let mut driver = trial.driver(fresh().await, None).await;
    driver.ready().await.unwrap();
    let command = phase("compile");
    let run = driver.run("compile", &command, true);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), run)
            .await
            .is_err()
    );
    assert!(sleeping("3131") >= 3);
    driver.end().await;
    let begin = Instant::now();
    while sleeping("3131") > 0 {
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "processes are left"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many `sleep` processes with this argument there are.
fn sleeping(argument: &str) -> usize {
    let wanted = format!("sleep\0{argument}\0").into_bytes();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            fs::read(Path::new(&entry.path()).join("cmdline")).is_ok_and(|line| line == wanted)
        })
        .count()
}
