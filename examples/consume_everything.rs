//! Broadcast: every member gets every message, and keeps its progress in a file.

use castmq::client::{Client, Filter, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(nameserver).await?;
    let consumer =
        client.push_consumer("example-everybody").subscribe("example", Filter::all()).broadcast().await?;
    consumer.run(async |message| println!("{:?}", message.body())).await;
    Ok(())
}
