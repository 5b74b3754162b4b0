//! Environments that another package manager has saved.

use crate::claim::rows;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ebd::build::driver::{Driver, DriverSetup, Site};
use ebd::build::event::Events;
use ebd::build::state::Progress;
use ebd::pms::eapi::Eapi;
use ebd::processor::environment::{Environment, Filter};
use ebd::processor::{Pool, Settings, Shell, ShellSetup, library};

/// What `tests/environment` has: state that is hard to keep, and its check.
const STATE: &str = include_str!("../environment/state.bash");

/// What Portage has among the variables of an environment that it saves, and what it leaves of
/// its own functions there.
const PORTAGES_OWN: &str = r#"
declare -x EBUILD_PHASE=install EBUILD_PHASE_FUNC=src_install EAPI=8 SLOT=0 PN=other P=other-2 PF=other-2
declare -x PV=2 PR=r0 PVR=2 CATEGORY=dev-libs D=/nonexistent/image ED=/nonexistent/image ROOT=/nonexistent
declare -x T=/nonexistent/temp WORKDIR=/nonexistent/work A='a.tar b.tar' USE='abi_x86_64 amd64' FEATURES='x y'
declare -x PORTAGE_BIN_PATH=/usr/lib/portage/bin PORTAGE_PYM_PATH=/usr/lib/portage PORTAGE_INST_UID=0
declare -x PORTAGE_BUILDDIR=/nonexistent PORTAGE_PIPE_FD=9 PORTAGE_IPC_DAEMON=1 EBUILD_MASTER_PID=1
declare -x SANDBOX_ON=1 SANDBOX_WRITE=/dev/null LD_PRELOAD=libsandbox.so LC_COLLATE=C LC_MESSAGES=C
declare -x HOME=/nonexistent/home TMPDIR=/nonexistent/temp PATH=/usr/lib/portage/bin/ebuild-helpers:/usr/bin:/bin
declare -- DEFINED_PHASES=' install' INHERITED='multilib eutils' IUSE=abi KEYWORDS=amd64 LICENSE=MIT
declare -- RDEPEND='>=dev-libs/x-1:=[a,b(-)?] || ( c/d e/f )' HOMEPAGE='https://example.org/?a=b&c' PROPERTIES= RESTRICT=
declare -a PORTAGE_DOCOMPRESS=('/usr/share/doc' '/usr/share/info' '/usr/share/man')
declare -a PORTAGE_DOCOMPRESS_SIZE_LIMIT=([0]=128)
declare -A __E_ODD=([a]=b)
declare -ir ___eapi=8
___eapi_has_prefix () { [[ $1 =~ ^[0-9]$ ]]; }
__ebd_notify () { echo 'a function of the saved environment took the place of ours' >&2; exit 1; }
"#;

/// An environment as Portage would save it, written by bash itself.
fn saved_by_another() -> Vec<u8> {
    let script = format!(
        "{PORTAGES_OWN}\n{STATE}\nset_state\npkg_postinst() {{ tell_state postinst; }}\n\
         shopt -s extglob\ndeclare -p\ndeclare -fp\n"
    );
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", &script])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    output.stdout
}

/// Loads an environment as a package's is loaded and runs `pkg_postinst` there; gives what the
/// phase has told.
async fn postinst_of(contents: &[u8]) -> String {
    let mut environment = Environment::from_file_contents(contents).unwrap();
    environment.filter(&Filter::for_load());
    let tmp = tempfile::tempdir().unwrap();
    let path = |name: &str| tmp.path().join(name);
    for dir in ["private", "temp", "work", "empty", "root", "home"] {
        fs::create_dir(path(dir)).unwrap();
    }
    let dir = tmp.path().display();
    let own = format!(
        "declare -gx T={dir}/temp TMPDIR={dir}/temp HOME={dir}/home WORKDIR={dir}/work PORTAGE_BUILDDIR={dir} \
         CATEGORY=app-misc PF=state-1 PN=state P=state-1 PV=1 PR=r0 PVR=1 ROOT={dir}/root EROOT={dir}/root \
         USE= A= EBUILD_PHASE=postinst EBUILD_PHASE_FUNC=pkg_postinst\n"
    );
    fs::write(
        path("private/initial.env"),
        format!("{own}PATH={}\n", std::env::var("PATH").unwrap()),
    )
    .unwrap();
    fs::write(path("private/phase.env"), own).unwrap();
    fs::write(path("saved"), environment.to_bash()).unwrap();
    let shell = shell(tmp.path(), path("saved")).await;
    let (events, _told) = Events::new();
    let mut driver = Driver::new(DriverSetup {
        shell,
        guard: None,
        site: Site {
            events,
            package: "app-misc/state-1".into(),
            private: path("private"),
            visible_environment: path("temp/environment"),
            log: path("temp/build.log"),
            phase_limit: Some(Duration::from_secs(60)),
            hooked: false,
        },
        progress: Progress {
            input: String::new(),
            finished: Vec::new(),
            image_finished: false,
        },
    });
    let log = || fs::read_to_string(path("temp/build.log")).unwrap_or_default();
    let ready = driver.ready().await;
    assert!(ready.is_ok(), "{ready:?}\n{}", log());
    let text =
        b"__ebd_phase postinst pkg_postinst\n__ebd_notify phase-done postinst || builtin exit 97\n";
    let run = driver.run("postinst", text, true).await;
    assert!(run.is_ok(), "{run:?}\n{}", log());
    driver.finish().await.unwrap();
    fs::read_to_string(path("root/state.postinst")).unwrap_or_else(|_| log())
}

async fn shell(folder: &Path, saved: PathBuf) -> Shell {
    let pool = Pool::new(Settings {
        bashes: ebd::processor::Bashes::only(std::path::Path::new("bash")),
        program: env!("CARGO_BIN_EXE_ebd").into(),
        confinement: None,
        sandbox: sandbox::launch::Settings::default(),
        temporary: None,
    });
    let setup = ShellSetup {
        directory: folder.join("private"),
        log: folder.join("temp/build.log"),
        eclass_dirs: Vec::new(),
        eapi: Eapi::parse("8").unwrap().to_bash(),
        restore: Some(saved),
        script: library::BUILD,
    };
    Shell::start(
        pool.take(&Default::default(), ebd::pms::eapi::Eapi::DEFAULT)
            .await
            .unwrap(),
        &setup,
        "token",
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn an_environment_saved_by_another_package_manager_is_loaded() {
    let _rows = rows(&[72, 86, 88]);
    // `tests/fidelity/environments` gives one of real Portage and reads what is told of it.
    match std::env::var_os("EBD_ENVIRONMENT") {
        Some(path) => {
            let told = std::env::var_os("EBD_ENVIRONMENT_TOLD")
                .expect("EBD_ENVIRONMENT_TOLD names a file, as EBD_ENVIRONMENT does");
            fs::write(told, postinst_of(&fs::read(path).unwrap()).await).unwrap();
        }
        None => assert_eq!(postinst_of(&saved_by_another()).await, "status 0\n"),
    }
}

#[test]
fn what_belongs_to_the_other_package_manager_is_not_loaded() {
    let _rows = rows(&[72, 86, 88]);
    let mut environment = Environment::parse(&saved_by_another()).unwrap();
    environment.filter(&Filter::for_load());
    for name in [
        "EBUILD_PHASE",
        "D",
        "ROOT",
        "T",
        "PORTAGE_BIN_PATH",
        "PORTAGE_PIPE_FD",
        "PF",
        "FEATURES",
        "LD_PRELOAD",
        "SANDBOX_ON",
        "PATH",
        "___eapi",
        "__E_ODD",
        "HOME",
        "UID",
        "BASHOPTS",
    ] {
        assert!(environment.variable(name).is_none(), "{name}");
    }
    for name in ["RDEPEND", "EAPI", "SLOT", "ST_MAP", "USE"] {
        assert!(environment.variable(name).is_some(), "{name}");
    }
    assert!(environment.function(b"___eapi_has_prefix").is_none());
    assert!(environment.function(b"__ebd_notify").is_none());
    assert!(
        environment
            .function(b"st_exported")
            .unwrap()
            .attributes()
            .is_exported()
    );
}
