//! Socket addresses: binding them, so that no other process can take them, and listening on them.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use mio::net::TcpListener;
use socket2::{Domain, Socket, Type};

/// Length of the kernel's queue of connections that were not accepted yet.
const BACKLOG: i32 = 1024;

/// Binds these addresses again, without listening.
pub(crate) fn hold(addrs: &[SocketAddr]) -> io::Result<Vec<Socket>> {
    let named = |addr: &SocketAddr, error: io::Error| io::Error::new(error.kind(), format!("{addr}: {error}"));
    addrs.iter().map(|addr| bind_resolved(*addr).map_err(|error| named(addr, error))).collect()
}

/// Listens on bound sockets.
pub(crate) fn listen(held: Vec<Socket>, addrs: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(held.len());
    for (socket, addr) in held.into_iter().zip(addrs) {
        // Accepted connections inherit this, and so the address can be bound again at once after a stop. On other systems than
        // Unix it would let two brokers share an address.
        if cfg!(unix) {
            socket.set_reuse_address(true)?;
        }
        socket.listen(BACKLOG).map_err(|error| io::Error::new(error.kind(), format!("{addr}: {error}")))?;
        listeners.push(TcpListener::from_std(socket.into()));
    }
    Ok(listeners)
}

/// Resolves `address` and binds the first of the results that can be bound.
pub(crate) fn bind(address: &str) -> io::Result<Socket> {
    let said = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, format!("{address}: no such address"));
    for resolved in address.to_socket_addrs().map_err(said)? {
        match bind_resolved(resolved) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = said(error),
        }
    }
    Err(last)
}

/// Binds an address exclusively, also if connections of an earlier listener linger in TIME-WAIT.
fn bind_resolved(address: SocketAddr) -> io::Result<Socket> {
    match bind_socket(address, false) {
        Err(error) if cfg!(unix) && error.kind() == io::ErrorKind::AddrInUse => bind_socket(address, true),
        result => result,
    }
}

fn bind_socket(address: SocketAddr, reuse: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if reuse {
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if reuse {
        // With this option left on, another process could share the address.
        socket.set_reuse_address(false)?;
    }
    Ok(socket)
}

pub(crate) fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
}
