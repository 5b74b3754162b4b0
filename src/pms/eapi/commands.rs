//! The commands an ebuild may call, by EAPI (PMS 11.3.3).

use super::{Eapi, join};
use crate::pms::phase::Phase;

/// Whether a command lives in the shell or beside it.
///
/// Where the specification leaves the choice, this says what is chosen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandForm {
    /// A shell function.
    Function,
    /// A program found in PATH, which `xargs` and `find -exec` can run.
    External,
}

/// A command of the ebuild environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// What it is called by.
    pub name: &'static str,
    /// How it is provided.
    pub form: CommandForm,
    /// Whether it may be called outside of phases.
    pub global: bool,
    /// The phases it may be called in.
    pub phases: &'static [Phase],
    /// The first EAPI that has it.
    first: u8,
    /// The first EAPI that bans it: calling it there ends the build.
    banned: Option<u8>,
}

/// What becomes of a call to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandStatus {
    /// It exists.
    Available(&'static Command),
    /// It ends the build, naming the ban.
    Banned(&'static Command),
    /// The EAPI knows no such command.
    Unknown,
}

const SRC_BEFORE_TEST: &[Phase] = &[
    Phase::Unpack,
    Phase::Prepare,
    Phase::Configure,
    Phase::Compile,
];

const fn function(name: &'static str) -> Command {
    Command {
        name,
        form: CommandForm::Function,
        global: false,
        phases: Phase::ALL,
        first: 0,
        banned: None,
    }
}

const fn external(name: &'static str) -> Command {
    Command {
        form: CommandForm::External,
        ..function(name)
    }
}

impl Command {
    const fn since(self, first: u8) -> Self {
        Command { first, ..self }
    }

    const fn banned_since(self, banned: u8) -> Self {
        Command {
            banned: Some(banned),
            ..self
        }
    }

    const fn global(self) -> Self {
        Command {
            global: true,
            ..self
        }
    }

    const fn only_in(self, phases: &'static [Phase]) -> Self {
        Command { phases, ..self }
    }

    fn exists_in(&self, eapi: Eapi) -> bool {
        self.first <= eapi.0 && !self.is_banned_in(eapi)
    }

    fn is_banned_in(&self, eapi: Eapi) -> bool {
        self.banned.is_some_and(|banned| banned <= eapi.0)
    }
}

/// A command that is both a function and a program has two rows.
const COMMANDS: &[Command] = &[
    // Failure (11.3.3.1)
    function("nonfatal").since(4),
    external("nonfatal").since(7),
    // Sandbox (11.3.3.3)
    function("addread"),
    function("addwrite"),
    function("addpredict"),
    function("adddeny"),
    // Queries (11.3.3.4)
    function("has_version"),
    function("best_version"),
    // Messages (11.3.3.5)
    function("einfo").global(),
    function("einfon").global(),
    function("elog").global(),
    function("ewarn").global(),
    function("eqawarn").global().since(7),
    function("eerror").global(),
    function("ebegin").global(),
    function("eend").global(),
    // Errors (11.3.3.6). The text does not list `die` for global scope, but eclasses refuse
    // EAPIs with it there.
    function("die").global(),
    function("assert").banned_since(9),
    function("pipestatus").since(9),
    // Patches (11.3.3.7). Meant for src_prepare; ebuilds of the Gentoo repository use eapply in
    // the phases around it as well.
    function("eapply").since(6).only_in(SRC_BEFORE_TEST),
    function("eapply_user").since(6).only_in(&[Phase::Prepare]),
    // Building (11.3.3.8)
    function("econf"),
    external("emake"),
    function("einstall").banned_since(6),
    // Installing (11.3.3.9)
    external("dobin"),
    external("doconfd"),
    external("dodir"),
    external("dodoc"),
    external("doenvd"),
    external("doexe"),
    external("dohard").banned_since(4),
    external("doheader").since(5),
    external("dohtml").banned_since(7),
    external("doinfo"),
    external("doinitd"),
    external("doins"),
    external("dolib").banned_since(7),
    external("dolib.a"),
    external("dolib.so"),
    external("doman"),
    external("domo").banned_since(9),
    external("dosbin"),
    external("dosym"),
    external("fowners"),
    external("fperms"),
    external("keepdir"),
    external("newbin"),
    external("newconfd"),
    external("newdoc"),
    external("newenvd"),
    external("newexe"),
    external("newheader").since(5),
    external("newinitd"),
    external("newins"),
    external("newlib.a"),
    external("newlib.so"),
    external("newman"),
    external("newsbin"),
    // Destinations (11.3.3.10)
    function("into"),
    function("insinto"),
    function("exeinto"),
    function("docinto"),
    function("insopts"),
    function("diropts"),
    function("exeopts"),
    function("libopts").banned_since(7),
    // The image (11.3.3.11)
    function("docompress").since(4).only_in(&[Phase::Install]),
    function("dostrip").since(7).only_in(&[Phase::Install]),
    // USE (11.3.3.12)
    function("use"),
    function("usev"),
    function("useq").banned_since(8),
    function("use_with"),
    function("use_enable"),
    function("usex").since(5),
    function("in_iuse").since(6),
    // Lists (11.3.3.13)
    function("has").global(),
    function("hasv").global().banned_since(8),
    function("hasq").global().banned_since(8),
    // Versions (11.3.3.14)
    function("ver_cut").global().since(7),
    function("ver_rs").global().since(7),
    function("ver_test").global().since(7),
    function("ver_replacing").global().since(9),
    // Others (11.3.3.15)
    external("dosed").banned_since(4),
    function("unpack"),
    function("inherit").global(),
    function("default").since(2),
    function("einstalldocs").since(6),
    function("get_libdir").global().since(6),
    function("edo").since(9),
    // Debugging (11.3.3.16)
    function("debug-print").global(),
    function("debug-print-function").global(),
    function("debug-print-section").global(),
    // Eclasses (10.3)
    function("EXPORT_FUNCTIONS").global(),
];

impl Eapi {
    /// The commands that exist in this EAPI. One that is both a function and a program comes
    /// twice.
    pub fn commands(self) -> impl Iterator<Item = &'static Command> {
        COMMANDS
            .iter()
            .filter(move |command| command.exists_in(self))
    }

    /// The commands that end the build when called (PMS 11.3.3.2).
    pub fn banned_commands(self) -> impl Iterator<Item = &'static Command> {
        COMMANDS
            .iter()
            .filter(move |command| command.is_banned_in(self))
    }

    /// What becomes of a call to `name` in this EAPI.
    pub fn command(self, name: &str) -> CommandStatus {
        let available = self.commands().find(|command| command.name == name);
        let banned = self.banned_commands().find(|command| command.name == name);
        match (available, banned) {
            (Some(command), _) => CommandStatus::Available(command),
            (None, Some(command)) => CommandStatus::Banned(command),
            (None, None) => CommandStatus::Unknown,
        }
    }

    /// The lists of commands bash gets.
    pub(super) fn command_fields(self) -> [(&'static str, String); 7] {
        let names = |commands: Vec<&'static Command>, form| {
            join(
                commands
                    .iter()
                    .filter(|command| command.form == form)
                    .map(|command| command.name),
            )
        };
        let all = || self.commands().collect::<Vec<_>>();
        let banned = || self.banned_commands().collect::<Vec<_>>();
        let absent = COMMANDS
            .iter()
            .filter(|command| !command.exists_in(self) && !command.is_banned_in(self))
            .collect();
        let global = self.commands().filter(|command| command.global).collect();
        let install_only = self
            .commands()
            .filter(|command| command.phases == [Phase::Install])
            .collect();
        [
            ("functions", names(all(), CommandForm::Function)),
            ("global_functions", names(global, CommandForm::Function)),
            (
                "install_functions",
                names(install_only, CommandForm::Function),
            ),
            ("absent_functions", names(absent, CommandForm::Function)),
            ("executables", names(all(), CommandForm::External)),
            ("banned_functions", names(banned(), CommandForm::Function)),
            ("banned_executables", names(banned(), CommandForm::External)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eapi(name: &str) -> Eapi {
        Eapi::parse(name).unwrap()
    }

    /// Per EAPI 0 to 9: `-` unknown, `x` banned, `f` function, `e` program.
    fn history(name: &str) -> String {
        Eapi::all()
            .map(|eapi| match eapi.command(name) {
                CommandStatus::Unknown => '-',
                CommandStatus::Banned(_) => 'x',
                CommandStatus::Available(command) => match command.form {
                    CommandForm::Function => 'f',
                    CommandForm::External => 'e',
                },
            })
            .collect()
    }

    #[test]
    fn availability_and_bans() {
        for (name, expected) in [
            ("dohard", "eeeexxxxxx"),
            ("dosed", "eeeexxxxxx"),
            ("einstall", "ffffffxxxx"),
            ("dohtml", "eeeeeeexxx"),
            ("dolib", "eeeeeeexxx"),
            ("libopts", "fffffffxxx"),
            ("useq", "ffffffffxx"),
            ("hasv", "ffffffffxx"),
            ("assert", "fffffffffx"),
            ("domo", "eeeeeeeeex"),
            ("nonfatal", "----ffffff"),
            ("eapply", "------ffff"),
            ("eqawarn", "-------fff"),
            ("ver_replacing", "---------f"),
            ("emake", "eeeeeeeeee"),
            ("econf", "ffffffffff"),
            ("doheader", "-----eeeee"),
            ("nothing", "----------"),
        ] {
            assert_eq!(history(name), expected, "{name}");
        }
    }

    #[test]
    fn nonfatal_is_both_from_seven_on() {
        let forms = |name| {
            eapi(name)
                .commands()
                .filter(|command| command.name == "nonfatal")
                .count()
        };
        assert_eq!((forms("6"), forms("7")), (1, 2));
    }

    #[test]
    fn names_are_unique_per_form() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert!(
                COMMANDS[..index]
                    .iter()
                    .all(|other| (other.name, other.form) != (command.name, command.form)),
                "{}",
                command.name
            );
        }
    }
}
