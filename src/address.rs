//! Taking addresses: bound and held, so that nobody else gets them, and listening or not.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use mio::net::TcpListener;
use socket2::{Domain, Socket, Type};

/// Connections that the kernel may hold until they are accepted.
const BACKLOG: i32 = 1024;

/// Takes these addresses again, without listening.
pub(crate) fn hold(addrs: &[SocketAddr]) -> io::Result<Vec<Socket>> {
    let named = |addr: &SocketAddr, error: io::Error| io::Error::new(error.kind(), format!("{addr}: {error}"));
    addrs.iter().map(|addr| bind_resolved(*addr).map_err(|error| named(addr, error))).collect()
}

/// Listens at addresses that are held.
pub(crate) fn listen(held: Vec<Socket>, addrs: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(held.len());
    for (socket, addr) in held.into_iter().zip(addrs) {
        // Its connections inherit this, and after a stop the address can be taken again at once. Elsewhere than on Unix it
        // would let two brokers share one.
        if cfg!(unix) {
            socket.set_reuse_address(true)?;
        }
        socket.listen(BACKLOG).map_err(|error| io::Error::new(error.kind(), format!("{addr}: {error}")))?;
        listeners.push(TcpListener::from_std(socket.into()));
    }
    Ok(listeners)
}

/// Binds the first address of those that `address` resolves to that can be had.
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

/// Nobody else can have an address that is held, even if it had to be taken over from connections that linger.
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
        // Or whoever asks for the same could share it.
        socket.set_reuse_address(false)?;
    }
    Ok(socket)
}

pub(crate) fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
}
