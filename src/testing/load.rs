//! Producers and consumers that go on whatever happens, and note it in a ledger.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Connection, Ledger, message, pull, pulled, receipt};
use crate::protocol::codes::{RequestCode, ResponseCode};

/// How long anything may take that only waits for a restart.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a pull waits at the broker, ms of the broker's clock.
const SUSPEND: i64 = 1_000;

/// Threads that send to a topic and read it back, until they are stopped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    topic: String,
    queues: i32,
    ledger: Ledger,
    sends: AtomicBool,
    reads: AtomicBool,
    reconnects: AtomicUsize,
    refused: AtomicUsize,
}

impl Load {
    /// Starts `producers` threads that send to the queues of a topic in turn, and one for each queue that reads
    /// it from where the ledger ends.
    pub fn start(address: SocketAddr, topic: &str, queues: i32, producers: usize, ledger: &Ledger) -> Self {
        let shared = Arc::new(Shared {
            address,
            topic: topic.to_owned(),
            queues,
            ledger: ledger.clone(),
            sends: AtomicBool::new(true),
            reads: AtomicBool::new(true),
            reconnects: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let produce = (0..producers).map(|number| {
            let shared = shared.clone();
            thread::spawn(move || shared.produce(number))
        });
        let mut threads: Vec<_> = produce.collect();
        threads.extend((0..queues).map(|queue| {
            let shared = shared.clone();
            thread::spawn(move || shared.consume(queue))
        }));
        Self { shared, threads }
    }

    /// Connections that ended and were made again.
    pub fn reconnects(&self) -> usize {
        self.shared.reconnects.load(Ordering::Relaxed)
    }

    /// Sends and pulls that were answered "busy", and made again.
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Waits until messages go all the way again: what was acknowledged up to now has been delivered, and more
    /// was acknowledged.
    ///
    /// # Panics
    /// After 20 s, with what the ledger says.
    pub fn flows(&self) {
        self.try_flows().unwrap();
    }

    /// [`Load::flows`].
    ///
    /// # Errors
    /// What the ledger says after 20 s.
    pub fn try_flows(&self) -> Result<(), String> {
        let ledger = &self.shared.ledger;
        let (before, owed) = (ledger.totals(), ledger.owed());
        self.wait("messages do not flow", || {
            let now = ledger.totals();
            now.delivered >= before.delivered + owed && now.acknowledged > before.acknowledged
        })
    }

    fn wait(&self, what: &str, holds: impl Fn() -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            let ledger = &self.shared.ledger;
            if Instant::now() > deadline {
                return Err(format!("{what}: {:?}, {:?}", ledger.totals(), ledger.check()));
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Stops the producers, waits until everything that was acknowledged has been delivered, and ends.
    ///
    /// # Panics
    /// When something does not come within 20 s.
    pub fn stop(mut self) {
        let Shared { sends, reads, ledger, queues, .. } = &*self.shared;
        sends.store(false, Ordering::Relaxed);
        let consumers = self.threads.split_off(self.threads.len() - *queues as usize);
        for producer in self.threads.drain(..) {
            producer.join().unwrap();
        }
        self.wait("something acknowledged does not come", || ledger.owed() == 0).unwrap();
        reads.store(false, Ordering::Relaxed);
        for consumer in consumers {
            consumer.join().unwrap();
        }
    }
}

impl Drop for Load {
    /// Ends the threads of a load that was not stopped.
    fn drop(&mut self) {
        self.shared.sends.store(false, Ordering::Relaxed);
        self.shared.reads.store(false, Ordering::Relaxed);
    }
}

impl Shared {
    fn produce(&self, name: usize) {
        let mut connection = None;
        for number in 0.. {
            if !self.sends.load(Ordering::Relaxed) {
                return;
            }
            let queue = number % self.queues;
            let body = format!("{}/{name}:{number}", self.topic);
            match self.send(&mut connection, queue, body.as_bytes()) {
                Ok(Some(offset)) => self.ledger.acknowledged(&self.topic, queue, offset, body.as_bytes()),
                Ok(None) => self.pause(),
                Err(error) => self.lost(&mut connection, &error),
            }
        }
    }

    fn send(&self, connection: &mut Option<Connection>, queue: i32, body: &[u8]) -> io::Result<Option<i64>> {
        let fields = crate::protocol::fields::Fields::of(&message(&self.topic, queue, "").compact());
        let answer = self.connected(connection)?.try_ask(RequestCode::SEND_MESSAGE_V2, fields, body)?;
        match receipt(&answer) {
            Ok(receipt) => Ok(Some(receipt.queue_offset)),
            Err(code) => {
                self.note_refusal(code);
                Ok(None)
            }
        }
    }

    fn consume(&self, queue: i32) {
        let mut connection = None;
        while self.reads.load(Ordering::Relaxed) {
            match self.read(&mut connection, queue) {
                Ok(true) => {}
                Ok(false) => self.pause(),
                Err(error) => self.lost(&mut connection, &error),
            }
        }
    }

    fn read(&self, connection: &mut Option<Connection>, queue: i32) -> io::Result<bool> {
        let from = self.ledger.next(&self.topic, queue);
        let fields = pull(&self.topic, queue, from, "*", SUSPEND).to_fields();
        let answer = self.connected(connection)?.try_ask(RequestCode::PULL_MESSAGE, fields, b"")?;
        let code = answer.header.response_code();
        match code {
            ResponseCode::SUCCESS => {
                let (_, _, got) = pulled(&answer);
                for got in got {
                    self.ledger.delivered(&self.topic, queue, got.queue_offset, &got.body);
                }
            }
            ResponseCode::PULL_NOT_FOUND => {}
            _ => self.note_refusal(code),
        }
        Ok(matches!(code, ResponseCode::SUCCESS | ResponseCode::PULL_NOT_FOUND))
    }

    fn connected<'a>(&self, connection: &'a mut Option<Connection>) -> io::Result<&'a mut Connection> {
        match connection {
            Some(connection) => Ok(connection),
            None => Ok(connection.insert(Connection::open(self.address)?)),
        }
    }

    /// Clients try again on these codes; on others they tell the user.
    fn note_refusal(&self, code: ResponseCode) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let is_transient = matches!(
            code,
            ResponseCode::SYSTEM_BUSY
                | ResponseCode::FLUSH_DISK_TIMEOUT
                | ResponseCode::SERVICE_NOT_AVAILABLE
                | ResponseCode::PULL_RETRY_IMMEDIATELY
        );
        if !is_transient {
            self.ledger.problem(format!("a client sees a code on which it does not try again: {code}"));
        }
    }

    fn lost(&self, connection: &mut Option<Connection>, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
            self.ledger.problem("a request was never answered".to_owned());
        }
        if connection.take().is_some() {
            self.reconnects.fetch_add(1, Ordering::Relaxed);
        }
        self.pause();
    }

    fn pause(&self) {
        thread::sleep(Duration::from_millis(1));
    }
}
