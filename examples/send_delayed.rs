//! Sends messages that consumers get later: after a delay level, and after a while.

use std::time::Duration;

use castmq::client::{Client, Delay, Message, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(nameserver).await?;
    let producer = client.producer("example-producer").await?;
    producer.send(Message::new("example", "in ten seconds").delay(Delay::Level(3))).await?;
    let later =
        Message::new("example", "in a minute and a half").delay(Delay::After(Duration::from_secs(90)));
    let receipt = producer.send(later).await?;
    if let Some(handle) = receipt.recall_handle {
        println!("to take it back: {handle}");
    }
    producer.shutdown().await;
    Ok(())
}
