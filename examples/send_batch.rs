//! Sends a hundred messages in one request.

use castmq::client::{Client, Message, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(nameserver).await?;
    let producer = client.producer("example-producer").await?;
    let receipt =
        producer.send_batch((0..100).map(|n| Message::new("example", format!("message {n}")))).await?;
    println!("stored from {} on in queue {}", receipt.queue_offset, receipt.queue.queue_id);
    producer.shutdown().await;
    Ok(())
}
