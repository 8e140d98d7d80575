//! A model's bytes by HTTP range requests, from the address that its signed manifest names: for fleets that keep bulk
//! away from their broker. The driver asks for the same ranges as over MQTT, with the same window, the same journal and
//! the same digest at the end; where the address does not serve them, it goes on over MQTT.

use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use sanderling_wire::{self as wire, Chunk, ChunkRange, Digest, Layout, MAX_MESSAGE};

use super::{Input, Line};

/// How long one request may take: a window of chunks over a slow radio, and not for ever.
const REQUEST: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);

/// A thread that fetches ranges of one release; it ends with this value, after its request.
#[derive(Debug)]
pub(super) struct Bulk {
    wanted: Sender<Vec<ChunkRange>>,
}

impl Bulk {
    /// Fetches `release` from `base` (which ends with `/`), where it lies under its digest's hex digits. Chunks go to
    /// `line` as if they had come over MQTT; so does the reason where that fails.
    pub(super) fn start(
        base: &str,
        release: Digest,
        layout: Layout,
        line: Line,
    ) -> std::io::Result<Bulk> {
        let url = format!("{base}{release}");
        let (wanted, ranges) = channel();
        thread::Builder::new().name("bulk".into()).spawn(move || {
            if let Err(why) = serve(&url, release, &layout, &ranges, &line) {
                // The agent ends when nobody listens any more.
                let _ = line.send(Input::NoBulk(release, why));
            }
        })?;
        Ok(Bulk { wanted })
    }

    /// Asks for chunks. What the thread cannot get it tells on the line.
    pub(super) fn ask(&self, ranges: Vec<ChunkRange>) {
        let _ = self.wanted.send(ranges);
    }
}

fn serve(
    url: &str,
    release: Digest,
    layout: &Layout,
    wanted: &Receiver<Vec<ChunkRange>>,
    line: &Line,
) -> Result<(), String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(REQUEST))
        .timeout_connect(Some(CONNECT))
        .max_redirects(3)
        .build()
        .into();
    while let Ok(mut ranges) = wanted.recv() {
        // A newer request replaces those that were never begun.
        while let Ok(newer) = wanted.try_recv() {
            ranges = newer;
        }
        for range in ranges {
            fetch(&agent, url, release, layout, range, line)?;
        }
    }
    Ok(())
}

/// Fetches chunks that lie together with one request, and passes them on as they come.
fn fetch(
    agent: &ureq::Agent,
    url: &str,
    release: Digest,
    layout: &Layout,
    range: ChunkRange,
    line: &Line,
) -> Result<(), String> {
    let chunks: Vec<_> = (range.first..range.first.saturating_add(range.count))
        .filter_map(|chunk| layout.range(chunk))
        .collect();
    let (Some(first), Some(last)) = (chunks.first(), chunks.last()) else {
        return Ok(());
    };
    let (start, end) = (first.start, last.end);
    let response = agent
        .get(url)
        .header("Range", format!("bytes={start}-{}", end - 1))
        .call()
        .map_err(|error| format!("{url}: {error}"))?;
    if response.status() != 206 {
        return Err(format!(
            "{url} answers a request for a range with {}",
            response.status()
        ));
    }
    let promised = response
        .headers()
        .get("content-range")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.starts_with(&format!("bytes {start}-{}/", end - 1)));
    if !promised {
        return Err(format!(
            "{url} answers with another range than was asked for"
        ));
    }
    let mut body = response.into_body().into_reader().take(end - start);
    let mut message = vec![0; MAX_MESSAGE];
    for chunk in chunks {
        let length = usize::try_from(chunk.end - chunk.start).unwrap_or_default();
        let mut data = vec![0; length];
        body.read_exact(&mut data)
            .map_err(|error| format!("{url}: {error}"))?;
        let chunk = Chunk {
            release,
            offset: chunk.start,
            data: &data,
        };
        let bytes = wire::encode(&chunk, &mut message).map_err(|error| error.to_string())?;
        if line.send(Input::Chunk(bytes.to_vec())).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
