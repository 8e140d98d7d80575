//! Files of frames: a `.npz` is a zip archive of `.npy` members; a `.npy` is one array.
//! Which of the two a file is, its first bytes say, whatever it is called.

use super::npy::{self, read_npy, write_npy};
use super::{Array, FramesError, Header};
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Every array of the file, in the file's order, without reading its elements.
///
/// # Errors
///
/// [`FramesError::Open`] and whatever is wrong with the file.
pub fn list(path: &Path) -> Result<Vec<Header>, FramesError> {
    headers(path, open(path)?)
}

fn headers<R: Read + Seek>(path: &Path, kind: Kind<R>) -> Result<Vec<Header>, FramesError> {
    let mut headers = Vec::new();
    match kind {
        Kind::Npy(mut file) => {
            let what = path.display().to_string();
            headers.extend(npy::preamble(&what, &mut file)?.map(|p| p.header));
        }
        Kind::Npz(mut archive) => {
            for index in 0..archive.len() {
                let mut member = archive.by_index(index).map_err(|e| damaged(path, &e))?;
                let file = member.name().map_err(|e| damaged(path, &e))?;
                let Some(name) = file.strip_suffix(".npy").map(str::to_owned) else {
                    continue;
                };
                let what = member_of(path, &name);
                if let Some(preamble) = npy::preamble(&what, &mut member)? {
                    headers.push(Header {
                        name,
                        ..preamble.header
                    });
                }
            }
        }
    }
    Ok(headers)
}

/// The array called `name`; the one array of a `.npy` has the empty name.
///
/// # Errors
///
/// [`FramesError::NoArray`], and as [`list`].
pub fn read(path: &Path, name: &str) -> Result<Array, FramesError> {
    array(path, open(path)?, name)?.map_or_else(
        || {
            Err(FramesError::NoArray {
                path: path.to_owned(),
                wanted: name.to_owned(),
                have: list(path)?,
            })
        },
        Ok,
    )
}

fn array<R: Read + Seek>(
    path: &Path,
    kind: Kind<R>,
    name: &str,
) -> Result<Option<Array>, FramesError> {
    let array = match kind {
        Kind::Npy(mut file) if name.is_empty() => read_npy(&path.display().to_string(), &mut file)?,
        Kind::Npy(_) => None,
        Kind::Npz(mut archive) => match archive.by_name(&format!("{name}.npy")) {
            Ok(mut member) => {
                let what = member_of(path, name);
                let array = read_npy(&what, &mut member)?;
                // The checksum is compared where the member ends.
                io::copy(&mut member, &mut io::sink())
                    .map_err(|source| FramesError::Read { what, source })?;
                array
            }
            Err(zip::result::ZipError::FileNotFound) => None,
            Err(e) => return Err(damaged(path, &e)),
        },
    };
    Ok(array.map(|mut array| {
        array.header.name = name.to_owned();
        array
    }))
}

/// Every array of a file in memory. `name` is for messages. A file that holds more than `limit`
/// bytes unpacked is refused before anything is unpacked.
///
/// # Errors
///
/// [`FramesError::TooLong`], [`FramesError::Element`] where one cannot be read, and as [`list`].
pub fn read_in_memory(name: &str, bytes: &[u8], limit: u64) -> Result<Vec<Array>, FramesError> {
    let path = Path::new(name);
    let headers = headers(path, kind(path, Cursor::new(bytes))?)?;
    let mut readable = headers.iter().filter(|h| h.element.bytes().is_some());
    let total = readable.try_fold(0u64, |sum, header| {
        let length = u64::try_from(npy::length(header)?).ok()?;
        sum.checked_add(length)
    });
    if total.is_none_or(|total| total > limit) {
        return Err(FramesError::TooLong {
            what: name.to_owned(),
            bytes: total.unwrap_or(u64::MAX),
            limit,
        });
    }
    let mut arrays = Vec::new();
    for header in &headers {
        arrays.extend(array(path, kind(path, Cursor::new(bytes))?, &header.name)?);
    }
    Ok(arrays)
}

/// Every array of the file whose elements can be read.
///
/// # Errors
///
/// As [`list`].
pub fn read_all(path: &Path) -> Result<Vec<Array>, FramesError> {
    let readable = list(path)?
        .into_iter()
        .filter(|h| h.element.bytes().is_some());
    readable.map(|h| read(path, &h.name)).collect()
}

/// The bytes of a file of arrays: a `.npy` where `path` ends so, else an uncompressed `.npz`.
///
/// # Errors
///
/// [`FramesError::TooManyArrays`] for a `.npy`, [`FramesError::Write`] where an array has more axes than the format can say.
pub fn to_bytes(path: &Path, arrays: &[Array]) -> Result<Vec<u8>, FramesError> {
    let bytes = match arrays {
        [array] if is_npy(path) => {
            let mut bytes = Vec::new();
            write_npy(&mut bytes, array).map(|()| bytes)
        }
        _ if is_npy(path) => {
            let (path, count) = (path.to_owned(), arrays.len());
            return Err(FramesError::TooManyArrays { path, count });
        }
        _ => archive(arrays),
    };
    bytes.map_err(|source| FramesError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Writes [`to_bytes`] to `path`; the file is on disk when this returns.
///
/// # Errors
///
/// [`FramesError::Write`]; what was written until then stays.
pub fn write_npz(path: &Path, arrays: &[Array]) -> Result<(), FramesError> {
    let bytes = to_bytes(path, arrays)?;
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(&bytes)?;
        // Devices and pipes have nothing to sync and say so.
        if file.metadata()?.is_file() {
            file.sync_all()
        } else {
            Ok(())
        }
    };
    write().map_err(|source| FramesError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Whether a file of that name holds one array.
pub fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "npy")
}

/// The bytes of a `.npz`, in memory, because a zip is not written front to back.
fn archive(arrays: &[Array]) -> io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for array in arrays {
        let large = u32::try_from(array.bytes().len()).map_or(true, |n| n > u32::MAX - 1024);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(large);
        zip.start_file(format!("{}.npy", array.header.name), options)?;
        write_npy(&mut zip, array)?;
    }
    Ok(zip.finish()?.into_inner())
}

enum Kind<R> {
    Npy(R),
    Npz(Box<ZipArchive<R>>),
}

fn open(path: &Path) -> Result<Kind<BufReader<File>>, FramesError> {
    let file = File::open(path).map_err(|source| FramesError::Open {
        path: path.to_owned(),
        source,
    })?;
    kind(path, BufReader::new(file))
}

fn kind<R: Read + Seek>(path: &Path, mut file: R) -> Result<Kind<R>, FramesError> {
    let cannot_read = |source| FramesError::Read {
        what: path.display().to_string(),
        source,
    };
    let mut start = Vec::new();
    file.by_ref()
        .take(npy::MAGIC.len() as u64)
        .read_to_end(&mut start)
        .map_err(cannot_read)?;
    file.seek(SeekFrom::Start(0)).map_err(cannot_read)?;
    if start == npy::MAGIC {
        Ok(Kind::Npy(file))
    } else if start.starts_with(b"PK") {
        ZipArchive::new(file)
            .map(|a| Kind::Npz(Box::new(a)))
            .map_err(|e| damaged(path, &e))
    } else {
        Err(FramesError::NotFrames {
            path: path.to_owned(),
        })
    }
}

fn member_of(path: &Path, name: &str) -> String {
    format!("array `{name}` of {}", path.display())
}

fn damaged(path: &Path, why: &zip::result::ZipError) -> FramesError {
    FramesError::Archive {
        path: path.to_owned(),
        why: why.to_string(),
    }
}
