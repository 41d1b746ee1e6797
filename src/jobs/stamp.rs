//! Whether files have changed, by what the file system says of them.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Files as they were at one moment. Equal stamps, equal files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamps {
    pub fn of(files: impl IntoIterator<Item = PathBuf>) -> Stamps {
        Stamps(
            files
                .into_iter()
                .map(|file| {
                    let stamp = std::fs::metadata(&file).ok().map(|found| Stamp {
                        device: found.dev(),
                        inode: found.ino(),
                        size: found.size(),
                        seconds: found.mtime(),
                        nanoseconds: found.mtime_nsec(),
                    });
                    (file, stamp)
                })
                .collect(),
        )
    }

    /// The same files, as they are now.
    pub fn again(&self) -> Stamps {
        Stamps::of(self.0.iter().map(|(file, _)| file.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_replaced_removed_or_made_is_a_change() {
        let directory = std::env::temp_dir();
        let file = directory.join(format!("overspill-stamp-{}", std::process::id()));
        let none = Stamps::of([file.clone()]);
        std::fs::write(&file, "one").unwrap();
        let one = none.again();
        assert_ne!(one, none);
        assert_eq!(one, one.again());
        std::fs::write(&file, "longer").unwrap();
        assert_ne!(one, one.again());
        std::fs::remove_file(&file).unwrap();
        assert_eq!(one.again(), none);
    }
}
