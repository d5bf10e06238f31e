//! Sends over encrypted connections, to servers that a certificate of one's own vouches for (feature `tls`).

use castmq::client::{Client, Message, Result, Tls};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let tls = match std::env::args().nth(2) {
        Some(file) => Tls::trusting(std::fs::read(&file).unwrap_or_default())?,
        // What RocketMQ's servers show by default was made by themselves.
        None => Tls::trusting_anybody()?,
    };
    let client = Client::builder().nameserver(nameserver).tls(tls).await?;
    let producer = client.producer("example-producer").await?;
    let receipt = producer.send(Message::new("example", "for your eyes only")).await?;
    println!("{} in queue {}", receipt.message_id, receipt.queue.queue_id);
    producer.shutdown().await;
    Ok(())
}
