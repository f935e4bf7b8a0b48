//! Why the server does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Others could reach the server, and nothing would ask them who they are.
    #[error("{address} can be reached from other machines and no token is set; set AUTH_TOKEN or ADMIN_TOKEN, or listen on 127.0.0.1:{}", address.port())]
    Exposed {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The token cannot be sent in a header, so nobody could ever log in.
    #[error(
        "{name} contains a space, a control character or a letter outside ASCII, which cannot be sent as a bearer token; make one with `openssl rand -hex 32`"
    )]
    BadToken {
        /// The setting.
        name: &'static str,
    },
    /// An entry of the health probes cannot be read.
    #[error("{0}")]
    BadProbe(String),
    /// Another process listens there.
    #[error("{address} is in use; choose another with --listen")]
    AddressInUse {
        /// Where.
        address: SocketAddr,
    },
    /// The address belongs to no interface of this machine.
    #[error("{address} is not an address of this machine; choose another with --listen, such as 127.0.0.1:{}", address.port())]
    AddressUnknown {
        /// Where.
        address: SocketAddr,
    },
    /// The system does not let this user listen there.
    #[error("this user may not listen on {address}; choose a port from 1024 up with --listen")]
    Forbidden {
        /// Where.
        address: SocketAddr,
    },
    /// Any other reason not to listen.
    #[error("cannot listen on {address}; choose another with --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The listener for metrics was not given its address.
    #[error("cannot tell metrics on {address}; choose another with --metrics-listen")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Something that is no socket has the socket's name.
    #[error("{} is there and is not a socket; move it away, for worker processes look for the server there", path.display())]
    SocketTaken {
        /// Its name.
        path: PathBuf,
    },
    /// The socket for worker processes cannot be made or broke off.
    #[error("cannot listen on {}; check that its directory is on a local disk and may be written", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The listener broke while it ran.
    #[error("the server on {address} broke off; start it again")]
    Serve {
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl ServerError {
    pub(crate) fn metrics(address: SocketAddr, source: io::Error) -> Self {
        Self::Metrics { address, source }
    }

    /// Sorts the system's reasons not to listen.
    pub(crate) fn listen(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse { address },
            io::ErrorKind::AddrNotAvailable => Self::AddressUnknown { address },
            io::ErrorKind::PermissionDenied => Self::Forbidden { address },
            _ => Self::Listen { address, source },
        }
    }
}
