//! Packages packed and unpacked, beside `tar | zstd` of the same data at the same level.
//!
//! ```text
//! cargo bench --bench packing -- [--threads N] [--level N] [--runs N] FOLDER...
//! ```
//!
//! Each folder is packed as the image of a package in both formats, checksums, index data and syncing included, and
//! the package is unpacked again, after it was verified; in turns with `tar -c | zstd` and `zstd -d | tar -x`. Medians
//! and the most memory that any run had are printed; nothing here fails because of a time. Take folders of different
//! sizes to see whether memory grows. Everything is written below the target folder.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use ebd::binpkg::build::{PackageOptions, write_package};
use ebd::binpkg::compression::Compression;
use ebd::binpkg::package::Package;
use ebd::binpkg::pkgdir::{Format, Pkgdir, PkgdirOptions};
use ebd::binpkg::unpack::{UnpackOptions, unpack};
use ebd::pms::cpv::Cpv;

type Failure = Box<dyn Error>;

/// What a command takes.
struct Cost {
    /// Seconds from beginning to end.
    time: f64,
    /// Seconds of processors.
    work: f64,
    /// The most memory in KiB.
    memory: u64,
}

struct Bench {
    work: PathBuf,
    threads: u32,
    level: String,
    runs: usize,
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let mut bench = Bench {
        work: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("packing"),
        threads: std::thread::available_parallelism()?.get() as u32,
        level: "3".to_owned(),
        runs: 3,
    };
    let mut folders = Vec::new();
    while let Some(word) = arguments.next() {
        let mut value = || arguments.next().ok_or("a value is missing");
        match word.as_str() {
            "--threads" => bench.threads = value()?.parse()?,
            "--level" => bench.level = value()?,
            "--runs" => bench.runs = value()?.parse()?,
            "pack" => {
                let (format, image, pkgdir) = (value()?, value()?, value()?);
                return bench.pack(&format, Path::new(&image), Path::new(&pkgdir));
            }
            "unpack" => {
                let (package, target) = (value()?, value()?);
                return unpack_package(Path::new(&package), Path::new(&target));
            }
            folder => folders.push(PathBuf::from(folder)),
        }
    }
    if folders.is_empty() {
        println!("packing: name folders to pack");
    }
    folders.iter().try_for_each(|folder| bench.measure(folder))
}

impl Bench {
    /// What a child does.
    fn pack(&self, format: &str, image: &Path, pkgdir: &Path) -> Result<(), Failure> {
        let pkgdir = Pkgdir::open(pkgdir, PkgdirOptions::default())?;
        let format = match format {
            "xpak" => Format::Xpak,
            _ => Format::Gpkg,
        };
        let place = pkgdir.reserve(&Cpv::parse("app-misc/image-1")?, format)?;
        let flags = format!("-{}", self.level);
        let options = PackageOptions {
            compression: Compression::from_settings("zstd", &flags, self.threads)?,
            ..PackageOptions::default()
        };
        let metadata = [("SLOT".to_owned(), b"0\n".to_vec())].into();
        write_package(image, metadata, place, &options)?
            .file
            .commit()?;
        Ok(())
    }

    fn measure(&self, folder: &Path) -> Result<(), Failure> {
        let _ = fs::remove_dir_all(&self.work);
        fs::create_dir_all(&self.work)?;
        let path = |name: &str| self.work.join(name).display().to_string();
        let shown = folder.display().to_string();
        let tar = format!(
            "tar -C '{shown}' -c . | zstd -q -f -{level} -T{threads} -o '{file}' && sync '{file}'",
            level = self.level,
            threads = self.threads,
            file = path("image.tar.zst")
        );
        let untar = format!(
            "mkdir '{0}' && zstd -q -dc '{1}' | tar -C '{0}' -x",
            path("untar"),
            path("image.tar.zst")
        );
        let mut costs: Vec<(String, Vec<Cost>)> = Vec::new();
        let mut note = |name: &str, cost: Cost| match costs.iter_mut().find(|(is, _)| is == name) {
            Some((_, list)) => list.push(cost),
            None => costs.push((name.to_owned(), vec![cost])),
        };
        let own = std::env::current_exe()?.display().to_string();
        let (level, threads) = (self.level.clone(), self.threads.to_string());
        for _ in 0..self.runs {
            note("tar | zstd", run(&["sh", "-c", &tar])?);
            for format in ["gpkg", "xpak"] {
                let _ = fs::remove_dir_all(path(format));
                let cost = run(&[
                    &own,
                    "--level",
                    &level,
                    "--threads",
                    &threads,
                    "pack",
                    format,
                    &shown,
                    &path(format),
                ])?;
                note(&format!("{format} packed"), cost);
            }
            note("zstd -d | tar", run(&["sh", "-c", &untar])?);
            for (format, suffix) in [("gpkg", "gpkg.tar"), ("xpak", "xpak")] {
                let package = path(&format!("{format}/app-misc/image/image-1-1.{suffix}"));
                let cost = run(&[&own, "unpack", &package, &path("unpacked")])?;
                note(&format!("{format} unpacked"), cost);
                fs::remove_dir_all(path("unpacked"))?;
            }
            fs::remove_dir_all(path("untar"))?;
        }
        let size = fs::metadata(path("image.tar.zst"))?.len() as f64 / 1e6;
        println!(
            "{shown}: {size:.1} MB packed, zstd -{level}, {threads} threads, medians of {}",
            self.runs
        );
        let mut beside = (0.0, 0.0);
        for (name, costs) in costs {
            let memory = costs.iter().map(|cost| cost.memory).max().unwrap_or(0) as f64 / 1024.0;
            let time = median(costs.iter().map(|cost| cost.time).collect());
            let work = median(costs.iter().map(|cost| cost.work).collect());
            let ratio = if name.contains('|') {
                beside = (time, work);
                String::new()
            } else {
                format!(", ratio {:.2} and {:.2}", time / beside.0, work / beside.1)
            };
            println!(
                "  {name:14} {time:7.3} s, {work:7.3} s of processors, {memory:6.1} MB of memory{ratio}"
            );
        }
        fs::remove_dir_all(&self.work)?;
        Ok(())
    }
}

/// What a child does.
fn unpack_package(package: &Path, target: &Path) -> Result<(), Failure> {
    let mut package = Package::open(package)?;
    let prefix = package.image_prefix();
    unpack(package.image()?, prefix, target, UnpackOptions::default())?;
    Ok(())
}

/// What a command takes. Its memory is the largest that one of its processes had.
fn run(command: &[&str]) -> Result<Cost, Failure> {
    let begin = Instant::now();
    let mut child = Command::new("/usr/bin/time");
    child
        .args(["-q", "-f", "%M %U %S", "-o", "/dev/stderr"])
        .args(command)
        .stdout(Stdio::null());
    let done = child.output()?;
    let time = begin.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        return Err(format!("{command:?}: {text}").into());
    }
    let numbers: Vec<f64> = text
        .lines()
        .last()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    match numbers.as_slice() {
        [memory, user, system] => Ok(Cost {
            time,
            work: user + system,
            memory: *memory as u64,
        }),
        _ => Err(format!("{command:?}: {text}").into()),
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}
