//! External data: tensors whose bytes lie in files beside the model, as exporters write them
//! for large models, and torch for small ones too.
//!
//! A model is read together with them into one file that needs no others, so that whatever
//! compiles, runs, or registers it sees one. What the model says about them is not trusted:
//! a file lies in the model's folder or below, on the way to it is no link, and every range
//! lies within its file.

use super::structure::element_bytes;
use prost::Message;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataLocation;

/// A tensor may be read this often from the same bytes, on average over a model.
const SHARING: u64 = 4;

/// Why a model cannot be read together with its external data.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The model itself.
    #[error("cannot read {}: {source}", path.display())]
    Model {
        /// The model.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of its data.
    #[error(
        "{}: the data of `{tensor}` cannot be read from {}: {source}; keep that file beside the \
         model, as it was exported", model.display(), path.display()
    )]
    Data {
        /// The model.
        model: PathBuf,
        /// The tensor.
        tensor: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What the model says about its data does not hold.
    #[error("{}: the external data of `{tensor}`: {why}", model.display())]
    Wrong {
        /// The model.
        model: PathBuf,
        /// The tensor.
        tensor: String,
        /// What does not hold.
        why: String,
    },
}

/// Reads the file at `path`. Where it is an ONNX model with external data, they are put into
/// the bytes; other files, models without them included, come as they are.
///
/// # Errors
///
/// See [`ReadError`].
pub fn read_model(path: &Path) -> Result<Vec<u8>, ReadError> {
    let bytes = std::fs::read(path).map_err(|source| ReadError::Model {
        path: path.to_owned(),
        source,
    })?;
    // What is no ONNX file is somebody else's to refuse.
    let Ok(mut model) = pb::ModelProto::decode(bytes.as_slice()) else {
        return Ok(bytes);
    };
    let mut tensors = Vec::new();
    if let Some(graph) = model.graph.as_mut() {
        of_graph(graph, &mut tensors);
    }
    for function in &mut model.functions {
        of_nodes(&mut function.node, &mut tensors);
    }
    tensors.retain(|tensor| location(tensor).is_some());
    if tensors.is_empty() {
        return Ok(bytes);
    }
    let mut folder = Folder {
        model: path,
        files: HashMap::new(),
        taken: 0,
    };
    for tensor in tensors {
        folder.fill(tensor)?;
    }
    Ok(model.encode_to_vec())
}

/// The file in which a tensor's data lie; `None` where they are in the model.
pub fn location(tensor: &pb::TensorProto) -> Option<&str> {
    let external = tensor.data_location == Some(DataLocation::External.into());
    external.then(|| entry(tensor, "location").unwrap_or_default())
}

fn entry<'t>(tensor: &'t pb::TensorProto, key: &str) -> Option<&'t str> {
    let entry = tensor.external_data.iter().find(|entry| entry.key == key);
    entry.map(|entry| entry.value.as_str())
}

fn of_graph<'g>(graph: &'g mut pb::GraphProto, tensors: &mut Vec<&'g mut pb::TensorProto>) {
    tensors.extend(&mut graph.initializer);
    for sparse in &mut graph.sparse_initializer {
        tensors.extend(sparse.values.iter_mut().chain(&mut sparse.indices));
    }
    of_nodes(&mut graph.node, tensors);
}

fn of_nodes<'g>(nodes: &'g mut [pb::NodeProto], tensors: &mut Vec<&'g mut pb::TensorProto>) {
    for attribute in nodes.iter_mut().flat_map(|node| &mut node.attribute) {
        tensors.extend(attribute.t.iter_mut().chain(&mut attribute.tensors));
        for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            of_graph(graph, tensors);
        }
    }
}

/// The model's folder.
struct Folder<'p> {
    model: &'p Path,
    /// Files that were opened, with their sizes.
    files: HashMap<PathBuf, (File, u64)>,
    /// Bytes that were read so far.
    taken: u64,
}

impl Folder<'_> {
    /// Puts the data of one tensor into it.
    fn fill(&mut self, tensor: &mut pb::TensorProto) -> Result<(), ReadError> {
        let (model, name) = (self.model, tensor.name.clone());
        let wrong = |why: String| ReadError::Wrong {
            model: model.to_owned(),
            tensor: name.clone(),
            why,
        };
        let number = |key: &str| match entry(tensor, key) {
            Some(text) => (text.parse::<u64>().map(Some))
                .map_err(|_| wrong(format!("its {key} `{text}` is no number"))),
            None => Ok(None),
        };
        let location = location(tensor).unwrap_or_default();
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let path = self.place(location).map_err(wrong)?;
        let unread = |source| ReadError::Data {
            model: model.to_owned(),
            tensor: name.clone(),
            path: path.clone(),
            source,
        };
        if !self.files.contains_key(&path) {
            let opened = open(&path).map_err(unread)?;
            self.files.insert(path.clone(), opened);
        }
        let all: u64 = self.files.values().map(|(_, size)| size).sum();
        let Some((file, size)) = self.files.get_mut(&path) else {
            return Ok(());
        };
        let size = *size;
        let rest = size.checked_sub(offset).ok_or_else(|| {
            wrong(format!(
                "it starts at byte {offset} of {}, which has {size}; was the file cut off?",
                path.display()
            ))
        })?;
        let wanted = element_bytes(tensor).map_err(wrong)?;
        let length = length.or(wanted).unwrap_or(rest);
        if length > rest {
            return Err(wrong(format!(
                "bytes {offset} to {} of {} are wanted, which has {size}; was the file cut off?",
                offset.saturating_add(length),
                path.display()
            )));
        }
        if wanted.is_some_and(|wanted| wanted != length) {
            return Err(wrong(format!(
                "its length is {length} bytes, and its dimensions say {}",
                wanted.unwrap_or_default()
            )));
        }
        self.taken = self.taken.saturating_add(length);
        if self.taken > all.saturating_mul(SHARING) {
            return Err(wrong(format!(
                "the model's tensors take more than {SHARING} times what its {all} bytes of data \
                 hold; they share ranges that a model does not share"
            )));
        }
        let mut data =
            vec![0; usize::try_from(length).map_err(|_| wrong("it is too long".into()))?];
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(&mut data))
            .map_err(unread)?;
        tensor.raw_data = data;
        tensor.data_location = None;
        tensor.external_data.clear();
        Ok(())
    }

    /// Where `location` lies; it must be below the model's folder, with no link on the way.
    fn place(&self, location: &str) -> Result<PathBuf, String> {
        let outside = || {
            format!(
                "its location `{location}` is not a path below the model's folder; export the \
                 model with its data beside it"
            )
        };
        let mut path = match self.model.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut steps = 0;
        for component in Path::new(location).components() {
            match component {
                Component::Normal(name) => path.push(name),
                Component::CurDir => continue,
                _ => return Err(outside()),
            }
            steps += 1;
            let linked = std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
            if linked {
                return Err(format!(
                    "{} is a link, which is not followed; put the file itself there",
                    path.display()
                ));
            }
        }
        if steps == 0 || location.contains('\0') {
            return Err(outside());
        }
        Ok(path)
    }
}

/// A regular file and its size. It is looked at before it is opened, for opening a pipe would
/// wait, and again behind, in case something else has taken its place.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let looked = std::fs::symlink_metadata(path)?;
    if !looked.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if looked.nlink() > 1 {
        return Err(io::Error::other(
            "it has a second name (a hard link) somewhere; put a copy there",
        ));
    }
    let file = File::open(path)?;
    let opened = file.metadata()?;
    if (opened.dev(), opened.ino()) != (looked.dev(), looked.ino()) {
        return Err(io::Error::other("it was replaced while it was opened"));
    }
    Ok((file, opened.len()))
}
