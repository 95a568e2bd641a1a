//! Where connections are refused. Integration tests include this file too.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port at which nobody listens as long as this lives. One that is merely free again may be the
/// next that a test beside this one listens at.
#[derive(Debug)]
pub(crate) struct Refusing(TcpSocket);

impl Refusing {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("there are ports");
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }
}
