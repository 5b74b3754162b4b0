//! What a program can learn without looking at a path.

use std::fmt::Write;
use std::fs;
use std::os::fd::RawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::net::if_::InterfaceFlags;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::socket::AddressFamily;
use nix::unistd::Pid;

use super::facts::sum;
use crate::util::printable::printable;

/// What a command that this process starts gets from it, by names for people.
pub(super) fn parts() -> Vec<(&'static str, String)> {
    let mut parts = Vec::new();
    let mut add = |name, text| parts.push((name, text));
    let umask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    nix::sys::stat::umask(umask);
    add("umask", format!("{:04o}", umask.bits()));
    let mut groups: Vec<u32> = nix::unistd::getgroups()
        .map(|all| all.into_iter().map(nix::unistd::Gid::as_raw).collect())
        .unwrap_or_default();
    groups.sort_unstable();
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    add("user", format!("{uid}:{gid} {groups:?}"));
    if let Ok(system) = nix::sys::utsname::uname() {
        let names = [
            system.sysname(),
            system.nodename(),
            system.release(),
            system.version(),
            system.machine(),
        ];
        let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
        add("system", names.join(" "));
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    add("processor", processor());
    add("processors", processors(&status));
    add("descriptors", descriptors());
    add("limits", limits());
    add("rights", rights(&status));
    add("signals", signals(&status));
    add("scheduling", scheduling());
    add("network", network());
    // Tests of links, times, attributes and the order of names tell what it can do.
    add("file system", file_system(Path::new(".")));
    let temporary = std::env::temp_dir();
    add("file system of temporary files", file_system(&temporary));
    parts
}

/// What `/proc/self/status` says of something.
fn said<'s>(status: &'s str, name: &str) -> &'s str {
    let mut lines = status.lines();
    let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    rest.unwrap_or_default().trim()
}

/// Those that it may run on: `nproc` counts them.
fn processors(status: &str) -> String {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else {
        // There are more than the set has room for.
        return said(status, "Cpus_allowed_list").to_owned();
    };
    let numbers = (0..CpuSet::count()).filter(|number| set.is_set(*number).unwrap_or(false));
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let ranges = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    ranges.collect::<Vec<_>>().join(",")
}

/// What programs may ask the processor itself.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().take_while(|line| !line.is_empty()) {
        let names = [
            "vendor_id",
            "cpu family",
            "model",
            "stepping",
            "flags",
            "Features",
            "CPU ",
        ];
        if names.iter().any(|name| line.starts_with(name)) {
            lines.push(line);
        }
    }
    let name = lines.iter().find(|line| line.starts_with("model name"));
    let name = name
        .and_then(|line| line.split_once(": "))
        .map_or("", |(_, name)| name);
    let all = sum(lines.join("\n").as_bytes());
    format!(
        "{name} ({:02x}{:02x}{:02x}{:02x})",
        all[0], all[1], all[2], all[3]
    )
}

/// The descriptors that a program inherits: some tests see them. Of what can be read from there, it is told which
/// text it is.
fn descriptors() -> String {
    let mut all: Vec<(RawFd, String)> = inherited()
        .map(|(number, flags, position)| (number, kind(number, flags, &position)))
        .collect();
    all.sort_unstable();
    let all = all.iter().map(|(number, kind)| match kind.is_empty() {
        true => number.to_string(),
        false => format!("{number} ({kind})"),
    });
    all.collect::<Vec<_>>().join(" ")
}

/// The descriptors that stay open in a program that is started, with their flags and positions.
fn inherited() -> impl Iterator<Item = (RawFd, i32, String)> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten();
    entries.flatten().filter_map(|entry| {
        let number: RawFd = entry.file_name().to_str()?.parse().ok()?;
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let find = |name: &str| said(&info, name).to_owned();
        let flags = i32::from_str_radix(&find("flags"), 8).ok()?;
        (flags & libc::O_CLOEXEC == 0).then(|| (number, flags, find("pos")))
    })
}

/// A descriptor from which the script may read what nobody can tell, or what others read behind it.
pub(super) fn unknown_input(script: &[u8]) -> Option<RawFd> {
    let has = |pattern: &str| {
        let regex = regex::bytes::Regex::new(pattern);
        // A pattern that is none is nobody's.
        regex.is_ok_and(|regex| regex.is_match(script))
    };
    let reads = |number: RawFd| {
        has(&format!(
            r"(?-u)&{number}\b|/fd/{number}\b|-[ut] ?{number}\b"
        ))
    };
    // With this set, autoconf's scripts leave their standard input as it is.
    let as_it_is = std::env::var_os("DJDIR").is_some_and(|value| !value.is_empty());
    let mut unknown = inherited().filter(|(number, flags, _)| {
        let is_read = match number {
            // Elsewhere it is known as the seventh.
            0 => as_it_is || reads(7),
            // The script replaces these first.
            1 | 2 | 5..=7 => false,
            _ => {
                *flags & libc::O_ACCMODE != libc::O_WRONLY
                    && reads(*number)
                    && !has(&format!(r"(?-u)\b{number}<[^&]"))
            }
        };
        is_read && !is_empty(*number)
    });
    unknown.next().map(|(number, ..)| number)
}

/// Whether there is nothing to be read from it, however often it is tried.
fn is_empty(number: RawFd) -> bool {
    let metadata = fs::metadata(format!("/proc/self/fd/{number}"));
    metadata.is_ok_and(|metadata| {
        let null = nix::sys::stat::makedev(1, 3);
        metadata.is_dir() || (metadata.file_type().is_char_device() && metadata.rdev() == null)
    })
}

/// What a descriptor is of. The script itself has its standard input replaced, and what is printed is taken in any case.
fn kind(number: RawFd, flags: i32, position: &str) -> String {
    if number <= 2 {
        return String::new();
    }
    let Ok(metadata) = fs::metadata(format!("/proc/self/fd/{number}")) else {
        return "unknown".to_owned();
    };
    let kind = metadata.file_type();
    if kind.is_file() {
        // Where it can only be written to, as to a log, its content is nobody's.
        if flags & libc::O_ACCMODE == libc::O_WRONLY {
            return "file".to_owned();
        }
        return format!(
            "file {}:{} of {} bytes from {position}, {}.{:09} {}.{:09}",
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec()
        );
    }
    if kind.is_dir() {
        return "directory".to_owned();
    }
    if kind.is_fifo() {
        return "pipe".to_owned();
    }
    if kind.is_socket() {
        return "socket".to_owned();
    }
    if kind.is_char_device() {
        // Each terminal has another number.
        return match is_terminal(metadata.rdev()) {
            true => "terminal".to_owned(),
            false => format!("device {:x}", metadata.rdev()),
        };
    }
    "something else".to_owned()
}

/// Whether it is a terminal, by the numbers that Linux gives them.
fn is_terminal(device: u64) -> bool {
    matches!(nix::sys::stat::major(device), 4 | 5 | 136..=143)
}

/// What kind of file system a folder is on, and how it is mounted (`statfs(2)`).
fn file_system(folder: &Path) -> String {
    let kind = nix::sys::statfs::statfs(folder).map(|found| found.filesystem_type());
    let flags = nix::sys::statvfs::statvfs(folder).map(|found| found.flags());
    match (kind, flags) {
        (Ok(kind), Ok(flags)) => format!("{:x} {:x}", kind.0, flags.bits()),
        (Err(error), _) | (_, Err(error)) => error.desc().to_owned(),
    }
}

/// All limits, as the kernel tells them.
fn limits() -> String {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let each = text.lines().skip(1).map(|line| {
        // Names have single spaces in them, and more behind them.
        let (name, rest) = line.split_once("  ").unwrap_or((line, ""));
        let mut values = rest.split_whitespace();
        let name = name.strip_prefix("Max ").unwrap_or(name);
        let (soft, hard) = (values.next().unwrap_or(""), values.next().unwrap_or(""));
        format!("{name} {soft}/{hard}")
    });
    each.collect::<Vec<_>>().join(", ")
}

/// What it may do besides what its user may, and what not even that.
fn rights(status: &str) -> String {
    let names = [
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
    ];
    let mut text = String::new();
    for name in names {
        let _ = write!(text, "{name} {} ", said(status, name));
    }
    text.trim_end().to_owned()
}

/// The signals that are ignored, as behind `nohup`, or held back: programs inherit that.
fn signals(status: &str) -> String {
    let mask = |name: &str| u64::from_str_radix(said(status, name), 16).unwrap_or_default();
    // Rust ignores this one for itself, whatever it was.
    let own = 1 << (libc::SIGPIPE - 1);
    format!(
        "ignored {:x}, blocked {:x}",
        mask("SigIgn") & !own,
        mask("SigBlk")
    )
}

/// How nice it is, and which scheduler it has (`proc_pid_stat(5)`).
fn scheduling() -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may have anything in it.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .collect();
    // The first of these is the third of all.
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    format!(
        "nice {}, policy {}, priority {}",
        field(19),
        field(41),
        field(40)
    )
}

/// Whether programs can speak with each other, and with others: addresses come and go.
fn network() -> String {
    let (mut own, mut others, mut six) = (false, false, false);
    for interface in getifaddrs().into_iter().flatten() {
        let up = interface.flags.contains(InterfaceFlags::IFF_UP);
        let is_own = interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        own |= is_own && up;
        others |= !is_own && up;
        six |= is_own
            && interface.address.is_some_and(|address| {
                nix::sys::socket::SockaddrLike::family(&address) == Some(AddressFamily::Inet6)
            });
    }
    let told = |is_there: bool| if is_there { "up" } else { "down" };
    format!(
        "loopback {}{}, others {}",
        told(own),
        if six { " with IPv6" } else { "" },
        told(others)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_told_apart() {
        let of = |folder: &str| file_system(Path::new(folder));
        assert_ne!(of("/proc"), of("/"));
        assert_eq!(of("/proc"), of("/proc/self"));
        assert!(of("/none").contains("No such file"));
    }

    #[test]
    fn what_the_kernel_tells_is_found() {
        let limits = limits();
        assert!(limits.contains("core file size "), "{limits}");
        assert!(limits.contains("locked memory "), "{limits}");
        assert!(!limits.contains("  "), "{limits}");
        let status = "SigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\nCapEff:\t0f\n";
        assert_eq!(signals(status), "ignored 1, blocked 2");
        assert!(rights(status).contains("CapEff 0f CapBnd"), "{status}");
        assert!(scheduling().starts_with("nice "), "{}", scheduling());
        assert!(!processors("").is_empty());
    }
}
