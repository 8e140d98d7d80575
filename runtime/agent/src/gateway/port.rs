//! A serial device as a stream of bytes: raw, eight bits, no flow control.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::termios::{
    BaudRate, ControlFlags, FlushArg, SetArg, cfmakeraw, cfsetspeed, tcflush, tcgetattr, tcsetattr,
};

/// A speed that serial drivers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed(BaudRate);

/// The speeds that every serial driver knows, in bits per second.
const SPEEDS: [(u32, BaudRate); 8] = [
    (9_600, BaudRate::B9600),
    (19_200, BaudRate::B19200),
    (38_400, BaudRate::B38400),
    (57_600, BaudRate::B57600),
    (115_200, BaudRate::B115200),
    (230_400, BaudRate::B230400),
    (460_800, BaudRate::B460800),
    (921_600, BaudRate::B921600),
];

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It cannot be opened.
    #[error("{0}; check the cable, and that this user may use it (group dialout)")]
    Open(#[from] io::Error),
    /// It is a file of another kind.
    #[error("it is no serial device")]
    Other,
    /// The driver refused.
    #[error("it takes no settings: {0}")]
    Settings(Errno),
}

/// A speed that [`open`] knows, or in words which ones there are.
pub fn speed(baud: u32) -> Result<Speed, String> {
    let found = SPEEDS.iter().find(|(number, _)| *number == baud);
    found.map(|(_, speed)| Speed(*speed)).ok_or_else(|| {
        let known = SPEEDS.map(|(number, _)| number.to_string());
        format!("give one of {}", known.join(", "))
    })
}

/// Opens the device at `path`. What it had received before is dropped: it may begin in the middle of a frame.
pub fn open(path: &Path, Speed(speed): Speed) -> Result<File, PortError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        // A terminal that hangs up must not end the agent.
        .custom_flags(OFlag::O_NOCTTY.bits())
        .open(path)?;
    let mut settings = tcgetattr(&file).map_err(|error| match error {
        Errno::ENOTTY => PortError::Other,
        error => PortError::Settings(error),
    })?;
    cfmakeraw(&mut settings);
    // The modem's lines mean nothing here, and three wires have none.
    settings.control_flags |= ControlFlags::CLOCAL | ControlFlags::CREAD;
    settings.control_flags -= ControlFlags::CRTSCTS | ControlFlags::CSTOPB;
    cfsetspeed(&mut settings, speed).map_err(PortError::Settings)?;
    tcsetattr(&file, SetArg::TCSANOW, &settings).map_err(PortError::Settings)?;
    tcflush(&file, FlushArg::TCIFLUSH).map_err(PortError::Settings)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEED: Speed = Speed(BaudRate::B115200);

    #[test]
    fn what_is_no_serial_device_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        assert!(matches!(open(file.path(), SPEED), Err(PortError::Other)));
        let nowhere = Path::new("/nonexistent/tty");
        assert!(matches!(open(nowhere, SPEED), Err(PortError::Open(_))));
    }

    #[test]
    fn a_speed_that_no_driver_knows_is_refused_with_those_that_there_are() {
        assert_eq!(speed(115_200), Ok(SPEED));
        assert!(speed(115_201).is_err_and(|why| why.contains("115200")));
    }
}
