//! Reading a change set from a file or from standard input.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use treewal_vfs::{Disk as _, Kind, Open, RealDisk, read_all};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// The largest change set, in bytes: 1 GiB. Larger contents come from files, by `source`.
const BYTES_MAX: u64 = 1 << 30;

/// The bytes of the change set at `path`, `-` being standard input.
pub(crate) fn read(path: &Path, output: &Output) -> Result<Vec<u8>, Failure> {
    let standard = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| path == Path::new(name));
    let result = if standard { read_stdin(output) } else { read_file(path) };
    result.map_err(|error| {
        let name = if standard { "standard input".to_owned() } else { format!("{path:?}") };
        let mut failure = Failure::new(Exit::BAD_INPUT, format!("cannot read the change set from {name}"));
        failure.path = (!standard).then(|| path.into());
        failure = failure.because(&error);
        match error.kind() {
            io::ErrorKind::FileTooLarge => failure.help("give large contents as files, with \"source\""),
            io::ErrorKind::InvalidInput => failure.help("pass it on standard input: `treewal apply -`"),
            _ => failure,
        }
    })
}

fn read_stdin(output: &Output) -> io::Result<Vec<u8>> {
    if io::stdin().is_terminal() {
        output.talk("reading a change set from the terminal; end it with Ctrl-D");
    }
    let mut bytes = Vec::new();
    io::stdin().lock().take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// Links are followed: whoever runs the program has named the file.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let odd = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    let path = path.canonicalize()?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(odd()) };
    let dir = RealDisk.open_root(parent)?;
    let file = RealDisk.open(&dir, name, Open::Read)?;
    if RealDisk.stat_file(&file)?.kind != Kind::File {
        return Err(odd());
    }
    read_all(&RealDisk, &file, BYTES_MAX)
}
