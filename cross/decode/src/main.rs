//! Turns a board's defmt stream into text: `decode IMAGE.elf < stream`, one line a
//! frame, as they arrive. The image holds the format strings, the stream only
//! their numbers and arguments.
#![forbid(unsafe_code)]

use std::io::{Read, Write};

use anyhow::{Context, bail};
use defmt_decoder::{DecodeError, Table};

fn main() -> anyhow::Result<()> {
    let path = std::env::args_os()
        .nth(1)
        .context("give the firmware image: decode IMAGE.elf < stream")?;
    let image = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let table = Table::parse(&image)
        .context("the image's format strings cannot be read; build it with the same defmt as this decoder")?
        .context("the image has no .defmt section; it prints nothing over defmt")?;
    let mut decoder = table.new_stream_decoder();
    let (mut stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut chunk = [0u8; 4096];
    loop {
        let n = stdin.read(&mut chunk)?;
        if n == 0 {
            return Ok(());
        }
        decoder.received(chunk.get(..n).unwrap_or_default());
        loop {
            match decoder.decode() {
                Ok(frame) => {
                    let level = frame.level().map_or("print", |l| l.as_str());
                    writeln!(stdout, "{level:<5} {}", frame.display_message())?;
                    stdout.flush()?;
                }
                Err(DecodeError::UnexpectedEof) => break,
                Err(DecodeError::Malformed) if table.encoding().can_recover() => {
                    writeln!(stdout, "(a frame that could not be decoded)")?;
                }
                Err(DecodeError::Malformed) => bail!("the stream is not what this image prints"),
            }
        }
    }
}
