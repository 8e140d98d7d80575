//! A network between robots and their broker that does everything networks do, packet by packet, by a seed.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// What goes wrong; each happens to one of so many packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nothing.
    None,
    /// The connection is closed before the packet.
    Drop(u64),
    /// The packet comes up to 100 ms late.
    Delay(u64),
    /// The packet comes after the one that follows it.
    Reorder(u64),
    /// The connection is closed in the middle of the packet.
    Truncate(u64),
    /// Nothing is passed on any more, and the connection stays open.
    Stall(u64),
}

/// A proxy on a port of its own; it ends with this value.
pub struct Proxy {
    pub port: u16,
    harm: Arc<Mutex<Harm>>,
    /// How often harm was done.
    done: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Proxy {
    /// A proxy before the broker on `broker`.
    pub fn start(broker: u16, harm: Harm, seed: u64) -> Proxy {
        let listener = StdListener::bind("127.0.0.1:0").expect("loopback has free ports");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("it is bound").port();
        let harm = Arc::new(Mutex::new(harm));
        let done = Arc::new(AtomicUsize::new(0));
        let (stop, mut stopped) = oneshot::channel();
        let world = World {
            broker: SocketAddr::from(([127, 0, 0, 1], broker)),
            harm: harm.clone(),
            done: done.clone(),
            dice: Arc::new(AtomicU64::new(seed)),
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a socket");
                loop {
                    tokio::select! {
                        _ = &mut stopped => return,
                        Ok((stream, _)) = listener.accept() => {
                            tokio::spawn(world.clone().carry(stream));
                        }
                    }
                }
            });
        });
        Proxy {
            port,
            harm,
            done,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The agent's way of naming it.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// From the next packet on, this goes wrong. What is stalled stays so.
    pub fn set(&self, harm: Harm) {
        *self.harm.lock().expect("nothing panics there") = harm;
    }

    /// How often harm was done.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Clone)]
struct World {
    broker: SocketAddr,
    harm: Arc<Mutex<Harm>>,
    done: Arc<AtomicUsize>,
    dice: Arc<AtomicU64>,
}

impl World {
    async fn carry(self, robot: TcpStream) {
        let Ok(broker) = TcpStream::connect(self.broker).await else {
            return;
        };
        let _ = (robot.set_nodelay(true), broker.set_nodelay(true));
        let (robot_in, robot_out) = robot.into_split();
        let (broker_in, broker_out) = broker.into_split();
        // When one direction ends, both are dropped and both sockets close.
        tokio::select! {
            () = self.pump(robot_in, broker_out) => {}
            () = self.pump(broker_in, robot_out) => {}
        }
    }

    async fn pump(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut late: Option<Vec<u8>> = None;
        while let Some(packet) = packet(&mut from).await {
            let harm = *self.harm.lock().expect("nothing panics there");
            let is_hit = |one_of: u64| {
                let hit = self.roll().is_multiple_of(one_of);
                self.done.fetch_add(usize::from(hit), Ordering::Relaxed);
                hit
            };
            match harm {
                Harm::Drop(one_of) if is_hit(one_of) => return,
                Harm::Delay(one_of) if is_hit(one_of) => {
                    tokio::time::sleep(Duration::from_millis(self.roll() % 100)).await;
                }
                Harm::Reorder(one_of) if late.is_none() && is_hit(one_of) => {
                    late = Some(packet);
                    continue;
                }
                Harm::Truncate(one_of) if is_hit(one_of) => {
                    let end = self.roll() as usize % packet.len();
                    let _ = to.write_all(&packet[..end]).await;
                    let _ = to.flush().await;
                    return;
                }
                Harm::Stall(one_of) if is_hit(one_of) => std::future::pending().await,
                _ => {}
            }
            if to.write_all(&packet).await.is_err() {
                return;
            }
            if let Some(late) = late.take()
                && to.write_all(&late).await.is_err()
            {
                return;
            }
        }
    }

    fn roll(&self) -> u64 {
        let state = self
            .dice
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// One whole MQTT packet.
async fn packet(from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut packet = vec![from.read_u8().await.ok()?];
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let byte = from.read_u8().await.ok()?;
        packet.push(byte);
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 21 {
            break;
        }
    }
    let body = packet.len();
    packet.resize(body + length, 0);
    from.read_exact(&mut packet[body..]).await.ok()?;
    Some(packet)
}
