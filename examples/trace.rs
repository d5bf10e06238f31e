//! Leaves traces of what is sent: `mqadmin queryMsgTraceById -i <message id>` shows them.

use castmq::client::{Client, Message, Result, TRACE_TOPIC};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::builder().nameserver(nameserver).trace(TRACE_TOPIC).await?;
    let producer = client.producer("example-producer").await?;
    let receipt = producer.send(Message::new("example", "follow me").key("42")).await?;
    println!("mqadmin queryMsgTraceById -i {}", receipt.message_id);
    // Also sends the traces that wait.
    producer.shutdown().await;
    Ok(())
}
