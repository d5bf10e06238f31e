//! How a client is made.

use std::{
    future::{Future, IntoFuture},
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    time::Duration,
};

use super::{Client, Credentials, Error, Result};

/// Port of a nameserver where none is given.
const NAMESERVER_PORT: u16 = 9876;

/// What a client is told before it connects; awaiting it connects.
///
/// ```no_run
/// # async fn f() -> Result<(), castmq::client::Error> {
/// use std::time::Duration;
/// use castmq::client::{Client, Credentials};
///
/// let client = Client::builder()
///     .nameservers(["ns-a:9876", "ns-b:9876"])
///     .instance_name("billing-1")
///     .credentials(Credentials::new("alice", "secret"))
///     .connect_timeout(Duration::from_secs(1))
///     .route_interval(Duration::from_secs(10))
///     .heartbeat_interval(Duration::from_secs(10))
///     .request_timeout(Duration::from_secs(5))
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is awaited"]
pub struct ClientBuilder {
    pub(super) nameservers: Vec<String>,
    pub(super) instance_name: Option<String>,
    pub(super) credentials: Option<Credentials>,
    pub(super) connect_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) route_interval: Duration,
    pub(super) heartbeat_interval: Duration,
    pub(super) trace_topic: Option<String>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<super::Tls>,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            nameservers: Vec::new(),
            instance_name: None,
            credentials: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(3),
            route_interval: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(30),
            trace_topic: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl ClientBuilder {
    /// Adds a nameserver, `host:port` or several of them as `a:9876;b:9876`. A name may stand for several
    /// addresses. Without any, the environment's `NAMESRV_ADDR` counts, else `127.0.0.1:9876`.
    pub fn nameserver(mut self, address: impl AsRef<str>) -> Self {
        let given = address.as_ref().split([';', ',']).map(str::trim).filter(|address| !address.is_empty());
        self.nameservers.extend(given.map(|address| match address.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => address.to_owned(),
            _ => format!("{address}:{NAMESERVER_PORT}"),
        }));
        self
    }

    /// Adds several nameservers.
    pub fn nameservers(self, addresses: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        addresses.into_iter().fold(self, |builder, address| builder.nameserver(address))
    }

    /// Names this client among those of its host; by default process id and time.
    pub fn instance_name(self, name: impl Into<String>) -> Self {
        Self { instance_name: Some(name.into()), ..self }
    }

    /// Signs every request.
    pub fn credentials(self, credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), ..self }
    }

    /// Encrypts every connection.
    #[cfg(feature = "tls")]
    pub fn tls(self, tls: super::Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Tells this topic, mostly [`TRACE_TOPIC`](super::TRACE_TOPIC), what becomes of every message that this client
    /// sends or consumes (not of those that a lite consumer polls), unless their broker wants no traces.
    pub fn trace(self, topic: impl Into<String>) -> Self {
        Self { trace_topic: Some(topic.into()), ..self }
    }

    /// How long a connection may take, 3 s by default.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// How long a request may take that has no time of its own, 3 s by default.
    pub fn request_timeout(self, timeout: Duration) -> Self {
        Self { request_timeout: timeout, ..self }
    }

    /// How often routes are asked for again, 30 s by default.
    pub fn route_interval(self, interval: Duration) -> Self {
        Self { route_interval: interval, ..self }
    }

    /// How often brokers are told who is here, 30 s by default; they forget a client after 120 s.
    pub fn heartbeat_interval(self, interval: Duration) -> Self {
        Self { heartbeat_interval: interval, ..self }
    }

    /// Connects to the first nameserver that answers. Awaiting the builder does the same.
    ///
    /// # Errors
    /// [`Error::Nameservers`] when none of them can be reached.
    pub async fn connect(mut self) -> Result<Client> {
        if self.nameservers.is_empty() {
            let from_environment = std::env::var("NAMESRV_ADDR").unwrap_or_default();
            let default = SocketAddr::from((Ipv4Addr::LOCALHOST, NAMESERVER_PORT)).to_string();
            let address = if from_environment.trim().is_empty() { default } else { from_environment };
            self = self.nameserver(address);
        }
        let durations =
            [self.connect_timeout, self.request_timeout, self.route_interval, self.heartbeat_interval];
        if durations.iter().any(Duration::is_zero) {
            return Err(Error::config("timeouts and intervals of a client must be longer than zero"));
        }
        Client::open(self).await
    }
}

impl IntoFuture for ClientBuilder {
    type Output = Result<Client>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Client>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.connect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_nameservers_are_taken_apart() {
        let builder = ClientBuilder::default().nameservers(["a:1;b:2", "c"]).nameserver(" d:3 , ");
        assert_eq!(builder.nameservers, ["a:1", "b:2", "c:9876", "d:3"]);
    }
}
