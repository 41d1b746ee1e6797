//! Where access lines go: standard output, or a file that may be moved away at any time.

use crate::config::snapshot::AccessTo;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub enum Destination {
    Stdout,
    File(LogFile),
}

impl Destination {
    pub fn open(to: &AccessTo) -> Result<Destination, String> {
        match to {
            AccessTo::Stdout => Ok(Destination::Stdout),
            AccessTo::File(path) => LogFile::open(path.clone())
                .map(Destination::File)
                .map_err(|error| format!("cannot open the log {}: {error}", path.display())),
        }
    }

    /// Whole lines. What could not be written is lost.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), Lost> {
        match self {
            Destination::Stdout => pour(&mut io::stdout(), lines).map_err(Torn::into_lost),
            Destination::File(file) => file.write(lines),
        }
    }
}

/// So many lines, and why.
#[derive(Debug)]
pub struct Lost {
    pub lines: usize,
    pub error: io::Error,
}

impl Lost {
    fn all(lines: &[u8], error: io::Error) -> Lost {
        let lines = lines.iter().filter(|byte| **byte == b'\n').count();
        Lost { lines, error }
    }
}

/// Appended to. Whoever rotates it moves it away, and finds the next line in a fresh one.
pub struct LogFile {
    path: PathBuf,
    file: File,
    /// Device and number: a path that leads to another file was moved.
    identity: (u64, u64),
    /// It ends in the middle of a line.
    is_torn: bool,
}

impl LogFile {
    fn open(path: PathBuf) -> io::Result<LogFile> {
        let (file, identity) = append_to(&path)?;
        Ok(LogFile {
            path,
            file,
            identity,
            is_torn: false,
        })
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), Lost> {
        if let Err(error) = self.follow() {
            return Err(Lost::all(lines, error));
        }
        if self.is_torn
            && let Err(error) = self.file.write_all(b"\n")
        {
            return Err(Lost::all(lines, error));
        }
        self.is_torn = false;
        pour(&mut self.file, lines).map_err(|torn| {
            self.is_torn = torn.inside_a_line;
            torn.into_lost()
        })
    }

    fn follow(&mut self) -> io::Result<()> {
        let stays = fs::metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity);
        if !stays {
            (self.file, self.identity) = append_to(&self.path)?;
            self.is_torn = false;
        }
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<(File, (u64, u64))> {
    // To open one would wait for its reader.
    if fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
        return Err(io::Error::other("it is a pipe"));
    }
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)?;
    let identity = identity(&file.metadata()?);
    Ok((file, identity))
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// A write that ended early.
struct Torn {
    lost: Lost,
    inside_a_line: bool,
}

impl Torn {
    fn into_lost(self) -> Lost {
        self.lost
    }
}

fn pour(out: &mut impl Write, lines: &[u8]) -> Result<(), Torn> {
    let mut written = 0;
    while let Some(left) = lines.get(written..).filter(|left| !left.is_empty()) {
        let error = match out.write(left) {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(count) => {
                written += count;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        let before = written.checked_sub(1).and_then(|last| lines.get(last));
        return Err(Torn {
            lost: Lost::all(left, error),
            inside_a_line: before.is_some_and(|byte| *byte != b'\n'),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let name = format!("overspill-log-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }

        fn log(&self) -> LogFile {
            LogFile::open(self.0.join("access.log")).unwrap()
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_there_stays_and_what_is_moved_away_is_left_alone() {
        let files = Directory::new("moved");
        files.log().write(b"one\n").unwrap();
        let mut log = files.log();
        log.write(b"two\n").unwrap();
        let path = files.0.join("access.log");
        fs::rename(&path, files.0.join("access.log.1")).unwrap();
        log.write(b"three\n").unwrap();
        assert_eq!(files.read("access.log.1"), "one\ntwo\n");
        assert_eq!(files.read("access.log"), "three\n");
        fs::remove_file(&path).unwrap();
        log.write(b"four\n").unwrap();
        assert_eq!(files.read("access.log"), "four\n");
        // Cut short in its place, as `copytruncate` does.
        File::create(&path).unwrap();
        log.write(b"five\n").unwrap();
        assert_eq!(files.read("access.log"), "five\n");
    }

    #[test]
    fn a_folder_that_is_gone_loses_lines_until_it_is_back() {
        let files = Directory::new("gone");
        let mut log = files.log();
        fs::remove_dir_all(&files.0).unwrap();
        assert_eq!(log.write(b"one\ntwo\n").unwrap_err().lines, 2);
        fs::create_dir_all(&files.0).unwrap();
        log.write(b"three\n").unwrap();
        assert_eq!(files.read("access.log"), "three\n");
    }

    /// Takes so many bytes.
    struct Full(usize, Vec<u8>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.0.min(bytes.len()).min(3);
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= room;
            self.1.extend_from_slice(&bytes[..room]);
            Ok(room)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn of_a_disk_that_fills_up_every_line_that_is_not_whole_is_counted() {
        for (room, lost, inside) in [(0, 3, false), (2, 3, true), (4, 2, false), (7, 2, true)] {
            let mut full = Full(room, Vec::new());
            let torn = pour(&mut full, b"one\ntwo\nsix\n").err().unwrap();
            assert_eq!((torn.lost.lines, torn.inside_a_line), (lost, inside));
            assert_eq!(full.1.len(), room);
        }
        let mut roomy = Full(100, Vec::new());
        assert!(pour(&mut roomy, b"one\ntwo\n").is_ok());
        assert_eq!(roomy.1, b"one\ntwo\n");
    }

    #[test]
    fn a_torn_line_is_closed_before_the_next() {
        let files = Directory::new("torn");
        let mut log = files.log();
        log.write(b"hal").unwrap();
        log.is_torn = true;
        log.write(b"whole\n").unwrap();
        log.write(b"next\n").unwrap();
        assert_eq!(files.read("access.log"), "hal\nwhole\nnext\n");
    }

    #[test]
    fn a_device_that_is_full_is_opened_and_loses() {
        let mut full = LogFile::open("/dev/full".into()).unwrap();
        assert_eq!(full.write(b"one\ntwo\n").unwrap_err().lines, 2);
    }
}
