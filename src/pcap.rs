//! Stub.
use std::io::{self, Write};
use std::time::Duration;
pub(crate) struct Pcap<W>(W);
impl<W: Write> Pcap<W> {
    pub(crate) fn new(w: W) -> io::Result<Self> {
        Ok(Pcap(w))
    }
    pub(crate) fn connect(&mut self, _: u64, _: Duration) -> io::Result<()> {
        Ok(())
    }
    pub(crate) fn close(&mut self, _: u64, _: Duration) -> io::Result<()> {
        Ok(())
    }
    pub(crate) fn bytes(&mut self, _: u64, _: bool, _: Duration, b: &[u8]) -> io::Result<()> {
        self.0.write_all(b)
    }
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
