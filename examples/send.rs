//! Sends messages and says where they lie. `cargo run --example send --features client [nameserver]`

use castmq::client::{Client, Message, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(nameserver).await?;
    let producer = client.producer("example-producer").await?;
    for number in 0..10 {
        let message =
            Message::new("example", format!("message {number}")).tag("even").key(number.to_string());
        let receipt = producer.send(message).await?;
        println!(
            "{} is number {} in queue {}",
            receipt.message_id, receipt.queue_offset, receipt.queue.queue_id
        );
    }
    producer.shutdown().await;
    Ok(())
}
