//! Sends model bytes to robots that ask for them, chunk by chunk, in turn, and never unasked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use sanderling_wire::{
    Chunk, Cmd, Kind, MAX_MESSAGE, MAX_SMALL_MESSAGE, Name, Need, Order, Refusal, Topic, encode,
};
use tokio::sync::mpsc;

use crate::decide::bucket::Bucket;
use crate::decide::supply::Job;
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

impl Supplier {
    /// Serves requests until the channel closes. A robot's newest request replaces its earlier one;
    /// robots are served one chunk each in turn, so a slow one holds nobody up for longer than that.
    pub async fn run(mut self, mut requests: mpsc::Receiver<(Name, Need)>) {
        let mut jobs: VecDeque<(Name, Job)> = VecDeque::new();
        loop {
            let request = if jobs.is_empty() {
                match requests.recv().await {
                    Some(request) => Some(request),
                    None => return,
                }
            } else {
                let wait = self.bucket.wait(Instant::now());
                if wait.is_zero() {
                    requests.try_recv().ok()
                } else {
                    // Requests are taken meanwhile: a robot's newer one replaces what it no longer needs.
                    match tokio::time::timeout(wait, requests.recv()).await {
                        Ok(Some(request)) => Some(request),
                        Ok(None) => return,
                        Err(_) => continue,
                    }
                }
            };
            let done = match request {
                Some((device, need)) => {
                    jobs.retain(|(name, _)| *name != device);
                    match self.accept(&need).await {
                        Ok(job) => {
                            jobs.push_back((device, job));
                            Ok(())
                        }
                        Err(refusal) => self.refuse(&device, &need, refusal).await,
                    }
                }
                None => match jobs.pop_front() {
                    Some((device, mut job)) => match job.next() {
                        Some(index) => {
                            let sent = self.send(&device, &job, index).await;
                            if matches!(sent, Ok(Sent::Chunk)) {
                                jobs.push_back((device, job));
                            }
                            sent.map(|_| ())
                        }
                        None => Ok(()),
                    },
                    None => Ok(()),
                },
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

    async fn send(&mut self, device: &Name, job: &Job, index: u32) -> Result<Sent, LinkClosed> {
        let Some(range) = job.layout.range(index) else {
            return Ok(Sent::Nothing);
        };
        if !self.fits(range.end - range.start) {
            let refused = Order::Refused(job.release, Refusal::BadRange);
            self.order(device, refused).await?;
            return Ok(Sent::Nothing);
        }
        let offset = range.start;
        let data = match self.files.read(&job.release, range).await {
            Ok(data) => data,
            Err(error) => {
                tracing::error!("{error}");
                let refused = Order::Refused(job.release, Refusal::Storage);
                self.order(device, refused).await?;
                return Ok(Sent::Nothing);
            }
        };
        let chunk = Chunk {
            release: job.release,
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
                tracing::error!("chunk {index} of {}: {error}", job.release);
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
