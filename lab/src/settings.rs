//! What to do: file systems as arguments, the rest in the environment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::explore::Knobs;
use crate::filesystem::Fs;
use crate::order::Kernel;
use crate::workloads::Workload;

/// From how many images of a file system on a run is long.
const LONG_IMAGES: usize = 1000;

/// | variable | meaning | default |
/// |---|---|---|
/// | `TREEWAL_LAB_IMAGES` | images to try on each file system, those inside recovery not counted | 84 |
/// | `TREEWAL_LAB_MIXED` | how often what is lost and torn is drawn at each flush | 6 |
/// | `TREEWAL_LAB_SEED` | draws what is lost and torn, and which images are tried | 1 |
/// | `TREEWAL_LAB_ONLY` | only recordings whose name, such as `guards/Eager`, contains this | all |
/// | `TREEWAL_LAB_OPTIONS` | how to mount, such as `data=writeback` with ext4 | the kernel's defaults |
/// | `TREEWAL_LAB_THREADS` | disks at work at the same time | 2 |
/// | `TREEWAL_LAB_MINUTES` | after these it gives up | 20 |
/// | `TREEWAL_LAB_KEEP` | a directory for the images that fail | not kept |
/// | `TREEWAL_LAB_PROGRAM` | the program `treewal` | beside this one |
///
/// With a thousand images and more each recording says on standard error when it is done, and how far it has come.
pub(crate) struct Settings {
    pub(crate) file_systems: Vec<Fs>,
    pub(crate) images: usize,
    pub(crate) time_max: Duration,
    only: String,
    options: Option<String>,
    seed: u64,
    threads: usize,
    mixed: u64,
    keep: Option<PathBuf>,
    treewal: PathBuf,
}

impl Settings {
    pub(crate) fn read(arguments: &[String]) -> Self {
        let named = |name: &String| Fs::named(name).unwrap_or_else(|| panic!("not a file system known here: {name}"));
        let file_systems = if arguments.is_empty() { Fs::ALL.to_vec() } else { arguments.iter().map(named).collect() };
        let text = |name: &str| std::env::var(format!("TREEWAL_LAB_{name}")).ok();
        let number = |name: &str, default: u64| {
            let parse = |text: String| text.parse().unwrap_or_else(|_| panic!("TREEWAL_LAB_{name} is not a number"));
            text(name).map_or(default, parse)
        };
        let beside = std::env::current_exe().unwrap().with_file_name("treewal");
        let treewal = text("PROGRAM").map_or(beside, PathBuf::from);
        assert!(treewal.exists(), "no program at {}: cargo build -p treewal-cli", treewal.display());
        Self {
            file_systems,
            images: usize::try_from(number("IMAGES", 84)).unwrap(),
            time_max: Duration::from_secs(60 * number("MINUTES", 20)),
            only: text("ONLY").unwrap_or_default(),
            options: text("OPTIONS"),
            seed: number("SEED", 1),
            threads: usize::try_from(number("THREADS", 2)).unwrap(),
            mixed: number("MIXED", 6),
            keep: text("KEEP").map(PathBuf::from),
            treewal,
        }
    }

    pub(crate) fn is_wanted(&self, workload: &Workload, kernel: Kernel) -> bool {
        format!("{}/{kernel:?}", workload.name).contains(&self.only)
    }

    pub(crate) fn knobs(&self) -> Knobs {
        Knobs {
            dir: crate::needs::scratch(),
            treewal: self.treewal.clone(),
            options: self.options.clone(),
            seed: self.seed,
            threads: self.threads,
            mixed: self.mixed,
            keep: self.keep.clone(),
            is_long: self.images >= LONG_IMAGES,
        }
    }
}

/// What draws the same disks again from the same recordings, as it is said to the environment.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, mixed, seed, only, options, .. } = self;
        write!(f, "TREEWAL_LAB_IMAGES={images} TREEWAL_LAB_MIXED={mixed} TREEWAL_LAB_SEED={seed}")?;
        if !only.is_empty() {
            write!(f, " TREEWAL_LAB_ONLY={only:?}")?;
        }
        options.as_ref().map_or(Ok(()), |options| write!(f, " TREEWAL_LAB_OPTIONS={options:?}"))
    }
}
