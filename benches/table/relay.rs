//! The relay: a process that copies bytes from one socket to another.
//!
//! The first two connections are a pair: what comes on one goes out on the other, both ways, in one thread a direction, with
//! a buffer as large as the broker's. So are the next two.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

pub(crate) fn run() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    println!("relay://{}", listener.local_addr().expect("address"));
    loop {
        let pair = || listener.accept().map(|(stream, _)| stream);
        let (Ok(a), Ok(b)) = (pair(), pair()) else { return };
        for stream in [&a, &b] {
            stream.set_nodelay(true).expect("nodelay");
        }
        let (a2, b2) = (a.try_clone().expect("clone"), b.try_clone().expect("clone"));
        std::thread::spawn(move || copy(a, b));
        std::thread::spawn(move || copy(b2, a2));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}
