//! A server's address on this machine, and a client that makes a connection for each request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A free port, and where it is.
///
/// # Errors
/// When the machine has no loopback.
pub async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A port that refuses connections, and keeps others away from it as long as the socket is held.
///
/// # Errors
/// When the machine has no loopback.
pub fn nobody() -> io::Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// Asks on a connection of its own, which is closed after the answer.
///
/// # Errors
/// When there is no answer, or none that is HTTP.
pub async fn ask(server: SocketAddr, request: &Request<()>) -> io::Result<Response<String>> {
    answer(send(TcpStream::connect(server).await?, request).await?).await
}

/// [`ask`], from this address of the machine.
///
/// # Errors
/// As [`ask`], and when the address is none of the machine's.
pub async fn ask_from(
    client: IpAddr,
    server: SocketAddr,
    request: &Request<()>,
) -> io::Result<Response<String>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(client, 0))?;
    answer(send(socket.connect(server).await?, request).await?).await
}

/// Asks on a connection of its own, and does not wait: dropped, the client has gone away.
///
/// # Errors
/// When there is no connection.
pub async fn ask_and_hold(server: SocketAddr, request: &Request<()>) -> io::Result<TcpStream> {
    send(TcpStream::connect(server).await?, request).await
}

async fn send(mut connection: TcpStream, request: &Request<()>) -> io::Result<TcpStream> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().map_err(io::Error::other)?));
    }
    head.push_str("host: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    connection.write_all(head.as_bytes()).await?;
    Ok(connection)
}

/// What comes on this connection until it is closed.
///
/// # Errors
/// As [`ask`].
pub async fn answer(mut connection: TcpStream) -> io::Result<Response<String>> {
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    parse(&answer).ok_or_else(|| io::Error::other(format!("not an answer: {answer:?}")))
}

/// [`ask`] for a path.
///
/// # Errors
/// As [`ask`].
pub async fn get(server: SocketAddr, path: &str) -> io::Result<Response<String>> {
    let request = Request::get(path).body(()).map_err(io::Error::other)?;
    ask(server, &request).await
}

fn parse(answer: &str) -> Option<Response<String>> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let response = lines
        .filter_map(|line| line.split_once(": "))
        .fold(Response::builder().status(status), |response, (name, value)| {
            response.header(name, value)
        });
    response.body(body.to_owned()).ok()
}

/// Counts the calls that reach a callee. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Hits(Arc<AtomicUsize>);

impl Hits {
    /// One more.
    pub fn hit(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
