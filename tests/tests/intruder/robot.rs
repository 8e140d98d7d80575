//! A client of the broker that does one thing after another and tells what came of it.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sanderling_agent::link::{Address, Link, LinkEvent, Post};

/// TLS, and whom it trusts.
pub type Tls = Arc<sanderling_agent::tls::ClientConfig>;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Up,
    Acked,
    Refused(String),
    /// The connection ended, or never stood.
    Down,
}

impl Seen {
    /// A refusal by word, or by ending the connection.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Seen::Refused(_) | Seen::Down)
    }
}

/// Fails the test where it takes longer than a minute.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), work).await {
        Ok(done) => done,
        Err(_) => panic!("not within a minute: {what}"),
    }
}

pub struct Robot {
    link: Link<()>,
    messages: VecDeque<(String, Vec<u8>)>,
}

impl Robot {
    pub async fn connect(
        port: u16,
        tls: Option<&Tls>,
        client: &str,
        (user, password): (&str, &str),
        will: &str,
        topics: &[&str],
    ) -> Robot {
        let address = Address {
            host: "127.0.0.1".into(),
            port,
            client: client.into(),
            user: user.into(),
            password: password.into(),
            tls: tls.cloned(),
            learned: Default::default(),
        };
        let will = Post {
            topic: will.into(),
            payload: b"forged will".to_vec(),
            retain: true,
        };
        // A subscription answers, also where there is nothing to hear.
        let own = format!("sanderling/1/main/d/{user}/birth");
        let mut topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        if topics.is_empty() {
            topics.push(own);
        }
        Robot {
            link: Link::connect(&address, &will, &topics),
            messages: VecDeque::new(),
        }
    }

    /// What comes next that is no message; those are kept.
    pub async fn next(&mut self) -> Seen {
        loop {
            match within("an answer of the broker", self.link.next()).await {
                LinkEvent::Up => return Seen::Up,
                LinkEvent::Acked(()) => return Seen::Acked,
                LinkEvent::Refused((), why) => return Seen::Refused(why),
                LinkEvent::Down(why) => {
                    println!("down: {why}");
                    return Seen::Down;
                }
                LinkEvent::Message { topic, payload, .. } => {
                    self.messages.push_back((topic, payload))
                }
            }
        }
    }

    /// Publishes, retained, and waits for the broker's answer.
    pub async fn say(&mut self, topic: &str, payload: &[u8]) -> Seen {
        self.link.post(
            Post {
                topic: topic.into(),
                payload: payload.to_vec(),
                retain: true,
            },
            (),
        );
        self.next().await
    }

    /// The topics of all messages up to the next one on this topic, itself included, or up to the end of
    /// the connection.
    pub async fn heard_until(&mut self, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let topic = match self.messages.pop_front() {
                Some((topic, _)) => topic,
                None => match within("a message", self.link.next()).await {
                    LinkEvent::Message { topic, .. } => topic,
                    LinkEvent::Down(_) => return heard,
                    _ => continue,
                },
            };
            heard.push(topic);
            if heard.last().is_some_and(|topic| topic == last) {
                return heard;
            }
        }
    }

    /// Waits for this message on this topic; others are forgotten.
    pub async fn heard(&mut self, topic: &str, payload: &[u8]) {
        loop {
            let next = match self.messages.pop_front() {
                Some(message) => message,
                None => match within("a message", self.link.next()).await {
                    LinkEvent::Message { topic, payload, .. } => (topic, payload),
                    LinkEvent::Down(why) => panic!("the connection broke: {why}"),
                    _ => continue,
                },
            };
            if next == (topic.to_owned(), payload.to_vec()) {
                return;
            }
        }
    }

    /// So many messages.
    pub async fn messages(&mut self, count: usize, limit: Duration) -> Vec<(String, Vec<u8>)> {
        while self.messages.len() < count {
            match tokio::time::timeout(limit, self.link.next()).await {
                Ok(LinkEvent::Message { topic, payload, .. }) => {
                    self.messages.push_back((topic, payload));
                }
                Ok(LinkEvent::Down(why)) => panic!("the connection broke: {why}"),
                Ok(_) => {}
                Err(_) => panic!("only {:?} came", self.messages),
            }
        }
        self.messages.drain(..).collect()
    }
}
