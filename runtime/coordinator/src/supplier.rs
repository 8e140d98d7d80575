//! Sends model bytes to robots that ask for them, chunk by chunk, in turn, and never unasked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sanderling_wire::{
    Chunk, Cmd, Digest, Kind, Layout, MAX_MESSAGE, MAX_SMALL_MESSAGE, Name, Need, Order, Refusal,
    Topic, encode,
};
use tokio::sync::mpsc::{self, error::TryRecvError};

use crate::decide::bucket::Bucket;
use crate::decide::supply::{Job, Turn, Turns};
use crate::files::Files;
use crate::link::{Link, LinkClosed, Outgoing};
use crate::store::{Store, models};

/// The task's parts.
#[derive(Debug)]
pub struct Supplier {
    /// The fleet that is served.
    pub fleet: Name,
    /// Sizes of releases.
    pub store: Store,
    /// Their bytes.
    pub files: Files,
    /// The way to the robots.
    pub link: Arc<Link>,
    /// How fast models may go out.
    pub bucket: Bucket,
}

/// What became of a chunk.
enum Sent {
    /// It went out.
    Chunk,
    /// It did not, and neither do those after it.
    Nothing,
}

/// Requests that are taken in before the next turn: more wait in the channel.
const AT_ONCE: usize = 1024;

impl Supplier {
    /// Serves requests until the channel closes. A robot's newest request replaces its earlier one;
    /// robots are served one chunk each in turn, so neither a slow one nor one that asks without end
    /// holds anybody up for longer than that.
    pub async fn run(mut self, mut requests: mpsc::Receiver<(Name, Need)>) {
        let mut turns = Turns::default();
        let mut asked = Vec::new();
        loop {
            let wait = match turns.is_empty() {
                true => Duration::MAX,
                false => self.bucket.wait(Instant::now()),
            };
            // Requests are taken while the next chunk has to wait: a robot's newer one replaces what it no longer needs.
            if !wait.is_zero() {
                let more = requests.recv_many(&mut asked, AT_ONCE);
                if let Ok(0) = tokio::time::timeout(wait, more).await {
                    return;
                }
            } else {
                while asked.len() < AT_ONCE {
                    match requests.try_recv() {
                        Ok(request) => asked.push(request),
                        Err(TryRecvError::Empty) => break,
                        Err(TryRecvError::Disconnected) => return,
                    }
                }
            }
            for (device, need) in asked.drain(..) {
                turns.ask(device, need);
            }
            if !wait.is_zero() {
                continue;
            }
            let done = match turns.take() {
                Some((device, Turn::Asked(need))) => match self.accept(&need).await {
                    Ok(job) => {
                        turns.serve(&device, job);
                        Ok(())
                    }
                    Err(refusal) => self.refuse(&device, &need, refusal).await,
                },
                Some((
                    device,
                    Turn::Chunk {
                        release,
                        layout,
                        index,
                    },
                )) => {
                    let sent = self.send(&device, release, layout, index).await;
                    if matches!(sent, Ok(Sent::Nothing)) {
                        turns.end(&device);
                    }
                    sent.map(|_| ())
                }
                None => Ok(()),
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn accept(&self, need: &Need) -> Result<Job, Refusal> {
        let size = async {
            let mut tx = self.store.read().await?;
            models::size_of(&mut tx, &need.release).await
        };
        match size.await {
            Ok(Some(size)) => {
                let job = Job::new(need, size)?;
                match self.files.check(&need.release).await {
                    Ok(None) => {}
                    Ok(Some(_)) => return Err(Refusal::Storage),
                    Err(error) => {
                        tracing::error!("{error}");
                        return Err(Refusal::Storage);
                    }
                }
                match self.fits(u64::from(need.chunk_size).min(size)) {
                    true => Ok(job),
                    false => Err(Refusal::BadRange),
                }
            }
            Ok(None) => Err(Refusal::Unknown),
            Err(error) => {
                tracing::error!("{error}");
                Err(Refusal::Storage)
            }
        }
    }

    /// Whether the broker takes a chunk of this length; one that it does not take would end the connection. The robot
    /// asks for smaller ones then, and the desired state names them.
    fn fits(&self, length: u64) -> bool {
        let limit = self.link.chunk_limit();
        limit.is_some_and(|limit| length <= u64::from(limit))
    }

    async fn send(
        &mut self,
        device: &Name,
        release: Digest,
        layout: Layout,
        index: u32,
    ) -> Result<Sent, LinkClosed> {
        let Some(range) = layout.range(index) else {
            return Ok(Sent::Nothing);
        };
        if !self.fits(range.end - range.start) {
            let refused = Order::Refused(release, Refusal::BadRange);
            self.order(device, refused).await?;
            return Ok(Sent::Nothing);
        }
        let offset = range.start;
        let data = match self.files.read(&release, range).await {
            Ok(data) => data,
            Err(error) => {
                tracing::error!("{error}");
                let refused = Order::Refused(release, Refusal::Storage);
                self.order(device, refused).await?;
                return Ok(Sent::Nothing);
            }
        };
        let chunk = Chunk {
            release,
            offset,
            data: &data,
        };
        let mut buffer = vec![0; MAX_MESSAGE];
        match encode(&chunk, &mut buffer) {
            Ok(bytes) => {
                self.bucket.take(bytes.len());
                self.publish(device, Kind::Chunk, bytes).await?;
                Ok(Sent::Chunk)
            }
            Err(error) => {
                tracing::error!("chunk {index} of {release}: {error}");
                Ok(Sent::Nothing)
            }
        }
    }

    async fn refuse(&self, device: &Name, need: &Need, refusal: Refusal) -> Result<(), LinkClosed> {
        tracing::warn!(
            "{device} asks for {} and is refused: {refusal:?}",
            need.release
        );
        self.order(device, Order::Refused(need.release, refusal))
            .await
    }

    async fn order(&self, device: &Name, order: Order) -> Result<(), LinkClosed> {
        let mut buffer = [0; MAX_SMALL_MESSAGE];
        match encode(&Cmd { id: 0, order }, &mut buffer) {
            Ok(bytes) => self.publish(device, Kind::Cmd, bytes).await,
            Err(error) => {
                tracing::error!("an order to {device}: {error}");
                Ok(())
            }
        }
    }

    async fn publish(&self, device: &Name, kind: Kind, bytes: &[u8]) -> Result<(), LinkClosed> {
        let topic = Topic::device(&self.fleet, device, kind).to_string();
        let payload = bytes.to_vec();
        self.link
            .publish_when_room(Outgoing {
                topic,
                payload,
                at_least_once: true,
                retain: false,
            })
            .await
    }
}
