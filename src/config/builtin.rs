//! A profile for machines that have none: what a plain profile without multilib says, so that
//! ebuilds can be built on any Linux.

use super::error::ConfigError;
use super::shell_vars::{Setting, Variables};

/// One kind of machine: its name in uname, and as Gentoo knows it.
struct Machine {
    /// What `uname -m` says.
    uname: &'static str,
    /// ARCH.
    arch: &'static str,
    /// ABI.
    abi: &'static str,
    /// CHOST.
    chost: &'static str,
    /// LIBDIR of the ABI.
    libdir: &'static str,
    /// CFLAGS and LDFLAGS that select the ABI.
    flags: (&'static str, &'static str),
}

const fn machine(
    uname: &'static str,
    arch: &'static str,
    abi: &'static str,
    chost: &'static str,
    libdir: &'static str,
    flags: (&'static str, &'static str),
) -> Machine {
    Machine {
        uname,
        arch,
        abi,
        chost,
        libdir,
        flags,
    }
}

const MACHINES: &[Machine] = &[
    machine(
        "x86_64",
        "amd64",
        "amd64",
        "x86_64-pc-linux-gnu",
        "lib64",
        ("-m64", "-m elf_x86_64"),
    ),
    machine(
        "aarch64",
        "arm64",
        "arm64",
        "aarch64-unknown-linux-gnu",
        "lib64",
        ("", ""),
    ),
    machine(
        "armv7l",
        "arm",
        "default",
        "armv7a-unknown-linux-gnueabihf",
        "lib",
        ("", ""),
    ),
    machine(
        "i686",
        "x86",
        "x86",
        "i686-pc-linux-gnu",
        "lib",
        ("-m32", "-m elf_i386"),
    ),
    machine(
        "loongarch64",
        "loong",
        "lp64d",
        "loongarch64-unknown-linux-gnu",
        "lib64",
        ("-mabi=lp64d", "-m elf64loongarch"),
    ),
    machine(
        "ppc64",
        "ppc64",
        "ppc64",
        "powerpc64-unknown-linux-gnu",
        "lib64",
        ("-m64", "-m elf64ppc"),
    ),
    machine(
        "ppc64le",
        "ppc64",
        "ppc64",
        "powerpc64le-unknown-linux-gnu",
        "lib64",
        ("-m64", "-m elf64lppc"),
    ),
    machine(
        "riscv64",
        "riscv",
        "lp64d",
        "riscv64-unknown-linux-gnu",
        "lib64",
        ("-mabi=lp64d", "-m elf64lriscv"),
    ),
    machine(
        "s390x",
        "s390",
        "s390x",
        "s390x-ibm-linux-gnu",
        "lib64",
        ("-m64", "-m elf64_s390"),
    ),
];

/// Names of USE_EXPAND in the Gentoo repository.
const USE_EXPAND: &str = "ABI_MIPS ABI_S390 ABI_X86 ADA_TARGET ALSA_CARDS AMDGPU_TARGETS \
    APACHE2_MODULES APACHE2_MPMS CALLIGRA_FEATURES CAMERAS COLLECTD_PLUGINS CPU_FLAGS_ARM \
    CPU_FLAGS_PPC CPU_FLAGS_X86 CURL_QUIC CURL_SSL ELIBC GPSD_PROTOCOLS GRUB_PLATFORMS \
    GUILE_SINGLE_TARGET GUILE_TARGETS INPUT_DEVICES KERNEL L10N LCD_DEVICES \
    LIBREOFFICE_EXTENSIONS LLVM_SLOT LLVM_TARGETS LUA_SINGLE_TARGET LUA_TARGETS \
    NGINX_MODULES_HTTP NGINX_MODULES_MAIL NGINX_MODULES_STREAM OFFICE_IMPLEMENTATION \
    OPENMPI_FABRICS OPENMPI_OFED_FEATURES OPENMPI_RM PERL_FEATURES PHP_TARGETS POSTGRES_TARGETS \
    PYTHON_SINGLE_TARGET PYTHON_TARGETS QEMU_SOFTMMU_TARGETS QEMU_USER_TARGETS RUBY_TARGETS \
    RUST_SYSROOTS SANE_BACKENDS SELINUX_POLICY_TYPES UWSGI_PLUGINS VIDEO_CARDS \
    VOICEMAIL_STORAGE XTABLES_ADDONS";

const ARCHES: &str = "alpha amd64 arm arm64 hppa loong m68k mips ppc ppc64 riscv s390 sparc x86 \
    arm64-macos ppc-macos x64-macos x64-solaris";

/// The variables that a profile for this machine would set, and one line for each thing that is
/// thereby assumed.
///
/// # Errors
/// The machine is of no known kind.
pub(super) fn profile(uname: &str) -> Result<(Variables, String), ConfigError> {
    let Some(machine) = MACHINES.iter().find(|machine| machine.uname == uname) else {
        return Err(ConfigError::UnknownMachine {
            machine: uname.to_owned(),
        });
    };
    let Machine {
        arch,
        abi,
        chost,
        libdir,
        flags,
        ..
    } = machine;
    let mut variables = Variables::new();
    let mut set = |name: &str, value: &str| {
        variables.insert(name.to_owned(), Setting::at("<built in>", value));
    };
    set("ARCH", arch);
    set("ACCEPT_KEYWORDS", &format!("{arch} ~{arch}"));
    set("ACCEPT_LICENSE", "*");
    set("CHOST", chost);
    for name in ["CFLAGS", "CXXFLAGS", "FFLAGS", "FCFLAGS"] {
        set(name, "-O2 -pipe");
    }
    set("ABI", abi);
    set("DEFAULT_ABI", abi);
    set("MULTILIB_ABIS", abi);
    set("SYMLINK_LIB", "no");
    set(&format!("LIBDIR_{abi}"), libdir);
    set(&format!("CHOST_{abi}"), chost);
    set(&format!("CFLAGS_{abi}"), flags.0);
    set(&format!("LDFLAGS_{abi}"), flags.1);
    set("ELIBC", "glibc");
    set("KERNEL", "linux");
    set("USE_EXPAND", USE_EXPAND);
    set("USE_EXPAND_HIDDEN", "ABI_MIPS ABI_S390 ELIBC KERNEL");
    set("USE_EXPAND_IMPLICIT", "ARCH ELIBC KERNEL");
    set("USE_EXPAND_UNPREFIXED", "ARCH");
    set("USE_EXPAND_VALUES_ARCH", ARCHES);
    set(
        "USE_EXPAND_VALUES_ELIBC",
        "bionic Darwin glibc mingw musl SunOS",
    );
    set("USE_EXPAND_VALUES_KERNEL", "Darwin Hurd linux SunOS");
    set("IUSE_IMPLICIT", "prefix prefix-guest prefix-stack");
    set(
        "ENV_UNSET",
        "CARGO_HOME DBUS_SESSION_BUS_ADDRESS DISPLAY GDK_PIXBUF_MODULE_FILE GOBIN GOPATH PERL5LIB \
         PERL5OPT PERLPREFIX PERL_CORE PERL_MB_OPT PERL_MM_OPT XAUTHORITY XDG_CACHE_HOME \
         XDG_CONFIG_DIRS XDG_CONFIG_HOME XDG_DATA_DIRS XDG_DATA_HOME XDG_RUNTIME_DIR XDG_STATE_HOME",
    );
    set("CONFIG_PROTECT", "/etc");
    set("CONFIG_PROTECT_MASK", "/etc/env.d /etc/gconf");
    let mut use_flags = vec![
        *arch,
        "elibc_glibc",
        "kernel_linux",
        "acl",
        "bzip2",
        "unicode",
        "xattr",
    ];
    if *arch == "amd64" {
        set("ABI_X86", "64");
        set(
            "IUSE_IMPLICIT",
            "abi_x86_64 prefix prefix-guest prefix-stack",
        );
        set("CPU_FLAGS_X86", "mmx mmxext sse sse2");
        use_flags.push("abi_x86_64");
    } else if *arch == "x86" {
        set("ABI_X86", "32");
        use_flags.push("abi_x86_32");
    }
    set("USE", &use_flags.join(" "));
    let notice = format!(
        "no profile: assuming ARCH={arch}, CHOST={chost}, no multilib, all licenses accepted, ~{arch} packages accepted"
    );
    Ok((variables, notice))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Root;

    #[test]
    fn other_machines() {
        let mut root = Root::empty().env("HOME", "/home/me");
        root.options.machine = "aarch64".to_owned();
        assert_eq!(
            root.load().get("CHOST_arm64"),
            Some("aarch64-unknown-linux-gnu")
        );
        root.options.machine = "vax".to_owned();
        assert!(
            root.error().contains("machine type `vax`"),
            "{}",
            root.error()
        );
    }
}
