//! Compression of documentation (PMS 11.3.3.11): what is chosen, how it is compressed, and the
//! symbolic links that have to follow.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Image, ImageError, Notice, pattern, program, walk};

/// How documentation is compressed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `PORTAGE_COMPRESS`, not empty: the program. `bzip2` is done without running it.
    pub program: String,
    /// `PORTAGE_COMPRESS_FLAGS`; `None` when unset, for the flags that suit the program.
    pub flags: Option<String>,
    /// `PORTAGE_COMPRESS_EXCLUDE_SUFFIXES`: extended regular expressions of suffixes that stay
    /// uncompressed.
    pub exclude_suffixes: String,
    /// `PORTAGE_DOCOMPRESS_SIZE_LIMIT`: files of at most so many bytes stay uncompressed.
    pub size_limit: Option<u64>,
    /// Paths given to `docompress`, with the initial ones.
    pub include: Vec<String>,
    /// Paths given to `docompress -x`, with the initial ones.
    pub exclude: Vec<String>,
    /// How many files may be worked on side by side.
    pub jobs: usize,
}

/// Suffixes that mark a file as compressed, of which two in one place collide.
const COMPRESSED: [&str; 9] = ["Z", "gz", "bz2", "lzma", "lz", "lzo", "lz4", "xz", "zst"];

/// How many files one run of the program is given.
const BATCH: usize = 128;

/// Compresses what the package chose and renames the links that pointed to it.
///
/// # Errors
///
/// When a file cannot be read, written or, being compressed by the package, decompressed, or when
/// the program fails.
pub fn run(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<(), ImageError> {
    let method = Method::new(image, settings)?;
    let files = choose(image, settings, notices)?;
    let suffixes: Vec<&str> = settings.exclude_suffixes.split_whitespace().collect();
    let kept = (!suffixes.is_empty())
        .then(|| {
            pattern::search(
                "PORTAGE_COMPRESS_EXCLUDE_SUFFIXES",
                &format!("^(?:{})$", suffixes.join("|")),
            )
        })
        .transpose()?;
    let files: Vec<_> = files
        .into_iter()
        .filter(|path| {
            !path
                .extension()
                .is_some_and(|suffix| kept.as_ref().is_some_and(|k| k.is_match(suffix.as_bytes())))
        })
        .collect();
    let batches: Vec<_> = files
        .chunks(BATCH.min(files.len() / settings.jobs.max(1) + 1))
        .collect();
    for result in program::parallel(&batches, settings.jobs, |batch| {
        method.compress(image, batch)
    }) {
        result?;
    }
    fix_links(image, &method.suffix)
}

/// The files to compress, each without the exclusions and collisions; tells of the latter and of
/// files that came compressed.
fn choose(
    image: &Image,
    settings: &Settings,
    notices: &mut Vec<Notice>,
) -> Result<Vec<PathBuf>, ImageError> {
    let ed = image.ed();
    let at = |path: &String| ed.join(path.trim_start_matches('/'));
    let mut excluded = BTreeSet::new();
    for path in settings.exclude.iter().map(at) {
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && let Ok(parent) = parent.canonicalize()
        {
            excluded.insert(parent.join(name));
        }
    }
    let mut chosen = BTreeSet::new();
    let mut compressed = BTreeSet::new();
    let mut colliding = BTreeSet::new();
    for top in settings.include.iter().map(at) {
        for entry in walk::walk(&top)? {
            if !entry.metadata.is_file()
                || settings
                    .size_limit
                    .is_some_and(|limit| entry.metadata.len() <= limit)
                || entry.path.as_os_str().as_bytes().contains(&b'\n')
            {
                continue;
            }
            if let Some(plain) = without_compressed_suffix(&entry.path) {
                let variants = std::iter::once(plain.clone()).chain(
                    COMPRESSED
                        .iter()
                        .map(|suffix| with_suffix(&plain, &format!(".{suffix}"))),
                );
                let collides = variants
                    .into_iter()
                    .any(|variant| variant != entry.path && variant.exists());
                if collides {
                    colliding.insert(entry.path);
                    colliding.insert(plain);
                    continue;
                }
                compressed.insert(entry.path.clone());
            }
            chosen.insert(entry.path);
        }
    }
    let skipped = |path: &Path| {
        // Files were found without links in the middle of their names; so were the exclusions.
        let resolved = match (path.parent().map(Path::canonicalize), path.file_name()) {
            (Some(Ok(parent)), Some(name)) => parent.join(name),
            _ => path.to_path_buf(),
        };
        resolved.ancestors().any(|part| excluded.contains(part))
    };
    chosen.retain(|path| !skipped(path));
    compressed.retain(|path| !skipped(path));
    if !colliding.is_empty() {
        let lines: Vec<_> = colliding.iter().map(|path| image.shown(path)).collect();
        notices.push(Notice::qa_list(
            "compressed and uncompressed variants of the same files are installed; remove the compressed ones:",
            &lines,
        ));
    }
    if !compressed.is_empty() {
        let mut lines: Vec<_> = compressed
            .iter()
            .take(10)
            .map(|path| image.shown(path))
            .collect();
        if compressed.len() > 10 {
            lines.push("...".to_owned());
        }
        notices.push(Notice::qa_list(
            "files in directories that are compressed automatically came compressed; install them uncompressed:",
            &lines,
        ));
    }
    Ok(chosen.into_iter().collect())
}

/// The name without the suffix that marks it as compressed.
fn without_compressed_suffix(path: &Path) -> Option<PathBuf> {
    let suffix = path.extension()?.to_str()?;
    COMPRESSED
        .contains(&suffix)
        .then(|| path.with_extension(""))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A way to compress, and the suffix of what comes out.
struct Method {
    suffix: String,
    how: How,
}

enum How {
    /// bzip2 with this level, by the library.
    Bzip2(u32),
    /// A program, run on the files by name.
    Program { path: PathBuf, flags: Vec<String> },
}

impl Method {
    fn new(image: &Image, settings: &Settings) -> Result<Self, ImageError> {
        let name = settings.program.as_str();
        let jobs = settings.jobs.max(1);
        let flags: Vec<String> = match (&settings.flags, name) {
            (Some(flags), _) => flags.clone(),
            (None, "bzip2" | "gzip") => "-9".to_owned(),
            (None, "lz4") => "-m --rm".to_owned(),
            (None, "xz") => format!("-q -T{jobs} --memlimit-compress=50%"),
            (None, "zstd") => format!("-q --rm -T{jobs}"),
            (None, _) => String::new(),
        }
        .split_whitespace()
        .map(str::to_owned)
        .collect();
        if name == "bzip2"
            && let Some(level) = bzip2_level(&flags)
        {
            return Ok(Self {
                suffix: ".bz2".to_owned(),
                how: How::Bzip2(level),
            });
        }
        let path = program::find(name, &image.search_path).ok_or_else(|| ImageError::Start {
            program: name.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        Ok(Self {
            suffix: guess_suffix(image, name, &path, &flags)?,
            how: How::Program { path, flags },
        })
    }

    /// Compresses files in place: each is replaced by one with the suffix, unless it is empty.
    fn compress(&self, image: &Image, files: &[PathBuf]) -> Result<(), ImageError> {
        let mut plain = Vec::new();
        for path in files {
            let metadata =
                fs::symlink_metadata(path).map_err(ImageError::io("look at it", path))?;
            if metadata.len() == 0 {
                continue;
            }
            let path = decompress(image, path)?;
            match fs::remove_file(with_suffix(&path, &self.suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ImageError::io("replace", &path)(error));
                }
                _ => plain.push(path),
            }
        }
        match &self.how {
            How::Bzip2(level) => plain.iter().try_for_each(|path| {
                transform(path, &with_suffix(path, &self.suffix), |from, to| {
                    crate::util::bzip2::compress(from, to, *level)
                })
            }),
            How::Program { path, flags } => {
                if plain.is_empty() {
                    return Ok(());
                }
                plain.iter().try_for_each(|path| break_hard_links(path))?;
                let args = flags
                    .iter()
                    .map(OsString::from)
                    .chain(plain.iter().map(|path| path.clone().into_os_string()));
                run_program(image, path, args, plain.first().map_or(&image.d, |p| p))
            }
        }
    }
}

/// The level that flags of bzip2 ask for, when they ask for nothing else.
fn bzip2_level(flags: &[String]) -> Option<u32> {
    let mut level = 9;
    for flag in flags {
        level = match flag.as_str() {
            "--best" => 9,
            "--fast" => 1,
            flag => flag
                .strip_prefix('-')
                .and_then(|digit| digit.parse().ok())
                .filter(|level| (1..=9).contains(level))?,
        };
    }
    Some(level)
}

fn run_program(
    image: &Image,
    program: &Path,
    args: impl IntoIterator<Item = impl Into<OsString>>,
    first: &Path,
) -> Result<(), ImageError> {
    let output = program::output(program, args, &image.temp, &image.search_path)?;
    if output.status.success() {
        return Ok(());
    }
    Err(ImageError::Program {
        program: program.display().to_string(),
        path: first.to_path_buf(),
        status: output.status,
        output: program::complaint(&output),
    })
}

/// Finds out by trial what suffix a program gives its files.
fn guess_suffix(
    image: &Image,
    name: &str,
    path: &Path,
    flags: &[String],
) -> Result<String, ImageError> {
    let dir = tempfile::tempdir_in(&image.temp)
        .map_err(ImageError::io("create a directory in", &image.temp))?;
    let sample = dir.path().join("compressme");
    // Enough that compressing makes it smaller: some programs leave others alone.
    let text: String = (0..=1000).map(|n| format!("{n} ")).collect();
    fs::write(&sample, text).map_err(ImageError::io("write", &sample))?;
    let args = flags
        .iter()
        .map(OsString::from)
        .chain([OsString::from(&sample)]);
    run_program(image, path, args, &sample)?;
    walk::list(dir.path())?
        .iter()
        .filter_map(|path| path.file_name()?.to_str()?.strip_prefix("compressme"))
        .find(|suffix| !suffix.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| ImageError::CompressSuffix {
            program: name.to_owned(),
        })
}

/// Decompresses a file that came compressed, by what its name says, and gives its new name.
fn decompress(image: &Image, path: &Path) -> Result<PathBuf, ImageError> {
    let plain = path.with_extension("");
    match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("gz") => transform(path, &plain, |from, to| {
            io::copy(&mut flate2::read::MultiGzDecoder::new(from), to)
        })?,
        Some("bz2") => transform(path, &plain, |from, to| {
            io::copy(&mut bzip2::read::MultiBzDecoder::new(from), to)
        })?,
        Some("xz" | "lzma") => transform(path, &plain, |from, to| {
            let stream =
                liblzma::stream::Stream::new_auto_decoder(u64::MAX, liblzma::stream::CONCATENATED)
                    .map_err(io::Error::from)?;
            io::copy(&mut liblzma::read::XzDecoder::new_stream(from, stream), to)
        })?,
        Some("Z") => decompress_by(image, "gunzip", &["-f"], path)?,
        Some("lz") => decompress_by(image, "lzip", &["-df"], path)?,
        _ => return Ok(path.to_path_buf()),
    }
    Ok(plain)
}

fn decompress_by(image: &Image, name: &str, flags: &[&str], path: &Path) -> Result<(), ImageError> {
    let program = program::find(name, &image.search_path).ok_or_else(|| ImageError::Start {
        program: name.to_owned(),
        source: io::ErrorKind::NotFound.into(),
    })?;
    let args = flags
        .iter()
        .map(OsString::from)
        .chain([path.as_os_str().to_owned()]);
    run_program(image, &program, args, path)
}

/// Writes what `work` makes of `from` to `to`, with the owner, mode and times of `from`, the
/// latter to the second as the programs keep them, and removes `from`.
fn transform<T>(
    from: &Path,
    to: &Path,
    work: impl FnOnce(BufReader<File>, &mut BufWriter<File>) -> io::Result<T>,
) -> Result<(), ImageError> {
    let input = File::open(from).map_err(ImageError::io("read", from))?;
    let metadata = input
        .metadata()
        .map_err(ImageError::io("look at it", from))?;
    let file = File::create(to).map_err(ImageError::io("write", to))?;
    let mut output = BufWriter::new(file);
    work(BufReader::new(input), &mut output)
        .and_then(|_| output.flush())
        .map_err(ImageError::io("compress or decompress", from))?;
    take_over(to, &metadata)?;
    fs::remove_file(from).map_err(ImageError::io("remove", from))
}

/// Gives `path` the owner, mode and times of another file.
fn take_over(path: &Path, metadata: &Metadata) -> Result<(), ImageError> {
    let now = fs::symlink_metadata(path).map_err(ImageError::io("look at it", path))?;
    if (now.uid(), now.gid()) != (metadata.uid(), metadata.gid()) {
        std::os::unix::fs::chown(path, Some(metadata.uid()), Some(metadata.gid()))
            .map_err(ImageError::io("change the owner of", path))?;
    }
    let mode = fs::Permissions::from_mode(metadata.mode() & 0o7777);
    fs::set_permissions(path, mode).map_err(ImageError::io("set the mode of", path))?;
    let seconds = |seconds| filetime::FileTime::from_unix_time(seconds, 0);
    filetime::set_file_times(path, seconds(metadata.atime()), seconds(metadata.mtime()))
        .map_err(ImageError::io("set the times of", path))
}

/// Makes a file with several names one of its own: some programs refuse the others.
fn break_hard_links(path: &Path) -> Result<(), ImageError> {
    let metadata = fs::symlink_metadata(path).map_err(ImageError::io("look at it", path))?;
    if metadata.nlink() < 2 {
        return Ok(());
    }
    let copy = with_suffix(path, ".ecompress.break");
    fs::copy(path, &copy).map_err(ImageError::io("copy", path))?;
    take_over(&copy, &metadata)?;
    filetime::set_file_mtime(
        &copy,
        filetime::FileTime::from_last_modification_time(&metadata),
    )
    .map_err(ImageError::io("set the times of", &copy))?;
    fs::rename(&copy, path).map_err(ImageError::io("replace", path))
}

/// Renames links whose target is gone but has a compressed successor, and again for links to
/// those.
fn fix_links(image: &Image, suffix: &str) -> Result<(), ImageError> {
    let mut broken: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for entry in walk::walk(&image.ed())? {
        if entry.metadata.is_symlink() {
            let target =
                fs::read_link(&entry.path).map_err(ImageError::io("read the link", &entry.path))?;
            if fs::metadata(resolve(image, &entry.path, &target)).is_err() {
                broken.insert(entry.path, target);
            }
        }
    }
    // Each round can mend the links to what the round before renamed.
    loop {
        let mut mended = Vec::new();
        for (link, target) in &broken {
            let target = with_suffix(target, suffix);
            if !fs::metadata(resolve(image, link, &target)).is_ok_and(|m| m.is_file()) {
                continue;
            }
            let new = with_suffix(link, suffix);
            fs::remove_file(link).map_err(ImageError::io("remove", link))?;
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ImageError::io("replace", &new)(error));
                }
                _ => {}
            }
            std::os::unix::fs::symlink(&target, &new)
                .map_err(ImageError::io("create the link", &new))?;
            mended.push(link.clone());
        }
        if mended.is_empty() {
            return Ok(());
        }
        for link in mended {
            broken.remove(&link);
        }
    }
}

/// Where a link's target is while the package is still in its image.
fn resolve(image: &Image, link: &Path, target: &Path) -> PathBuf {
    if target.is_absolute() {
        let mut inside = image.d.clone().into_os_string().into_vec();
        inside.extend(target.as_os_str().as_bytes());
        return PathBuf::from(OsString::from_vec(inside));
    }
    link.parent().unwrap_or(link).join(target)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::testing::TestImage;
    use super::*;

    fn settings() -> Settings {
        Settings {
            program: "bzip2".into(),
            flags: None,
            exclude_suffixes: "css gif htm[l]? jp[e]?g js pdf png".into(),
            size_limit: Some(128),
            include: ["/usr/share/doc", "/usr/share/info", "/usr/share/man"]
                .map(String::from)
                .to_vec(),
            exclude: vec!["/usr/share/doc/foo-1-r2/html".into()],
            jobs: 2,
        }
    }

    fn text(len: usize) -> String {
        "line of text\n".repeat(len / 13 + 1)[..len].to_owned()
    }

    fn unpack(path: PathBuf) -> String {
        let mut out = String::new();
        bzip2::read::BzDecoder::new(File::open(path).unwrap())
            .read_to_string(&mut out)
            .unwrap();
        out
    }

    #[test]
    fn sizes_suffixes_and_exclusions() {
        let test = TestImage::new();
        let doc = "usr/share/doc/foo-1-r2";
        for (name, len) in [
            ("big", 129),
            ("small", 128),
            ("page.html", 500),
            ("page.htmlx", 500),
            ("html/index", 500),
            ("a.jpeg", 500),
        ] {
            test.file(&format!("{doc}/{name}"), text(len));
        }
        test.file("usr/share/other/big", text(500));
        let mut notices = Vec::new();
        run(&test.image, &settings(), &mut notices).unwrap();
        let exists = |name: &str| test.path(&format!("{doc}/{name}")).exists();
        assert!(exists("big.bz2") && !exists("big"));
        assert!(exists("small") && exists("page.html") && exists("a.jpeg"));
        assert!(exists("page.htmlx.bz2") && exists("html/index"));
        assert!(test.path("usr/share/other/big").exists());
        assert!(notices.is_empty());
        assert_eq!(unpack(test.path(&format!("{doc}/big.bz2"))), text(129));
    }

    #[test]
    fn owner_mode_and_second_are_kept() {
        let test = TestImage::new();
        let path = test.file("usr/share/man/man1/foo.1", text(600));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        filetime::set_file_mtime(&path, filetime::FileTime::from_unix_time(1_000_000, 77)).unwrap();
        run(&test.image, &settings(), &mut Vec::new()).unwrap();
        let metadata = fs::metadata(test.path("usr/share/man/man1/foo.1.bz2")).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o640);
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_000_000, 0));
    }

    #[test]
    fn links_follow_their_targets() {
        let test = TestImage::new();
        test.file("usr/share/man/man1/foo.1", text(600));
        test.file("usr/share/man/man1/tiny.1", ".so");
        test.link("usr/share/man/man1/a.1", "foo.1");
        test.link("usr/share/man/man1/b.1", "a.1");
        test.link("usr/share/man/man3/c.3", "/usr/share/man/man1/foo.1");
        test.link("usr/share/man/man1/t.1", "tiny.1");
        test.link("usr/share/man/man1/loop.1", "loop.1");
        test.link("usr/share/man/man1/gone.1", "nowhere.1");
        run(&test.image, &settings(), &mut Vec::new()).unwrap();
        let target = |name: &str| fs::read_link(test.path("usr/share/man").join(name)).unwrap();
        assert_eq!(target("man1/a.1.bz2"), Path::new("foo.1.bz2"));
        assert_eq!(target("man1/b.1.bz2"), Path::new("a.1.bz2"));
        assert_eq!(
            target("man3/c.3.bz2"),
            Path::new("/usr/share/man/man1/foo.1.bz2")
        );
        assert_eq!(target("man1/t.1"), Path::new("tiny.1"));
        assert_eq!(target("man1/gone.1"), Path::new("nowhere.1"));
        assert_eq!(target("man1/loop.1"), Path::new("loop.1"));
    }

    #[test]
    fn files_that_came_compressed_are_redone() {
        let test = TestImage::new();
        let doc = "usr/share/doc/foo-1-r2";
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let mut noise = 1u32;
        let words: String = (0..400)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                format!("{noise} ")
            })
            .collect();
        gz.write_all(words.as_bytes()).unwrap();
        test.file(&format!("{doc}/a.gz"), gz.finish().unwrap());
        test.file(&format!("{doc}/both"), text(500));
        test.file(&format!("{doc}/both.gz"), text(500));
        let mut notices = Vec::new();
        run(&test.image, &settings(), &mut notices).unwrap();
        assert_eq!(unpack(test.path(&format!("{doc}/a.bz2"))), words);
        // The variant is left alone, its plain file is compressed.
        assert!(test.path(&format!("{doc}/both.gz")).exists());
        assert!(test.path(&format!("{doc}/both.bz2")).exists());
        assert_eq!(notices.len(), 2);
        assert!(notices[0].text.contains("/both.gz"));
        assert!(notices[1].text.contains("/a.gz"));
    }

    #[test]
    fn hard_links_are_compressed_apart() {
        let test = TestImage::new();
        let path = test.file("usr/share/man/man1/a.1", text(600));
        fs::hard_link(&path, test.path("usr/share/man/man1/b.1")).unwrap();
        run(&test.image, &settings(), &mut Vec::new()).unwrap();
        let of = |name: &str| fs::metadata(test.path("usr/share/man/man1").join(name)).unwrap();
        assert_ne!(of("a.1.bz2").ino(), of("b.1.bz2").ino());
    }

    #[test]
    fn other_programs_are_run_and_their_suffix_found() {
        let test = TestImage::new();
        let script = test.image.temp.join("squeeze");
        fs::write(
            &script,
            "#!/bin/sh\nfor f; do [ \"$f\" = -x ] && continue; printf squeezed > \"$f.sq\" && rm \"$f\"; done\n",
        )
        .unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        test.file("usr/share/doc/foo-1-r2/a", text(500));
        test.link("usr/share/doc/foo-1-r2/b", "a");
        let settings = Settings {
            program: script.to_str().unwrap().into(),
            flags: Some("-x".into()),
            ..settings()
        };
        run(&test.image, &settings, &mut Vec::new()).unwrap();
        assert!(test.path("usr/share/doc/foo-1-r2/a.sq").exists());
        assert!(fs::symlink_metadata(test.path("usr/share/doc/foo-1-r2/b.sq")).is_ok());
        let settings = Settings {
            program: "true".into(),
            ..settings
        };
        assert!(matches!(
            run(&test.image, &settings, &mut Vec::new()),
            Err(ImageError::CompressSuffix { .. })
        ));
    }

    #[test]
    fn levels() {
        let level =
            |flags: &[&str]| bzip2_level(&flags.iter().map(|f| f.to_string()).collect::<Vec<_>>());
        assert_eq!(level(&["-9"]), Some(9));
        assert_eq!(level(&["-1", "--best"]), Some(9));
        assert_eq!(level(&[]), Some(9));
        assert_eq!(level(&["-k"]), None);
        assert_eq!(level(&["-0"]), None);
    }
}
