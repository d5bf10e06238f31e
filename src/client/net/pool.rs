//! One connection per address, made on demand and again after it broke.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpStream, lookup_host},
    sync::{Notify, mpsc},
    time::Instant,
};
use tracing::debug;

use super::{Connection, Credentials, Inbound};
use crate::{
    client::{ClientBuilder, Error},
    protocol::frame::Frame,
};

/// Back-off after the first failure; doubled after each further one.
const FIRST_BACK_OFF: Duration = Duration::from_millis(50);
/// Longest back-off.
const MAX_BACK_OFF: Duration = Duration::from_secs(3);

/// All connections of a client.
#[derive(Debug)]
pub(in crate::client) struct Pool {
    slots: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Slot>>>>,
    connect_timeout: Duration,
    credentials: Option<Credentials>,
    #[cfg(feature = "tls")]
    tls: Option<super::Tls>,
    inbound: mpsc::Sender<Inbound>,
    /// Told of every new connection: a broker must learn who is at its other end.
    pub(in crate::client) connected: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Slot {
    connection: Option<Connection>,
    failures: u32,
    not_before: Option<Instant>,
}

impl Pool {
    pub(in crate::client) fn new(builder: &ClientBuilder, inbound: mpsc::Sender<Inbound>) -> Self {
        Self {
            slots: Mutex::default(),
            connect_timeout: builder.connect_timeout,
            credentials: builder.credentials.clone(),
            #[cfg(feature = "tls")]
            tls: builder.tls.clone(),
            inbound,
            connected: Arc::default(),
        }
    }

    /// The connection to an address; while it backs off after failures, the error comes at once.
    pub(in crate::client) async fn get(&self, address: &str) -> Result<Connection, Error> {
        let slot = self.slot(address);
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.connection.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        let failed = |cause| Error::Connect { address: address.to_owned(), cause: Arc::new(cause) };
        if slot.not_before.is_some_and(|instant| Instant::now() < instant) {
            return Err(failed(io::Error::other("it failed a moment ago and is tried again soon")));
        }
        match self.connect(address).await {
            Ok(connection) => {
                debug!(address, "connected");
                *slot = Slot { connection: Some(connection.clone()), ..Slot::default() };
                self.connected.notify_one();
                Ok(connection)
            }
            Err(cause) => {
                slot.connection = None;
                slot.not_before = Some(Instant::now() + back_off(slot.failures));
                slot.failures += 1;
                Err(failed(cause))
            }
        }
    }

    fn slot(&self, address: &str) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(address) {
            return slot.clone();
        }
        slots.entry(address.to_owned()).or_default().clone()
    }

    async fn connect(&self, address: &str) -> io::Result<Connection> {
        // The name service may know several servers by this name: any of them will do.
        let mut found: Vec<SocketAddr> = lookup_host(address).await?.collect();
        fastrand::shuffle(&mut found);
        let mut last = io::Error::other("the name stands for no address");
        for one in found {
            match tokio::time::timeout(self.connect_timeout, self.connect_to(one, address)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    async fn connect_to(&self, to: SocketAddr, address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let (read, write) = tokio::io::split(tls.over(stream, address).await?);
            return Ok(Connection::over(read, write, local, address.into(), self.inbound.clone()));
        }
        let (read, write) = stream.into_split();
        Ok(Connection::over(read, write, local, address.into(), self.inbound.clone()))
    }

    /// Closes connections to addresses that nobody knows any more.
    pub(in crate::client) fn retain(&self, is_known: impl Fn(&str) -> bool) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|address, _| is_known(address));
    }

    /// Asks and waits for the answer, whatever its code.
    pub(in crate::client) async fn call(
        &self,
        address: &str,
        frame: Frame,
        timeout: Duration,
    ) -> Result<Frame, Error> {
        let started = Instant::now();
        let (connection, frame) = self.signed(address, frame).await?;
        connection.call(frame, timeout.saturating_sub(started.elapsed())).await
    }

    /// As [`Pool::call`], with the whole time for the answer. When none comes the other end may be gone without a
    /// word: the connection that was asked is closed.
    pub(in crate::client) async fn call_or_close(
        &self,
        address: &str,
        frame: Frame,
        timeout: Duration,
    ) -> Result<Frame, Error> {
        let (connection, frame) = self.signed(address, frame).await?;
        let answer = connection.call(frame, timeout).await;
        if matches!(answer, Err(Error::Timeout { .. })) {
            connection.close();
        }
        answer
    }

    /// Tells without an answer.
    pub(in crate::client) async fn tell(&self, address: &str, frame: Frame) -> Result<(), Error> {
        let (connection, frame) = self.signed(address, frame).await?;
        connection.tell(frame).await
    }

    /// The connection, and the frame with our signature.
    async fn signed(&self, address: &str, mut frame: Frame) -> Result<(Connection, Frame), Error> {
        if let Some(credentials) = &self.credentials {
            credentials.sign(&mut frame);
        }
        Ok((self.get(address).await?, frame))
    }
}

/// Doubles with every failure, and is spread so that clients do not come back all at once.
fn back_off(failures: u32) -> Duration {
    let longest = FIRST_BACK_OFF.saturating_mul(1 << failures.min(10)).min(MAX_BACK_OFF);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{codes::RequestCode, header::Header};

    #[test]
    fn back_off_grows_within_bounds() {
        assert!((25..=50).contains(&back_off(0).as_millis()));
        assert!((1500..=3000).contains(&back_off(60).as_millis()));
    }

    #[tokio::test]
    async fn silence_ends_the_connection_only_for_who_takes_it_for_death() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let pool = Pool::new(&ClientBuilder::default(), mpsc::channel(1).0);
        let first = pool.get(&address).await.unwrap();
        let frame = || Frame::from(Header::request(RequestCode::HEART_BEAT));
        let patience = Duration::from_millis(20);
        let outcome = pool.call(&address, frame(), patience).await;
        assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");
        assert!(first.is_open(), "a slow answer is no death");
        let outcome = pool.call_or_close(&address, frame(), patience).await;
        assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");
        tokio::time::timeout(Duration::from_secs(5), async {
            while first.is_open() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
        assert!(pool.get(&address).await.unwrap().is_open());
    }
}
