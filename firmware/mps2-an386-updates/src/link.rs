//! The serial link: bytes in and out of the UART, as many as there are.

use sanderling_updates::Node;
use sanderling_wire::serial::Decoder;

use crate::flash::Psram;
use crate::{clock, uart};

/// The longest frame that is received: a part of 1 KiB and what is around it.
const FRAME: usize = 1024 + 64;
/// The longest that is sent.
const SENT: usize = 1200;

/// What is on its way.
pub struct Link {
    decoder: Decoder<FRAME>,
    frame: [u8; SENT],
    length: usize,
    sent: usize,
}

impl Link {
    /// Nothing on its way.
    pub const fn new() -> Link {
        Link {
            decoder: Decoder::new(),
            frame: [0; SENT],
            length: 0,
            sent: 0,
        }
    }

    /// Takes what arrived, and sends what is due as far as the UART takes it.
    pub fn exchange(&mut self, node: &mut Node<Psram>) {
        while let Some(byte) = uart::receive() {
            if let Some(Ok(link)) = self.decoder.push(byte) {
                node.hear(&link, clock::now_ms());
            }
        }
        if self.sent == self.length {
            self.sent = 0;
            self.length = node
                .say(clock::now_ms(), &mut self.frame)
                .map_or(0, <[u8]>::len);
        }
        while let Some(&byte) = self
            .frame
            .get(self.sent)
            .filter(|_| self.sent < self.length)
        {
            if !uart::send(byte) {
                return;
            }
            self.sent += 1;
        }
    }
}
