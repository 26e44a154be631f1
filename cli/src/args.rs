//! The command line.

mod resolve;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Parser, Subcommand};

use crate::exit::table_text;
use crate::keeping::Keeping;
pub(crate) use resolve::Resolve;

/// Crash-safe changes to a tree of files: all of them happen, or none.
///
/// A change set is applied, or a command is run, as one transaction: after any crash, and one opening of the tree, every
/// file is as it was before or as it should be after. What treewal needs for that it keeps in the directory .treewal of
/// the tree. Data goes to standard output, talk to standard error.
#[derive(Debug, Parser)]
#[command(name = "treewal", version, after_help = table_text(), max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The tree: an existing directory
    #[arg(short = 'C', value_name = "DIR", default_value = ".", global = true)]
    pub(crate) dir: PathBuf,
    /// Print one JSON object; log --follow prints one a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Whether to use colors; auto also heeds NO_COLOR
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto, global = true)]
    pub(crate) color: ColorChoice,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more, also where standard error is no terminal
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// How long to wait for a tree that somebody else holds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, global = true)]
    pub(crate) wait: Duration,
    /// Work also on a network file system, where nothing can be promised and one machine at a time may use the tree
    #[arg(long, global = true)]
    pub(crate) allow_network: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Apply a change set, all or nothing
    ///
    /// A change set is a JSON object:
    ///
    ///   {"changes": [
    ///      {"op": "write", "path": "notes/a.md", "text": "hello", "parents": true},
    ///      {"op": "rename", "from": "draft.md", "to": "notes/b.md"}],
    ///    "expect": [{"path": "notes/b.md", "absent": true}]}
    ///
    /// Operations and their fields:
    ///
    ///   write, append   path; one of text, base64 and source (a file);
    ///                   "if_changed": true leaves a file that is the same
    ///   patch           path, offset; contents as for write
    ///   truncate        path, len
    ///   copy, rename    from, to
    ///   hard_link       from, to
    ///   exchange        a, b
    ///   mkdir           path
    ///   remove          path; "recursive": true for a directory that is not empty
    ///   symlink         target, path
    ///   publish         from (in the tree, or absolute), to; "merge": true keeps the
    ///                   directory at to, "keep_unmanaged": true what only it has
    ///   chmod           path; mode, such as "0644"
    ///   chown           path; uid, gid
    ///   set_times       path; modified, accessed: seconds, or {"secs": 1, "nanos": 2}
    ///   set_xattr       path, name; text or base64
    ///   remove_xattr    path, name
    ///
    /// "parents": true makes missing directories. Paths are relative to the tree; FILE and
    /// source are relative to the working directory. What is expected ("absent": true, the
    /// "sha256" of a file, or "unchanged": true) is checked before the first change, and
    /// again at the commit.
    #[command(verbatim_doc_comment)]
    Apply(Apply),
    /// Run a command; keep what it did to the files if it succeeds, else restore them
    ///
    /// The command runs in the tree. On exit status 0 its changes are committed; otherwise, and on SIGINT, SIGTERM or
    /// SIGHUP, the guarded paths are restored and treewal exits with the command's status. If treewal itself is killed,
    /// the command is killed with it (not what the command started in turn), and the next opening of the tree restores.
    Run(Run),
    /// Keep the state of the tree under a name, look at it, and bring it back
    ///
    /// A snapshot holds all of a transaction or nothing of it, and stays until it is removed. A restore is a transaction:
    /// all or nothing, and no path is ever missing. The files of a snapshot can be read by any program: they lie in
    /// .treewal/snapshots/NAME/files, under their own names, and are not to be written to.
    Snapshot {
        /// What to do
        #[command(subcommand)]
        action: SnapshotAction,
    },
    /// Look at what recovery could not place; bring it back, take it out, or throw it away
    ///
    /// What treewal cannot place (a damaged journal, a transaction that it gave up, a file that somebody else changed
    /// meanwhile) lies in .treewal/quarantine, each with a report, and stays until somebody purges it.
    Quarantine {
        /// What to do
        #[command(subcommand)]
        action: QuarantineAction,
    },
    /// Show the state of the tree; changes nothing
    Status(Look),
    /// Finish or undo what a crash left unfinished
    Recover,
    /// Decide by hand about a transaction that cannot be finished or undone
    ///
    /// While one is owed, its paths are refused to others; treewal status lists it with its number, and each opening tries
    /// again. Others that are owed and touch the same paths are decided about together. --dry-run shows what a choice would
    /// do, all of them where none is given, and exits with 1 where the one that is given cannot be done.
    Resolve(Resolve),
    /// List the journal; changes nothing
    ///
    /// Lists segments, records and transactions, and how the journal ends. Each record has its number (LSN), its mark
    /// (every record up to there was durable when it was written), the bytes of its payload, and what it says. No lock
    /// is taken: what somebody is just writing may look torn. The exit status is 6 where acknowledged records are
    /// damaged; a torn tail is none: it is what a crash left of something that nobody was promised.
    ///
    /// With --json, the answer is one object. With --follow it is one object a line, by its "event": "segment",
    /// "record", "missed" (records that came and went between two looks), "rewound" (records that were seen and then
    /// lost in a crash), "tail" (it ends in another way than before).
    Log(Log),
    /// Check everything treewal keeps in the tree; changes nothing
    ///
    /// Reads the journal, the stages, the snapshots with all that they keep, and quarantine, and looks at who owns what and
    /// who may read it. Each finding has a code, a path, a sentence and an advice. The exit status is 6 where acknowledged
    /// work may be affected, or something waits in quarantine.
    Verify(Look),
    /// Show in a temporary directory what a crash does, and what recovery makes of it
    ///
    /// Kills a real process at every disk call of a commit and of a command under a guard, recovers, and checks that
    /// every file is as before or as after.
    Demo,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The change set; - or nothing for standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub(crate) file: PathBuf,
    /// Show what would change, and change nothing: no lock is taken, nothing is recovered, .treewal is not made
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Guard this path, relative to the tree, rather than all of it; may be given more than once
    #[arg(long, value_name = "PATH")]
    pub(crate) guard: Vec<PathBuf>,
    /// Guard every name of a pattern as well, also those that do not exist yet: * is any run of characters, in the last
    /// component, as in 'index.db*'. May be given more than once; without --guard, nothing else is guarded then
    #[arg(long = "match", value_name = "PATTERN")]
    pub(crate) matching: Vec<PathBuf>,
    /// Leave this path out of what is restored; may be given more than once
    #[arg(long, value_name = "PATH")]
    pub(crate) exclude: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) keeping: Keeping,
    /// Restore by exchanging each guarded path with a copy that is made ready before: at once, however many files there
    /// are; the files are other ones then, also for who has them open. Needs --guard
    #[arg(long)]
    pub(crate) exchange: bool,
    /// List what the command changed
    #[arg(long)]
    pub(crate) diff: bool,
    /// List what the command changes, and restore the paths whatever its status
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", last = true, required = true, num_args = 1..)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotAction {
    /// Take a snapshot
    Create {
        /// Letters, digits, and after the first - _ . + @
        #[arg(value_name = "NAME")]
        name: String,
        /// Only this path, relative to the tree; may be given more than once
        #[arg(long, value_name = "PATH")]
        path: Vec<PathBuf>,
        /// Leave this path out; a restore leaves it alone. May be given more than once
        #[arg(long, value_name = "PATH")]
        exclude: Vec<PathBuf>,
        #[command(flatten)]
        keeping: Keeping,
        /// The same as --sharing hard-link
        #[arg(long, conflicts_with = "sharing")]
        hard_link: bool,
    },
    /// List the snapshots; changes nothing
    List,
    /// Show what a snapshot holds, or print a file of it; changes nothing
    Show {
        /// The snapshot
        #[arg(value_name = "NAME")]
        name: String,
        /// A file in it, to be printed as it is
        #[arg(value_name = "PATH")]
        path: Option<PathBuf>,
    },
    /// List what is different in the tree now, or in a later snapshot; changes nothing
    ///
    /// Between two snapshots no contents are read: files with checksums are compared by these, others by inode, size and
    /// time. What only one of the two was taken of is no difference.
    Diff {
        /// The snapshot
        #[arg(value_name = "NAME")]
        name: String,
        /// A later snapshot, instead of the tree as it is
        #[arg(value_name = "LATER")]
        later: Option<String>,
    },
    /// Bring the tree back to a snapshot, all or nothing; what has come since goes, the snapshot stays
    Restore {
        /// The snapshot
        #[arg(value_name = "NAME")]
        name: String,
        /// Only these paths, relative to the tree, with all beneath them
        #[arg(value_name = "PATH")]
        path: Vec<PathBuf>,
        /// Take a snapshot of the tree as it is, under this name, before
        #[arg(long, value_name = "NAME")]
        keep: Option<String>,
    },
    /// Remove snapshots, and give back the room they take
    Remove {
        /// The snapshots
        #[arg(value_name = "NAME", required = true)]
        name: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Look {
    /// Say so where quarantine takes more bytes of disk than this; nothing is removed
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    pub(crate) quarantine_limit: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineAction {
    /// List what is in quarantine; changes nothing
    List,
    /// Show what an entry holds, path by path, and its report; changes nothing
    Show {
        /// The entry
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Bring an entry into the tree, as one transaction; it leaves quarantine once that is durable
    ///
    /// The snapshot of a guard is restored; what a staged transaction was to write is written where the path is still as
    /// the report found it. Paths that were changed since are conflicts: then nothing is done, and the exit status is 5.
    Retry {
        /// The entry
        #[arg(value_name = "ID")]
        id: String,
        /// Show what would be done, and what keeps it from being done
        #[arg(long)]
        dry_run: bool,
        /// Also over what was changed since; what cannot be brought back is left out, and the entry stays
        #[arg(long)]
        force: bool,
    },
    /// Copy an entry to a directory, under its own paths; the tree and quarantine stay as they are
    ///
    /// What no report has a path for goes to DIR/.quarantine, with the reports. The exit status is 6 where something could
    /// not be written, which is then named.
    Export {
        /// The entry
        #[arg(value_name = "ID")]
        id: String,
        /// A directory that is empty, or not there yet
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Throw entries away, for good; asks first
    Purge(Purge),
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["id", "all", "older_than"])))]
pub(crate) struct Purge {
    /// The entries
    #[arg(value_name = "ID")]
    pub(crate) id: Vec<String>,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
    /// Those that are older: a number with d, h, m or s, as 30d
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) older_than: Option<Duration>,
    /// Do not ask; needed where nobody can be asked
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Go on with what is appended, until interrupted, or until damage is found
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// A directory of segments (*.wal), such as a copied journal, instead of the journal of the tree
    #[arg(value_name = "JOURNAL")]
    pub(crate) journal: Option<PathBuf>,
}

impl Command {
    /// As `--json` names it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Apply(_) => "apply",
            Self::Run(_) => "run",
            Self::Snapshot { .. } => "snapshot",
            Self::Quarantine { .. } => "quarantine",
            Self::Status(_) => "status",
            Self::Recover => "recover",
            Self::Resolve(_) => "resolve",
            Self::Log(_) => "log",
            Self::Verify(_) => "verify",
            Self::Demo => "demo",
            Self::Completions { .. } => "completions",
            Self::Man => "man",
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// A time span: a number and a unit.
fn age(text: &str) -> Result<Duration, String> {
    let unit = text.chars().last().ok_or("an age is a number with d, h, m or s")?;
    let seconds = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err("an age is a number with d, h, m or s, as 30d".to_owned()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "that is too long ago".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_age_has_a_number_and_a_unit() {
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!((age("2h"), age("0s")), (Ok(Duration::from_secs(7200)), Ok(Duration::ZERO)));
        for bad in ["", "d", "30", "-1d", "1.5h", "1y", "99999999999999999999d", "9999999999999999d", "1é"] {
            assert!(age(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn seconds_are_a_number_that_is_not_negative() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err() && seconds("soon").is_err() && seconds("nan").is_err());
    }
}
